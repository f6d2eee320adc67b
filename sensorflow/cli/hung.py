"""A daemon that lives and does not go on: `sensorflow up` ends it, and its supervisor starts it again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from sensorflow.errors import Transient, UsageError

if TYPE_CHECKING:
    from sensorflow.core.heartbeat import Heartbeat
    from sensorflow.embedded.stack import Supervisor
    from sensorflow.ports.catalog import Catalog

HUNG = 120.0
"""Seconds without a heartbeat after which a loop does not come back by itself."""
EVERY = 30.0
"""Seconds between looks. Two in a row must find the same: a database or a host that was away for long is
back, and the heartbeats are not yet."""


class Hung:
    """ledger: opened at the first look, and kept."""

    def __init__(self, supervisor: Supervisor, ledger: Callable[[], Catalog]) -> None:
        self._supervisor, self._open = supervisor, ledger
        self._ledger: Catalog | None = None
        self._next = time.monotonic() + HUNG
        self._suspects: set[str] = set()
        self._killed: set[str] = set()
        """The kernel may keep one for as long as a disk or share does not answer."""

    def news(self) -> Iterator[str]:
        """Lines to print now."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + EVERY
        silent = {beat.report.process: beat for beat in self._silent()}
        for process in (self._suspects & silent.keys()) - self._killed:
            self._killed.add(process)
            yield self._end(silent[process])
        self._suspects = set(silent)

    def _silent(self) -> list[Heartbeat]:
        """Loops of our daemon that have not gone on for long."""
        from sensorflow.adapters.host import has_ended, is_same_host

        daemons = {p.pid for p in self._supervisor.processes if p.name == "daemon" and p.is_alive}
        try:
            self._ledger = self._ledger or self._open()
            late = [
                b for b in self._ledger.heartbeats() if b.age > HUNG and b.report.pid in daemons
            ]
        except (Transient, UsageError):  # who works with the database reports it
            return []
        return [
            b for b in late if is_same_host(b.report.process) and not has_ended(b.report.process)
        ]

    def _end(self, beat: Heartbeat) -> str:
        """By SIGKILL, which it survives at any moment: a loop that hangs heeds nothing else."""
        with suppress(ProcessLookupError):
            os.kill(beat.report.pid, signal.SIGKILL)
        return (
            f"daemon (pid {beat.report.pid}) hangs: its {beat.report.role} loop has not gone on for "
            f"{beat.age:.0f} s. It is ended, and started again"
        )
