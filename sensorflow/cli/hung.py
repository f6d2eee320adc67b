"""Detects a daemon that is running but sends no heartbeats, and kills it. The supervisor of `sensorflow up`
then starts a new daemon."""

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
CHECK_INTERVAL_SECONDS = 30.0
"""Seconds between checks. A daemon is killed only if two consecutive checks find that it hangs. A single
check is not enough, because heartbeats are old for a moment after a long outage of the database or the
host."""


class Hung:
    """Detects and kills a hung daemon. ledger: a function that returns the open ledger. It is called at
    each check."""

    def __init__(self, supervisor: Supervisor, ledger: Callable[[], Catalog]) -> None:
        self._supervisor, self._ledger = supervisor, ledger
        self._next = time.monotonic() + HUNG
        self._suspects: set[str] = set()
        self._killed: set[str] = set()
        """Identities of the daemons that were killed. Such a process may exist for some time, because the
        kernel does not end a process that waits for a disk or a share."""

    def news(self) -> Iterator[str]:
        """Check the daemon if a check is due, and kill it if it hangs. Yields lines to print."""
        now = time.monotonic()
        if now < self._next:
            return
        silent = {beat.report.process: beat for beat in self._silent()}
        # the check itself waits while the database does not answer; the daemon needs time afterwards, too
        self._next = time.monotonic() + CHECK_INTERVAL_SECONDS
        for process in (self._suspects & silent.keys()) - self._killed:
            self._killed.add(process)
            yield self._end(silent[process])
        self._suspects = set(silent)

    def _silent(self) -> list[Heartbeat]:
        """Returns the heartbeats of the daemon of this stack that are older than `HUNG` seconds."""
        from sensorflow.adapters.host import has_ended, is_same_host

        daemons = {p.pid for p in self._supervisor.processes if p.name == "daemon" and p.is_alive}
        try:
            late = [
                b for b in self._ledger().heartbeats() if b.age > HUNG and b.report.pid in daemons
            ]
        except (Transient, UsageError):  # the processes that use the database report its outage
            return []
        return [
            b for b in late if is_same_host(b.report.process) and not has_ended(b.report.process)
        ]

    def _end(self, beat: Heartbeat) -> str:
        """Kill the daemon with SIGKILL, because a hung process does not handle other signals. No data is
        lost when a daemon is killed. Returns the line to print."""
        with suppress(ProcessLookupError):
            os.kill(beat.report.pid, signal.SIGKILL)
        return (
            f"daemon (pid {beat.report.pid}) hangs: its {beat.report.role} loop has made no progress for "
            f"{beat.age:.0f} s. The daemon was killed, and will be restarted"
        )
