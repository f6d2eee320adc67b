"""Reports for `sensorflow up` which of its processes answer, which do not answer and why, and which disks
are full."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sensorflow.cli.hung import Hung
from sensorflow.errors import Transient, UsageError

if TYPE_CHECKING:
    from sensorflow.core.heartbeat import LoopReport
    from sensorflow.embedded.process import Process
    from sensorflow.embedded.stack import Supervisor
    from sensorflow.ports.catalog import Catalog

LIMIT = 60.0
"""Seconds after the start after which processes that do not answer yet are reported."""
POLL_SECONDS = 0.3
PAUSES_SECONDS = 5.0
"""Seconds between checks for paused loops."""
REPEAT_AFTER_SECONDS = 60.0
"""Seconds after which the end of a process is reported again, although the reason is the same as before."""
FULL = 16 << 20
"""Free bytes below which a disk counts as full: the size of one WAL segment of PostgreSQL."""


@dataclass(frozen=True)
class _End:
    """A report that a process has ended. line: the message. at: time of the report, in seconds of the
    monotonic clock."""

    pid: int
    line: str
    at: float


class ReadinessReport:
    """Collects the lines that `sensorflow up` prints about the readiness and the problems of its processes.

    ledger: a function that opens the ledger. folders: folders whose disks are checked.
    """

    def __init__(
        self, supervisor: Supervisor, ledger: Callable[[], Catalog], folders: Sequence[Path]
    ) -> None:
        self._supervisor = supervisor
        self._ready = Readiness(supervisor, ledger)
        self._failures = ProcessProblems(folders)
        opened = cache(ledger)  # an outage is not cached, because it raises
        self._pauses = Pauses(supervisor, opened)
        self._hung = Hung(supervisor, opened)

    def lines(self) -> list[str]:
        failures = self._failures.news(self._supervisor.all)
        return [
            *failures,
            *self._ready.news(),
            *self._pauses.news(),
            *self._hung.news(),
        ]


class Readiness:
    """Reports once that the daemon and the workers answer, that is, send heartbeats, or that they do not
    answer within `limit` seconds after the start.

    ledger: a function that opens the ledger, which is closed when all processes answer.
    """

    def __init__(
        self, supervisor: Supervisor, ledger: Callable[[], Catalog], limit: float = LIMIT
    ) -> None:
        self._supervisor, self._open, self._limit = supervisor, ledger, limit
        self._ledger: Catalog | None = None
        self._began = time.monotonic()
        self._next = 0.0
        self._done = self._late = False

    def news(self) -> Iterator[str]:
        """Yields the lines to print now."""
        now = time.monotonic()
        if self._done or now < self._next:
            return
        self._next = now + POLL_SECONDS
        missing, reason = self._missing()
        if not missing:
            self._done = True
            self._close()
            yield f"ready            daemon and workers answer, {now - self._began:.1f} s after their start"
        elif now - self._began > self._limit and not self._late:
            self._late = True
            for process in missing:
                yield (
                    process.failure_message(f"does not answer yet after {self._limit:.0f} s")
                    + reason
                )

    def _missing(self) -> tuple[list[Process], str]:
        """Returns the processes that have sent no heartbeat, and a text with the error if the ledger is
        unavailable, else ""."""
        from sensorflow.adapters.host import has_ended, is_same_host
        from sensorflow.core.heartbeat import Role

        wanted = {"daemon": {Role.INTAKE, Role.PUBLISHER}, "worker": {Role.WORKER}}
        processes = [p for p in self._supervisor.processes if p.name in wanted]
        try:
            self._ledger = self._ledger or self._open()
            beats = [b.report for b in self._ledger.heartbeats() if b.is_alive]
        except (Transient, UsageError) as error:
            return processes, f"; {error}"
        local = [p for p in beats if is_same_host(p.process) and not has_ended(p.process)]
        running = {
            process.name: {p.role for p in local if p.pid == process.pid} for process in processes
        }
        return [p for p in processes if not wanted[p.name] <= running[p.name]], ""

    def _close(self) -> None:
        close = getattr(self._ledger, "close", None)
        if close is not None:
            with suppress(Transient):
                close()


class Pauses:
    """Reports once that a loop of this stack waits because of an error, and once that it works again.

    ledger: a function that returns the open ledger. It is called at each check.
    """

    def __init__(self, supervisor: Supervisor, ledger: Callable[[], Catalog]) -> None:
        self._supervisor, self._ledger = supervisor, ledger
        self._next = 0.0
        self._paused: dict[str, str] = {}
        """Role -> code of the error."""

    def news(self) -> Iterator[str]:
        """Yields the lines to print now."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + PAUSES_SECONDS
        pids = {p.pid for p in self._supervisor.processes if p.is_alive}
        try:
            beats = [b.report for b in self._ledger().heartbeats() if b.is_alive]
        except (Transient, UsageError):  # the processes that use the database report its outage
            return
        for report in beats:
            if report.pid in pids:
                yield from self._changed(report)

    def _changed(self, report: LoopReport) -> Iterator[str]:
        before, paused = self._paused.get(report.role), report.paused or {}
        code = paused.get("code")
        if code == before:
            return
        if code is None:
            del self._paused[report.role]
            yield f"{report.role} works again"
            return
        self._paused[report.role] = code
        yield f"{report.role} is paused: {code}: {paused.get('reason')}"
        if todo := paused.get("do"):
            yield f"  {todo}"


class ProcessProblems:
    """Reports processes that have ended, and full disks.

    A process that ends again within `REPEAT_AFTER_SECONDS` seconds for the same reason is not reported
    again. A full disk is reported once. When it has free space again, this is reported too. folders:
    folders whose disks are checked. full: number of free bytes below which a disk is full.
    """

    def __init__(self, folders: Sequence[Path], full: int = FULL) -> None:
        self._folders, self.full = folders, full
        self._ends: dict[str, _End] = {}
        self._full: set[Path] = set()
        self._next = 0.0

    def news(self, processes: Sequence[Process]) -> Iterator[str]:
        """Yields the lines to print now."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + 1.0
            yield from self._disks()
        for process in processes:  # at each call: an ended process is restarted after 0.5 s
            before = self._ends.get(process.name)
            if process.pid is None or process.is_alive or (before and before.pid == process.pid):
                continue
            end = self._ends[process.name] = _End(process.pid, process.ending(), now)
            if before is None or before.line != end.line or now > before.at + REPEAT_AFTER_SECONDS:
                yield end.line

    def _disks(self) -> Iterator[str]:
        from sensorflow import disk

        for folder in self._folders:
            try:
                free, place = disk.free(folder), disk.mount(folder)
            except OSError:
                continue
            if free < self.full and place not in self._full:
                self._full.add(place)
                yield f"the disk of {folder} is full: {disk.room(folder)}; files wait, nothing is lost."
                yield "  Free some space; work then resumes automatically"
            elif free > 3 * self.full and place in self._full:
                self._full.remove(place)
                yield f"the disk of {folder} has space again: {disk.room(folder)}"
