"""Commit small files that were claimed together in one transaction. Each file has its own account and
outcome."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TypeVar

import numpy as np
import pyarrow as pa

from sensorflow import failpoints
from sensorflow.core import batch_validation, reading
from sensorflow.core.formats.chunk import Chunk
from sensorflow.core.keys import keys
from sensorflow.core.readings import KEY
from sensorflow.core.states import Stage
from sensorflow.errors import Fenced, Permanent, Transient
from sensorflow.flow import deadlines
from sensorflow.flow.file_task import FileTask
from sensorflow.flow.load import after_commit
from sensorflow.flow.single_pass import Ingest, Prepared
from sensorflow.flow.validate import open_landed, scratch_file
from sensorflow.ports.files import Counts
from sensorflow.ports.layers import Layers
from sensorflow.ports.loading import Keyed, Load

MAX_READINGS = 131_072
"""Maximum number of readings of a batch in memory. Even a small file may contain many readings, because it
may be compressed or have a thousand readings per row."""

R = TypeVar("R")


def is_eligible(file_task: FileTask) -> bool:
    """Whether a file may be committed with others. It must be new, and no other file may be able to contain
    the same readings."""
    claim, source = file_task.claim, file_task.services.settings.sources.get(file_task.claim.source)
    plain = claim.stage is Stage.VALIDATE and claim.version == 1 and not claim.has_loaded_rows
    plain = plain and claim.part is None
    return claim.is_first_claim and plain and source is not None and source.dedupe_scope == "file"


@dataclass(frozen=True)
class _PreparedFile:
    """A file whose layers are written, and the data to commit for this file."""

    file_task: FileTask
    batches: list[Keyed]
    load: Load

    @cached_property
    def rows(self) -> int:
        return sum(len(silver) for silver, _ in self.batches)

    @cached_property
    def loaded(self) -> Load:
        """Returns the `Load` for the case that the database inserts every row."""
        return replace(self.load, counts=replace(self.load.counts, loaded=self.rows))


def run(
    file_tasks: list[FileTask],
    outcome: Callable[[FileTask, Callable[[], R]], R],
    run_alone: Callable[[FileTask], R],
    loaded: Callable[[FileTask, Counts], R],
) -> list[R]:
    """Process files in all stages. Returns their outcomes in the same order.

    outcome: calls a function that does the work of a file, and turns exceptions into an outcome. run_alone:
    processes one file that cannot be in the batch. loaded: returns the outcome of a loaded file.
    """
    if not file_tasks:
        return []
    services = file_tasks[0].services
    ready: dict[int, _PreparedFile] = {}
    failed: dict[int, Exception] = {}
    try:
        with services.lake.batch() as batch:
            _prepare(file_tasks, batch, ready, failed)
            for file in ready.values():
                file.file_task.ensure_claim()
        files = list(ready.values())
        loads = [(f.file_task.claim, f.batches, f.loaded) for f in files]
        is_committed = services.ledger.load_batch(loads) is not None
    except Fenced:  # one claim is lost: process each file alone
        is_committed, ready = False, {}
    except Exception as error:  # noqa: BLE001 - each file gets this error
        is_committed, failed = False, {**dict.fromkeys(ready, error), **failed}
    if is_committed and ready:
        failpoints.hit(failpoints.Failpoint.COMMITTED)

    def finish(file_task: FileTask) -> R:
        number = file_task.claim.file_id
        if number in failed:
            raise failed[number]
        if number not in ready:
            return run_alone(file_task)
        file = ready[number]
        if is_committed:
            return loaded(file.file_task, file.loaded.counts)
        stored = services.ledger.load(file_task.claim, file.batches, file.load)
        return loaded(file.file_task, after_commit(file.file_task, stored))

    return [outcome(file_task, partial(finish, file_task)) for file_task in file_tasks]


def _prepare(
    file_tasks: list[FileTask],
    batch: Layers,
    ready: dict[int, _PreparedFile],
    failed: dict[int, Exception],
) -> None:
    """Write the layers of as many files as fit in memory. Adds these files to `ready`, and the exceptions
    of the other files to `failed`, by file id."""
    room, read = MAX_READINGS, _prepare_jointly(file_tasks)
    for file_task in file_tasks:
        number = file_task.claim.file_id
        try:
            file = _prepare_one(file_task, batch, room, read.get(number))
        except Exception as error:  # noqa: BLE001 - only this file fails
            failed[number] = error
            continue
        if file is not None:
            ready[number] = file
            room -= file.rows
    if ready:
        _add_keys(list(ready.values()))


def _prepare_jointly(file_tasks: list[FileTask]) -> dict[int, Prepared]:
    """Prepare files jointly. Returns the result by file id, without the files that cannot be prepared
    jointly."""
    groups: list[list[tuple[FileTask, Chunk]]] = []
    room = MAX_READINGS
    for file_task in file_tasks:
        chunk = None
        with suppress(Permanent, Transient, OSError):
            # the error is reported when the file is read alone
            chunk = _only_chunk(file_task)
        if chunk is None or chunk.readings > room:
            continue
        room -= chunk.readings
        for group in groups:
            if group[0][0].profile is file_task.profile and batch_validation.have_same_shape(
                group[0][1], chunk
            ):
                group.append((file_task, chunk))
                break
        else:
            groups.append([(file_task, chunk)])
    read: dict[int, Prepared] = {}
    for group in groups:
        profile = group[0][0].profile
        accepted = batch_validation.validate_batch([chunk for _, chunk in group], profile)
        if accepted is not None:
            ids = [file_task.claim.file_id for file_task, _ in group]
            prepared = map(Prepared, accepted, batch_validation.reshape_batch(accepted, profile))
            read |= zip(ids, prepared, strict=True)
    return read


def _only_chunk(file_task: FileTask) -> Chunk | None:
    if not batch_validation.is_row_local(file_task.profile):
        return None
    with (
        open_landed(file_task) as stream,
        deadlines.reading(file_task.claim.file_id, file_task.profile.max_seconds),
    ):
        drift, bindings = file_task.source.drift, file_task.services.bindings
        file_task.require_lease()
        chunks = reading.chunks(
            stream, file_task.profile, file_task.file_path, scratch_file, drift, bindings=bindings
        )
        return batch_validation.only_chunk(chunks)


def _prepare_one(
    file_task: FileTask, batch: Layers, room: int, read: Prepared | None
) -> _PreparedFile | None:
    written = file_task.with_lake(batch)
    ingest, batches = Ingest(written, read, _no_keys), []
    with closing(iter(ingest)) as readings:
        # if the iteration is abandoned, no layer of the file remains
        for keyed in readings:
            room -= len(keyed[0])
            if room < 0:
                return None
            batches.append(keyed)
    return _PreparedFile(
        replace(ingest.file_task, services=file_task.services), batches, ingest.load
    )


def _no_keys(_silver: pa.RecordBatch, _identity: str) -> pa.Array:
    return _NO_KEYS


_NO_KEYS = pa.array([], KEY)


def _add_keys(files: list[_PreparedFile]) -> None:
    """Compute the dedupe keys of all files at once."""
    silver = [batch for file in files for batch, _ in file.batches]
    if not silver:
        return
    names = pa.array([file.file_task.identity for file in files for _ in file.batches])
    places = np.repeat(np.arange(len(silver)), [len(batch) for batch in silver])
    combined = pa.concat_batches(silver)
    dedupe_keys = keys(combined, pa.DictionaryArray.from_arrays(places, names))
    start = 0
    for file in files:
        for index, (batch, _) in enumerate(file.batches):
            file.batches[index] = batch, dedupe_keys.slice(start, len(batch))
            start += len(batch)
