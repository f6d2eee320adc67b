"""Run all stages of a file in a single pass over its bytes. Transform and load do not read their input back
from the lake."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, closing
from typing import NamedTuple

import pyarrow as pa

from sensorflow import failpoints
from sensorflow.core.deduplicate import Deduplicator
from sensorflow.core.keys import keys
from sensorflow.core.partitions import Layer
from sensorflow.core.readings import SILVER
from sensorflow.core.reshape import Reshaped, reshape
from sensorflow.core.states import Stage
from sensorflow.core.validation import Accepted
from sensorflow.flow.file_task import FileTask
from sensorflow.flow.growing_parts import deduplicator_of
from sensorflow.flow.growing_parts import quality_flagger_of as watch_of
from sensorflow.flow.load import after_commit, build_load
from sensorflow.flow.prefetch import available_cores, prefetch
from sensorflow.flow.validate import TooManyRejects, Validation
from sensorflow.flow.versions import NO_PREVIOUS_VERSIONS, PreviousVersions, previous_versions
from sensorflow.ports.files import Counts, StageReport
from sensorflow.ports.loading import Keyed, Load

Key = Callable[[pa.RecordBatch, str], pa.Array]


class Prepared(NamedTuple):
    accepted: Accepted
    reshaped: Reshaped


class Ingest:
    """Yields the readings of one file with their dedupe keys, and writes bronze and silver at the same
    time. Iterate once.

    When the iteration ends, both layers are complete in the lake. If the iteration is abandoned or fails,
    the lake does not contain silver; it contains bronze only if the file has too many rejects. Raises
    Permanent as `validate` does, and `deduplicate.OutOfOrder` if the file is too large for a single pass.

    file_task: the file's task, with its counts. load: the `Load` to commit. Both are available when the
    iteration is complete. prepared: the result if the file was prepared in a batch, else None. key: the
    function that computes the dedupe keys. older: the facts about previous versions that the load needs.
    """

    def __init__(
        self,
        file_task: FileTask,
        prepared: Prepared | None = None,
        key: Key = keys,
        older: PreviousVersions = NO_PREVIOUS_VERSIONS,
    ) -> None:
        self.file_task = file_task
        self._prepared, self._key, self._older = prepared, key, older
        self._first: pa.RecordBatch | None = None
        self._seconds = {Stage.VALIDATE: 0.0, Stage.TRANSFORM: 0.0}
        self._since = time.perf_counter()

    def __iter__(self) -> Generator[Keyed, None, None]:
        yield from self._write()
        self._finish()

    def _write(self) -> Generator[Keyed, None, None]:
        file_task, rows, duplicates = self.file_task, 0, 0
        seen, watch = deduplicator_of(file_task, Deduplicator()), watch_of(file_task)
        with ExitStack() as layers:
            silver = layers.enter_context(
                file_task.services.lake.writer(Layer.SILVER, file_task.layer_file, SILVER)
            )
            accepted = None if self._prepared is None else [self._prepared.accepted]
            validation = layers.enter_context(Validation(file_task, accepted))
            self._since = time.perf_counter()
            for bronze in _rebatched(validation):
                self._record_seconds(Stage.VALIDATE)
                reshaped = (
                    self._prepared.reshaped if self._prepared else reshape(bronze, watch, seen)
                )
                silver.write(reshaped.silver)
                if self._older.head is not None and rows == 0:  # otherwise they are not needed
                    self._first = reshaped.silver
                rows += len(reshaped.silver)
                duplicates += reshaped.duplicates
                keyed = reshaped.silver, self._key(reshaped.silver, file_task.identity)
                self._record_seconds(Stage.TRANSFORM)
                yield keyed
                self._since = time.perf_counter()
            file_task.ensure_claim()
        self.file_task = validation.file_task.with_counts(duplicate=duplicates)
        self._record_seconds(Stage.VALIDATE)
        self._reports = (
            StageReport(
                Stage.VALIDATE, self._seconds[Stage.VALIDATE], validation.rows, validation.note
            ),
            StageReport(Stage.TRANSFORM, self._seconds[Stage.TRANSFORM], rows),
        )

    def _finish(self) -> None:
        """Call this when the layers are stored, or put into a batch of several files."""
        failpoints.hit(failpoints.Failpoint.VALIDATED)
        failpoints.hit(failpoints.Failpoint.TRANSFORMED)

    def in_batch(self) -> Generator[Keyed, None, None]:
        """Like `__iter__`, but all layers are stored at the same time. Iterate once."""
        stored = self.file_task.services.lake
        refused: TooManyRejects | None = None
        with stored.batch() as lake:
            self.file_task = self.file_task.with_lake(lake)
            try:
                yield from self._write()
            except TooManyRejects as error:  # the layers that it leaves are stored too
                refused = error
        self.file_task = self.file_task.with_lake(stored)
        if refused is not None:
            raise refused
        self._finish()

    def _record_seconds(self, stage: Stage) -> None:
        now = time.perf_counter()
        self._seconds[stage] += now - self._since
        self._since = now

    @property
    def load(self) -> Load:
        return build_load(self.file_task, self._reports, self._older, self._first)


BATCH_ROWS = 32768
"""Minimum number of readings in a batch. Each batch costs a COPY, a savepoint and a row group, so smaller
batches would be slower. About six batches are in memory at a time."""


def _rebatched(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the same rows in batches of at least `BATCH_ROWS` rows. The last batch may be smaller."""
    buffered: list[pa.RecordBatch] = []
    for batch in batches:
        buffered.append(batch)
        if sum(map(len, buffered)) >= BATCH_ROWS:
            yield _combined(buffered)
            buffered = []
    if buffered:
        yield _combined(buffered)


def _combined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    if len(batches) == 1:
        return batches[0]
    [combined] = pa.Table.from_batches(batches).combine_chunks().to_batches() or batches[:1]
    return combined


PREFETCH_ABOVE_BYTES = 4 << 20
"""For a file with more than this number of bytes, the next batch is prepared on another core while the
database receives the current one. On a single core this would be 10 % slower, because both threads would
compete for the processor's caches."""


def load_single_pass(file_task: FileTask) -> Counts:
    """Validate, transform and load a file. The file's claim must be at the stage validate.

    Raises the exceptions of these stages. Raises OutOfOrder if only the stage transform can find the
    duplicates.
    """
    ingest = Ingest(file_task, older=previous_versions(file_task))
    in_own_thread = file_task.claim.size > PREFETCH_ABOVE_BYTES and available_cores() > 1
    batches = ingest.in_batch()
    with closing(prefetch(batches) if in_own_thread else batches) as readings:
        loaded = file_task.services.ledger.load(
            file_task.claim, readings, build_load(file_task, ()), lambda: ingest.load
        )
    return after_commit(ingest.file_task, loaded)
