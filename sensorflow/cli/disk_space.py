"""Checks how much room the disks of the pipeline have, for `doctor`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from sensorflow import disk
from sensorflow.core import disk_room
from sensorflow.core.disk_room import Unloaded
from sensorflow.core.health import Check, span
from sensorflow.errors import REMEDY, Code, SensorflowError

if TYPE_CHECKING:
    from sensorflow.flow.intake.disks import Disk
    from sensorflow.settings import Settings

WARN_SECONDS = 86_400.0
"""A disk causes a warning if, at the present rate, the intake will pause within this number of seconds."""


def of_project(settings: Settings) -> Iterator[Check]:
    """Yield a result for each disk. If the database is unavailable, only the reserve is compared with the
    free space."""
    from sensorflow import bootstrap
    from sensorflow.adapters.postgres import inspect

    unloaded: list[Unloaded] = []
    arriving: dict[str, float] = {}
    with suppress(SensorflowError):  # another check reports this
        unloaded = bootstrap.ledger(settings, "doctor").unloaded()
        arriving = inspect.arrived(bootstrap.database_url(settings))
    try:
        yield from checks(settings, {found.source: found for found in unloaded}, arriving)
    except OSError as error:
        yield Check("disk space", "fail", disk.explained(error) or str(error))


def checks(
    settings: Settings, unloaded: Mapping[str, Unloaded], arriving: Mapping[str, float]
) -> Iterator[Check]:
    """Yield a result for each disk. unloaded: source -> its registered files that are not loaded yet.
    arriving: source -> bytes per second of its files."""
    from sensorflow.flow.intake.disks import disks

    for found in disks(settings, unloaded.values()):
        rows = {source: files.rows_per_byte for source, files in unloaded.items()}
        rate = sum(found.writes.ahead(size, rows.get(name)) for name, size in arriving.items())
        yield _check(found, disk.free(found.path), rate, _is_landed_on(settings, found))


def _is_landed_on(settings: Settings, place: Disk) -> bool:
    """Whether the landing zone is on a disk."""
    folder = settings.zone_folder("landing")
    return folder is not None and disk.device(folder) == disk.device(place.path)


def _check(place: Disk, free: int, rate: float, has_landing: bool) -> Check:
    """rate: bytes per second that are written to the disk."""
    floor = place.reserve + place.need
    seconds = (free - floor) / rate if rate else None
    found = f"{disk.room(place.path)}; the intake pauses below {disk.size(round(floor))}"
    if place.need:
        found += (
            f": {disk.size(round(place.reserve))} must stay free, and registered files need about "
        )
        found += disk.size(round(place.need))
    if free < floor:
        return Check("disk space", "fail", found, REMEDY[Code.DISK_RESERVE])
    if seconds is not None and seconds < WARN_SECONDS:
        found += f"; at the rate of the last hour, this is in {span(seconds)}"
    elif free >= place.reserve * disk_room.RESUMES + place.need:
        return Check("disk space", "ok", found)
    todo = "free space on this disk"
    if has_landing:
        todo += ", for example with retention: landing/ stores a copy of every file"
    return Check("disk space", "warn", found, todo)
