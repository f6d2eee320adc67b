"""Reports for `sensorflow up`: whether its processes answer, and if not, which one and why."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sensorflow.errors import Misuse, Transient

if TYPE_CHECKING:
    from sensorflow.embedded.process import Process
    from sensorflow.embedded.stack import Supervisor
    from sensorflow.ports.catalog import Catalog

LIMIT = 60.0
"""Seconds after which processes that do not answer yet are reported."""
EVERY = 0.3
FULL = 16 << 20
"""Free bytes below which a disk counts as full: the size of one WAL segment of PostgreSQL."""


class News:
    """Lines to print about readiness and problems.

    ledger: opens the ledger. folders: folders whose disks are checked.
    """

    def __init__(
        self, supervisor: Supervisor, ledger: Callable[[], Catalog], folders: Sequence[Path]
    ) -> None:
        self._supervisor = supervisor
        self._ready = Readiness(supervisor, ledger)
        self._troubles = Troubles(folders)

    def lines(self) -> list[str]:
        return [*self._troubles.news(self._supervisor.all), *self._ready.news()]


class Readiness:
    """Reports once whether daemon and workers answer, by their heartbeats. Never blocks the start.

    ledger: opens the ledger, which is closed when all answer. limit: seconds until a late one is reported.
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
        self._next = now + EVERY
        missing, why = self._missing()
        if not missing:
            self._done = True
            self._close()
            yield f"ready            daemon and workers answer, {now - self._began:.1f} s after their start"
        elif now - self._began > self._limit and not self._late:
            self._late = True
            for process in missing:
                yield process.fault(f"does not answer yet after {self._limit:.0f} s") + why

    def _missing(self) -> tuple[list[Process], str]:
        """Returns processes without a heartbeat, and an error text if the ledger is unavailable."""
        from sensorflow.adapters.host import has_ended, is_near
        from sensorflow.core.heartbeat import Role

        wanted = {"daemon": {Role.INTAKE, Role.PUBLISHER}, "worker": {Role.WORKER}}
        processes = [p for p in self._supervisor.processes if p.name in wanted]
        try:
            self._ledger = self._ledger or self._open()
            beats = [b.pulse for b in self._ledger.heartbeats() if b.live]
        except (Transient, Misuse) as error:
            return processes, f"; {error}"
        near = [p for p in beats if is_near(p.process) and not has_ended(p.process)]
        there = {
            process.name: {p.role for p in near if p.pid == process.pid} for process in processes
        }
        return [p for p in processes if not wanted[p.name] <= there[p.name]], ""

    def _close(self) -> None:
        close = getattr(self._ledger, "close", None)
        if close is not None:
            with suppress(Transient):
                close()


class Troubles:
    """Reports processes that end repeatedly and full disks, once each, and when a disk has space again.

    folders: folders whose disks are checked. full: free bytes below which a disk is full.
    """

    def __init__(self, folders: Sequence[Path], full: int = FULL) -> None:
        self._folders, self.full = folders, full
        self._told: dict[str, str] = {}
        self._full: set[Path] = set()
        self._next = 0.0

    def news(self, processes: Sequence[Process]) -> Iterator[str]:
        """Yields the lines to print now."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + 1.0
        yield from self._disks()
        for process in processes:
            if process.pid is not None and not process.alive:
                told = process.fault("ended; it is being restarted")
                if self._told.get(process.name) != told:
                    self._told[process.name] = told
                    yield told

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
