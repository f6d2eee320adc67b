"""Stops the intake before a disk is full, so that the registered files still find room in the lake and the
database."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable

from sensorflow import disk
from sensorflow.core import disk_room
from sensorflow.core.disk_room import Unloaded
from sensorflow.errors import Code, Transient
from sensorflow.flow.intake.disks import Disk, disks
from sensorflow.ports.intake import Intake
from sensorflow.settings import Settings

ASK_SECONDS = 10.0
"""Seconds between two queries of the files that are not loaded yet."""
RATE_SECONDS = 60.0
"""Seconds over which the rate of the intake is averaged."""
REFUSED_SECONDS = 20.0
"""Seconds for which a source is reported after one of its files was refused for lack of room. They are
longer than the time until the file is tried again."""


class Room:
    """Checks whether the disks of the landing zone, the lake and the data folder have room for more files.
    Zones that are not on this host are not checked. Only one thread may use an instance.

    The free space is measured at each call, and the ledger is queried every `ASK_SECONDS`. A check of one
    file takes microseconds.
    """

    def __init__(
        self, settings: Settings, ledger: Intake, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings, self._ledger, self._clock = settings, ledger, clock
        self._unloaded: dict[str, Unloaded] = {}
        self._disks: list[Disk] = []
        self._asked_at = -math.inf
        self._since = 0
        """Bytes landed since the ledger was asked."""
        self._landed: deque[tuple[int, int]] = deque()
        """(second, bytes landed in it)"""
        self._is_short = False
        self._refused: dict[str, tuple[float, str]] = {}

    def landed(self, size: int) -> None:
        """Record that files of `size` bytes in total were landed."""
        second = int(self._clock())
        self._since += size
        if self._landed and self._landed[-1][0] == second:
            size += self._landed.pop()[1]
        self._landed.append((second, size))

    def require(self) -> None:
        """Raises Transient DISK_RESERVE if a disk has no room for the registered files and for the files
        that the intake takes in within the next seconds. Raises Transient DATABASE if the ledger is
        unavailable."""
        now = self._clock()
        if now >= self._asked_at + ASK_SECONDS or self._is_short:
            self._ask(now)
        while self._landed and self._landed[0][0] < now - RATE_SECONDS:
            self._landed.popleft()
        rate = sum(size for _, size in self._landed) / RATE_SECONDS
        short, self._is_short = self._is_short, True
        self._check("", rate * disk_room.HORIZON_SECONDS, disk_room.RESUMES if short else 1.0)
        self._is_short = False

    def _ask(self, now: float) -> None:
        self._unloaded = {found.source: found for found in self._ledger.unloaded()}
        self._asked_at, self._since = now, 0
        self._disks = disks(self._settings, self._unloaded.values())

    def require_for(self, source: str, size: int) -> None:
        """Raises Transient DISK_RESERVE if a disk has no room for one more file of `size` bytes."""
        try:
            self._check(source, size, 1.0)
        except Transient as error:
            self._refused[source] = self._clock(), error.message
            raise

    def _check(self, source: str, size: float, factor: float) -> None:
        known = self._unloaded.get(source)
        for found in self._disks:
            _, free = disk.usage(found.path)
            need = found.need + found.writes.behind(self._since, None)
            coming = found.writes.ahead(size, None if known is None else known.rows_per_byte)
            if free < found.reserve * factor + need + coming:
                raise _error(found, free, need, coming if source else 0.0)

    def refused(self, now: float) -> dict[str, str]:
        """Returns source -> the reason why one of its files was refused recently. now: monotonic
        seconds."""
        recent = {s: why for s, (at, why) in self._refused.items() if now < at + REFUSED_SECONDS}
        self._refused = {source: self._refused[source] for source in recent}
        return recent


def _error(place: Disk, free: int, need: float, file: float) -> Transient:
    parts = [f"{disk.size(round(place.reserve))} must stay free"]
    if need:
        parts.append(f"registered files need about {disk.size(round(need))}")
    if file:
        parts.append(f"the next file needs about {disk.size(round(file))}")
    found = f"{disk.size(free)} are free on the disk of {place.path}, but {', '.join(parts)}"
    return Transient(Code.DISK_RESERVE, found)
