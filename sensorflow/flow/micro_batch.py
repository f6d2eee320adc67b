"""Commit small files that were claimed together in one transaction. Each file keeps its own account and
outcome."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TypeVar

import numpy as np
import pyarrow as pa

from sensorflow import crash
from sensorflow.core import joint, reading
from sensorflow.core.formats.chunk import Chunk
from sensorflow.core.keys import keys
from sensorflow.core.readings import KEY
from sensorflow.core.states import Stage
from sensorflow.errors import Fenced, Permanent, Transient
from sensorflow.flow import deadlines
from sensorflow.flow.load import done
from sensorflow.flow.single_pass import Ingest, Made
from sensorflow.flow.validate import opened, scratch
from sensorflow.flow.work import Job
from sensorflow.ports.files import Counts
from sensorflow.ports.layers import Layers
from sensorflow.ports.loading import Keyed, Load

READINGS = 131_072
"""Maximum number of readings in memory. A small file may be compressed, or hold a thousand readings per
row."""

R = TypeVar("R")


def fits(job: Job) -> bool:
    """Whether a file may be committed with others: it is new, and no other file can have its readings."""
    claim, source = job.claim, job.world.settings.sources.get(job.claim.source)
    plain = claim.stage is Stage.VALIDATE and claim.version == 1 and not claim.again
    plain = plain and claim.part is None
    return claim.fresh and plain and source is not None and source.dedupe_scope == "file"


@dataclass(frozen=True)
class _Ready:
    """A file whose layers are written, with everything that is to be committed for it."""

    job: Job
    batches: list[Keyed]
    load: Load

    @cached_property
    def rows(self) -> int:
        return sum(len(silver) for silver, _ in self.batches)

    @cached_property
    def loaded(self) -> Load:
        """The `Load` to use if the database accepts every row."""
        return replace(self.load, counts=replace(self.load.counts, loaded=self.rows))


def work(
    jobs: list[Job],
    outcome: Callable[[Job, Callable[[], R]], R],
    alone: Callable[[Job], R],
    loaded: Callable[[Job, Counts], R],
) -> list[R]:
    """Take files through all stages. Returns their outcomes in the same order.

    outcome: runs the work of a file and turns exceptions into an outcome. alone: does all the work of one
    file. loaded: returns the outcome of a loaded file.
    """
    if not jobs:
        return []
    world = jobs[0].world
    ready: dict[int, _Ready] = {}
    failed: dict[int, Exception] = {}
    try:
        with world.lake.batch() as batch:
            _prepare(jobs, batch, ready, failed)
            for file in ready.values():
                file.job.confirm()
        files = list(ready.values())
        whole = [(f.job.claim, f.batches, f.loaded) for f in files]
        once = world.ledger.load_together(whole) is not None
    except Fenced:  # one claim is lost: process each file alone
        once, ready = False, {}
    except Exception as error:  # noqa: BLE001 - each file is told of it
        once, failed = False, {**dict.fromkeys(ready, error), **failed}
    if once and ready:
        crash.point(crash.Point.COMMITTED)

    def rest(job: Job) -> R:
        number = job.claim.file_id
        if number in failed:
            raise failed[number]
        if number not in ready:
            return alone(job)
        file = ready[number]
        if once:
            return loaded(file.job, file.loaded.counts)
        stored = world.ledger.load(job.claim, file.batches, file.load)
        return loaded(file.job, done(file.job, stored))

    return [outcome(job, partial(rest, job)) for job in jobs]


def _prepare(
    jobs: list[Job], batch: Layers, ready: dict[int, _Ready], failed: dict[int, Exception]
) -> None:
    """Write the layers of as many files as fit in memory."""
    room, read = READINGS, _read(jobs)
    for job in jobs:
        number = job.claim.file_id
        try:
            file = _made(job, batch, room, read.get(number))
        except Exception as error:  # noqa: BLE001 - of this file alone
            failed[number] = error
            continue
        if file is not None:
            ready[number] = file
            room -= file.rows
    if ready:
        _add_keys(list(ready.values()))


def _read(jobs: list[Job]) -> dict[int, Made]:
    """Returns what could be prepared of the files jointly, by file id. Other files are missing from the
    result."""
    groups: list[list[tuple[Job, Chunk]]] = []
    room = READINGS
    for job in jobs:
        chunk = None
        with suppress(Permanent, Transient, OSError):  # reported when the file is read alone
            chunk = _only_chunk(job)
        if chunk is None or chunk.readings > room:
            continue
        room -= chunk.readings
        for group in groups:
            if group[0][0].profile is job.profile and joint.alike(group[0][1], chunk):
                group.append((job, chunk))
                break
        else:
            groups.append([(job, chunk)])
    read: dict[int, Made] = {}
    for group in groups:
        profile = group[0][0].profile
        accepted = joint.judge([chunk for _, chunk in group], profile)
        if accepted is not None:
            ids = [job.claim.file_id for job, _ in group]
            made = map(Made, accepted, joint.reshape(accepted, profile))
            read |= zip(ids, made, strict=True)
    return read


def _only_chunk(job: Job) -> Chunk | None:
    if not joint.plain(job.profile):
        return None
    with (
        opened(job) as stream,
        deadlines.reading(job.claim.file_id, job.profile.max_seconds),
    ):
        drift, layouts = job.source.drift, job.world.layouts
        job.require_lease()
        chunks = reading.chunks(stream, job.profile, job.place, scratch, drift, layouts=layouts)
        return joint.only(chunks)


def _made(job: Job, batch: Layers, room: int, read: Made | None) -> _Ready | None:
    written = replace(job, world=replace(job.world, lake=batch))
    made, batches = Ingest(written, read, _none_yet), []
    with closing(iter(made)) as readings:  # leaves nothing behind if abandoned
        for keyed in readings:
            room -= len(keyed[0])
            if room < 0:
                return None
            batches.append(keyed)
    return _Ready(replace(made.job, world=job.world), batches, made.load)


def _none_yet(_silver: pa.RecordBatch, _identity: str) -> pa.Array:
    return _NO_KEYS


_NO_KEYS = pa.array([], KEY)


def _add_keys(files: list[_Ready]) -> None:
    """Compute the dedupe keys of all files at once."""
    silver = [batch for file in files for batch, _ in file.batches]
    if not silver:
        return
    names = pa.array([file.job.identity for file in files for _ in file.batches])
    places = np.repeat(np.arange(len(silver)), [len(batch) for batch in silver])
    whole = pa.concat_batches(silver)
    made = keys(whole, pa.DictionaryArray.from_arrays(places, names))
    start = 0
    for file in files:
        for index, (batch, _) in enumerate(file.batches):
            file.batches[index] = batch, made.slice(start, len(batch))
            start += len(batch)
