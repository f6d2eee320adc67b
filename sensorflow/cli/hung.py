"""Detects a daemon that runs but sends no heartbeats. `sensorflow up` kills this daemon, and the supervisor
restarts it."""

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
"""Seconds without a heartbeat after which a loop is considered hung."""
EVERY = 30.0
"""Seconds between checks. A daemon is killed only if two consecutive checks find it hung, because
heartbeats are old for a moment after a long outage of the database or the host."""


class Hung:
    """Detects and kills a hung daemon. ledger: opens the ledger. Called at the first check; the ledger then
    stays open."""

    def __init__(self, supervisor: Supervisor, ledger: Callable[[], Catalog]) -> None:
        self._supervisor, self._open = supervisor, ledger
        self._ledger: Catalog | None = None
        self._next = time.monotonic() + HUNG
        self._suspects: set[str] = set()
        self._killed: set[str] = set()
        """Daemons that were killed. The kernel may not end such a process until a disk or share answers
        again."""

    def news(self) -> Iterator[str]:
        """Check the daemon if a check is due, and kill it if it hangs. Yields the lines to print now."""
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
        """Returns the heartbeats of the loops of this stack's daemon that are older than `HUNG` seconds."""
        from sensorflow.adapters.host import has_ended, is_same_host

        daemons = {p.pid for p in self._supervisor.processes if p.name == "daemon" and p.is_alive}
        try:
            self._ledger = self._ledger or self._open()
            late = [
                b for b in self._ledger.heartbeats() if b.age > HUNG and b.report.pid in daemons
            ]
        except (Transient, UsageError):  # the processes that use the database report its outage
            return []
        return [
            b for b in late if is_same_host(b.report.process) and not has_ended(b.report.process)
        ]

    def _end(self, beat: Heartbeat) -> str:
        """Kill a daemon by SIGKILL, because a hung loop does not handle other signals. A daemon can be
        killed at any moment without loss of data. Returns the line to print."""
        with suppress(ProcessLookupError):
            os.kill(beat.report.pid, signal.SIGKILL)
        return (
            f"daemon (pid {beat.report.pid}) hangs: its {beat.report.role} loop has not gone on for "
            f"{beat.age:.0f} s. It is ended, and started again"
        )
