"""Stops the intake before a disk is full: what is registered must still find room in lake and
database."""

from __future__ import annotations

import math
import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sensorflow import disk
from sensorflow.core import forecast
from sensorflow.core.forecast import Unloaded, Writes
from sensorflow.errors import Code, Transient
from sensorflow.ports.intake import Intake
from sensorflow.settings import Settings

ASK_SECONDS = 10.0
"""Seconds between two queries of what is not loaded yet."""
RATE_SECONDS = 60.0
"""Seconds over which the rate of the intake is averaged."""


REFUSED_SECONDS = 20.0
"""Seconds for which a source is reported after a file of it was refused. It is tried again before."""


@dataclass(frozen=True)
class _Disk:
    """A disk that the pipeline writes to. path: a folder on it."""

    path: Path
    writes: Writes


class Room:
    """The room on the disks of the landing zone and of the data folder. Used by one thread.

    Asks the disks at each call of `require`, and the ledger every `ASK_SECONDS`.
    """

    def __init__(
        self, settings: Settings, ledger: Intake, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings, self._ledger, self._clock = settings, ledger, clock
        self._unloaded: list[Unloaded] = []
        self._asked_at = -math.inf
        self._landed: deque[tuple[float, int]] = deque()
        self._is_short = False
        self._refused: dict[str, tuple[float, str]] = {}

    def landed(self, size: int) -> None:
        """Record that files of `size` bytes in total were landed."""
        self._landed.append((self._clock(), size))

    def require(self) -> None:
        """Raises Transient DISK_RESERVE if a disk has no room for what is registered and for the
        intake of the next seconds; Transient DATABASE."""
        now = self._clock()
        if now >= self._asked_at + ASK_SECONDS or self._is_short:
            self._unloaded, self._asked_at = self._ledger.unloaded(), now
        while self._landed and self._landed[0][0] < now - RATE_SECONDS:
            self._landed.popleft()
        coming = self._rate * forecast.HORIZON_SECONDS
        short, self._is_short = self._is_short, True
        self._check("", coming, forecast.RESUMES if short else 1.0)
        self._is_short = False

    def require_for(self, source: str, size: int) -> None:
        """Raises Transient DISK_RESERVE if a disk has no room for one more file of `size` bytes."""
        try:
            self._check(source, size, 1.0)
        except Transient as error:
            self._refused[source] = self._clock(), error.message
            raise

    def refused(self, now: float) -> dict[str, str]:
        """Returns why files were refused recently, by source. now: monotonic seconds."""
        recent = {s: why for s, (at, why) in self._refused.items() if now < at + REFUSED_SECONDS}
        self._refused = {source: self._refused[source] for source in recent}
        return recent

    @property
    def _rate(self) -> float:
        """Bytes per second."""
        return sum(size for _, size in self._landed) / RATE_SECONDS

    def _check(self, source: str, size: float, factor: float) -> None:
        known = {found.source: found.rows_per_byte for found in self._unloaded}
        since = sum(size for at, size in self._landed if at >= self._asked_at)
        unloaded = [*self._unloaded, Unloaded("", since)]
        for place in self._disks():
            total, _, free = shutil.disk_usage(disk.nearest(place.path))
            reserve = forecast.reserve(total, self._settings.min_free_bytes) * factor
            need = forecast.needed(unloaded, place.writes)
            coming = place.writes.ahead(size, known.get(source))
            if free < reserve + need + coming:
                raise _error(place, free, reserve, need, coming if source else 0.0)

    def _disks(self) -> Iterator[_Disk]:
        """Yields each disk once, with all that is written to it."""
        data, landing = self._settings.data_folder, self._settings.zone_folder("landing")
        kept = Writes(self._archived(data), forecast.LAKE_BYTES + self._database_bytes)
        if landing is None:  # a store of a package
            yield _Disk(data, kept)
        elif _device(landing) == _device(data):
            yield _Disk(data, Writes(kept.landed + 1, kept.row))
        else:
            yield _Disk(data, kept)
            yield _Disk(landing, Writes(1, 0))

    @property
    def _database_bytes(self) -> int:
        return forecast.DATABASE_BYTES if self._settings.database is None else 0

    def _archived(self, data: Path) -> int:
        """Returns 1 if a source copies its files to the archive, because its drop folder is on
        another disk."""
        folders = [s.path for s in self._settings.folders.values() if s.after == "archive"]
        here = _device(data)
        return int(any(_device(self._settings.path(folder)) != here for folder in folders))


def _device(path: Path) -> int:
    return os.stat(disk.nearest(path)).st_dev  # noqa: PTH116 - of the folder that exists


def _error(place: _Disk, free: int, reserve: float, need: float, file: float) -> Transient:
    parts = [f"{disk.size(round(reserve))} stay free"]
    if need:
        parts.append(f"registered files need about {disk.size(round(need))}")
    if file:
        parts.append(f"the next file needs about {disk.size(round(file))}")
    found = f"{disk.size(free)} free on the disk of {place.path}, of which {', '.join(parts)}"
    return Transient(Code.DISK_RESERVE, found)
