"""The disks that the pipeline writes to, and the bytes that must stay free on each of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from sensorflow import disk
from sensorflow.core import disk_room
from sensorflow.core.disk_room import Unloaded, Writes
from sensorflow.settings import Settings


@dataclass(frozen=True)
class Disk:
    """A disk that the pipeline writes to. path: an existing folder on this disk. writes: the bytes that a
    file needs on this disk. reserve: bytes that must stay free. need: bytes that the registered files still
    need."""

    path: disk.Folder
    writes: Writes
    reserve: float
    need: float


def disks(settings: Settings, unloaded: Collection[Unloaded]) -> list[Disk]:
    """Return each disk once. unloaded: the registered files that are not loaded yet. Raises OSError if a
    disk is unavailable."""
    return [_measured(settings, unloaded, *place) for place in _written(settings)]


def _measured(
    settings: Settings, unloaded: Collection[Unloaded], path: disk.Folder, writes: Writes
) -> Disk:
    existing = disk.nearest(path)
    total, _ = disk.usage(existing)
    reserve = disk_room.reserve(total, settings.min_free_bytes)
    return Disk(existing, writes, reserve, disk_room.needed(unloaded, writes))


def _written(settings: Settings) -> Iterator[tuple[disk.Folder, Writes]]:
    """Yield a folder on each disk, with the bytes that a file needs on this disk. Zones that are not on
    this host are left out."""
    data = settings.data_folder
    written = [
        (data, Writes(_archived(settings, data), _database_bytes(settings))),
        (settings.zone_folder("landing"), Writes(1, 0)),
        (settings.zone_folder("lake"), Writes(0, disk_room.LAKE_BYTES)),
    ]
    found: dict[int, tuple[disk.Folder, Writes]] = {}
    for folder, writes in written:
        if folder is not None:
            place, known = found.get(disk.device(folder), (folder, Writes(0, 0)))
            found[disk.device(folder)] = place, known + writes
    yield from found.values()


def _database_bytes(settings: Settings) -> int:
    return disk_room.DATABASE_BYTES if settings.database is None else 0


def _archived(settings: Settings, data: disk.Folder) -> int:
    """Return the bytes that the archive needs per landed byte: 1 if a source archives files from a drop
    folder on another disk, so that they are copied; otherwise 0."""
    folders = [s.path for s in settings.folders.values() if s.after == "archive"]
    here = disk.device(data)
    return int(any(disk.device(settings.path(folder)) != here for folder in folders))
