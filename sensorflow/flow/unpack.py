"""Unpack an archive: land and register each member as a separate file, as if the member had arrived in the
drop folder.

The whole archive is read before any member is landed. One transaction registers all members and marks the
archive as loaded. If a worker is killed before the commit, the next worker lands the same objects again
under the same names.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import BinaryIO

from sensorflow import failpoints, tracing
from sensorflow.core import unpacking
from sensorflow.core.arrival import Arrival, Landed
from sensorflow.core.formats import archives
from sensorflow.core.formats.archives import Archive, Entry
from sensorflow.core.profile import Profile
from sensorflow.core.states import Stage
from sensorflow.errors import Code, Permanent
from sensorflow.flow import deadlines
from sensorflow.flow.file_task import FileTask
from sensorflow.flow.gates import announced
from sensorflow.flow.validate import open_landed, scratch_file
from sensorflow.ports.files import StageReport
from sensorflow.ports.intake import OnChange
from sensorflow.ports.loading import Unpack

TOGETHER = 100
"""Number of members that are synced together. This is also the maximum number of open files."""
INSIDE = b"!/"
"""Separates the archive's name from a member's name."""


def is_archive(file_task: FileTask) -> bool:
    """Whether a claimed file is an archive that its source unpacks. Raises Transient STORAGE. Raises
    Permanent if the file was unpacked before, but the present settings do not unpack it."""
    if file_task.claim.stage is not Stage.VALIDATE or file_task.claim.part is not None:
        return False
    if not file_task.source.unpack:
        if file_task.claim.unpacked:
            raise unpacking.already_unpacked()
        return False
    with file_task.services.landing.open(file_task.claim.landing) as stream:
        return is_unpacked(stream, file_task.profile)


def is_unpacked(stream: BinaryIO, profile: Profile) -> bool:
    """Whether a source that unpacks archives treats these bytes as an archive. Rewinds the stream to its
    start."""
    kind = archives.archive_kind(stream.read(archives.HEAD))
    stream.seek(0)
    if kind == "zip" and profile.format == "xlsx":
        return not archives.is_workbook(stream)
    return kind is not None


def unpack(file_task: FileTask) -> str:
    """Register the members of an archive and mark it as loaded. Returns a human-readable summary.

    Raises Permanent, and registers nothing, if anything in the archive is invalid.
    """
    began = time.perf_counter()
    with _checked(file_task) as archive:
        members = list(_landed(file_task, archive))
        failpoints.hit(failpoints.Failpoint.UNPACKED)

        def keep() -> None:
            for entry, landed in members:
                if not file_task.services.landing.has(landed.name):
                    file_task.services.landing.put(archive.open(entry))

        seconds = time.perf_counter() - began
        how = Unpack(
            on_change=OnChange(file_task.source.on_change),
            name_matters=file_task.profile.name_matters,
            profile=file_task.profile_name,
            profile_hash=file_task.profile.hash,
            code_version=file_task.services.code_version,
            report=StageReport(Stage.LOAD, seconds, 0, archive.note),
            keep=keep,
        )
        found = [_arrival(file_task, number, *member) for number, member in enumerate(members)]
        file_task.services.ledger.unpack(file_task.claim, found, how)
    failpoints.hit(failpoints.Failpoint.COMMITTED)
    return archive.note


@contextmanager
def _checked(file_task: FileTask) -> Iterator[Archive]:
    """Provide the archive, after all its bytes were read once to verify them."""
    announced_facts = announced(file_task)
    if announced_facts is not None and announced_facts.rows is not None:
        raise Permanent(
            Code.GATE_MISMATCH,
            f"{announced_facts.gate} announces a number of rows, which an archive does not have",
            do="remove the number of rows from the gate; its size and checksums must be those of the "
            "archive",
        )
    with (
        open_landed(file_task) as stream,
        deadlines.reading(file_task.claim.file_id, file_task.profile.max_seconds),
    ):
        archive = archives.opened(stream, file_task.profile, scratch_file)
        archive.check(scratch_file)
        yield archive


def _landed(file_task: FileTask, archive: Archive) -> Iterator[tuple[Entry, Landed]]:
    """Yield the members, each with its landed and synced bytes."""
    members = archive.read()
    while some := list(islice(members, TOGETHER)):
        with file_task.services.landing.batch() as batch:
            done = [(entry, batch.put(stream)) for entry, stream in some]
        file_task.ensure_claim()
        yield from done


def _arrival(file_task: FileTask, number: int, entry: Entry, landed: Landed) -> Arrival:
    """Returns the arrival of a member. The ledger sets its lane and its `discovered_at`."""
    claim = file_task.claim
    return Arrival(
        source=claim.source,
        key=claim.key + INSIDE + entry.key,
        landed=landed,
        mtime_ns=entry.mtime_ns,
        fingerprint=f"member:{claim.file_id}:{number}",
        sensor_type=file_task.profile.sensor_type or file_task.profile_name,
        discovered_at=claim.received_at,
        landed_at=claim.received_at,
        trace_id=tracing.new_trace_id(datetime.now(UTC)),
    )
