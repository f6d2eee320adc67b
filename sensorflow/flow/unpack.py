"""An archive becomes its members: each a file of its own, landed and registered as if it had been dropped.

The whole archive is read before any of it is landed, and its members are registered by the transaction that
closes it: all or nothing. Whoever is killed before that leaves landed objects that the next worker writes
anew, under the same names.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import BinaryIO

from sensorflow import crash
from sensorflow.core import unpacking
from sensorflow.core.arrival import Arrival, Landed
from sensorflow.core.formats import archives
from sensorflow.core.formats.archives import Archive, Entry
from sensorflow.core.profile import Profile
from sensorflow.core.states import Stage
from sensorflow.errors import Code, Permanent
from sensorflow.flow import deadlines
from sensorflow.flow.gates import announced
from sensorflow.flow.validate import opened, scratch
from sensorflow.flow.work import Job
from sensorflow.ports.files import StageReport
from sensorflow.ports.intake import OnChange
from sensorflow.ports.loading import Unpack

TOGETHER = 100
"""Members that are synced at once; as many files are open."""
INSIDE = b"!/"
"""Between an archive's name and a member's."""


def is_archive(job: Job) -> bool:
    """Whether a claimed file is an archive that its source unpacks. Raises Transient STORAGE, and
    Permanent of one that was unpacked before, and now would be read as one file."""
    if job.claim.stage is not Stage.VALIDATE or job.claim.part is not None:
        return False
    if not job.source.unpack:
        if job.claim.unpacked:
            raise unpacking.unpacked_before()
        return False
    with job.world.landing.open(job.claim.landing) as stream:
        return is_unpacked(stream, job.profile)


def is_unpacked(stream: BinaryIO, profile: Profile) -> bool:
    """Whether a source that unpacks takes these bytes for an archive; leaves the stream at its begin."""
    kind = archives.archive_kind(stream.read(archives.HEAD))
    stream.seek(0)
    if kind == "zip" and profile.format == "xlsx":
        return not archives.is_workbook(stream)
    return kind is not None


def unpack(job: Job) -> str:
    """Register the members of an archive and close it; returns what was done, in words.

    Raises Permanent where anything in it is not as it should be: nothing is registered, then.
    """
    began = time.perf_counter()
    with _checked(job) as archive:
        members = list(_landed(job, archive))
        crash.point(crash.Point.UNPACKED)

        def keep() -> None:
            for entry, landed in members:
                if not job.world.landing.has(landed.name):
                    job.world.landing.put(archive.open(entry))

        seconds = time.perf_counter() - began
        how = Unpack(
            on_change=OnChange(job.source.on_change),
            name_matters=job.profile.name_matters,
            profile=job.profile_name,
            profile_hash=job.profile.hash,
            code_version=job.world.code_version,
            report=StageReport(Stage.LOAD, seconds, 0, archive.note),
            keep=keep,
        )
        found = [_arrival(job, number, *member) for number, member in enumerate(members)]
        job.world.ledger.unpack(job.claim, found, how)
    crash.point(crash.Point.COMMITTED)
    return archive.note


@contextmanager
def _checked(job: Job) -> Iterator[Archive]:
    """The archive, of which every byte was read once."""
    said = announced(job)
    if said is not None and said.rows is not None:
        raise Permanent(
            Code.GATE_MISMATCH,
            f"{said.gate} announces a row count, which is unknown for an archive",
            do="remove the row count from the gate; its size and checksums are those of the archive",
        )
    with opened(job) as stream, deadlines.reading(job.claim.file_id, job.profile.max_seconds):
        archive = archives.opened(stream, job.profile, scratch)
        archive.check(scratch)
        yield archive


def _landed(job: Job, archive: Archive) -> Iterator[tuple[Entry, Landed]]:
    """The members, synced."""
    members = archive.read()
    while some := list(islice(members, TOGETHER)):
        with job.world.landing.batch() as batch:
            done = [(entry, batch.put(stream)) for entry, stream in some]
        job.confirm()
        yield from done


def _arrival(job: Job, number: int, entry: Entry, landed: Landed) -> Arrival:
    """lane and discovered_at are the ledger's to say."""
    claim = job.claim
    return Arrival(
        source=claim.source,
        key=claim.key + INSIDE + entry.key,
        landed=landed,
        mtime_ns=entry.mtime_ns,
        fingerprint=f"member:{claim.file_id}:{number}",
        sensor_type=job.profile.sensor_type or job.profile_name,
        discovered_at=claim.received_at,
        landed_at=claim.received_at,
    )
