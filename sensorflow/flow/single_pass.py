"""All stages of a file in a single pass over its bytes: transform and load read nothing back."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, closing
from typing import NamedTuple

import pyarrow as pa

from sensorflow import crash
from sensorflow.core.judge import Accepted
from sensorflow.core.keys import keys
from sensorflow.core.occurrences import Occurrences
from sensorflow.core.partitions import Layer
from sensorflow.core.readings import SILVER
from sensorflow.core.reshape import Reshaped, reshape
from sensorflow.core.states import Stage
from sensorflow.flow.ahead import ahead, cores
from sensorflow.flow.chained import numbered
from sensorflow.flow.chained import watch as watch_of
from sensorflow.flow.load import done, load_of
from sensorflow.flow.validate import Validation
from sensorflow.flow.versions import NOTHING_BEFORE, Before, before
from sensorflow.flow.work import Job
from sensorflow.ports.files import Counts, StageReport
from sensorflow.ports.loading import Keyed, Load

Key = Callable[[pa.RecordBatch, str], pa.Array]


class Made(NamedTuple):
    accepted: Accepted
    reshaped: Reshaped


class Ingest:
    """The keyed readings of one file, produced while bronze and silver are written. Iterate once.

    Both layers are complete in the lake before the iteration ends. If it is abandoned or fails, neither
    exists. Raises Permanent as validate does, and `occurrences.Disordered` if the file is too large for a
    single pass. job, load: available when the iteration is complete. made: what was already prepared of the
    whole file in a batch. key: computes the keys. older: the versions before it.
    """

    def __init__(
        self,
        job: Job,
        made: Made | None = None,
        key: Key = keys,
        older: Before = NOTHING_BEFORE,
    ) -> None:
        self.job = job
        self._made, self._key, self._older = made, key, older
        self._first: pa.RecordBatch | None = None
        self._seconds = {Stage.VALIDATE: 0.0, Stage.TRANSFORM: 0.0}
        self._since = time.perf_counter()

    def __iter__(self) -> Generator[Keyed, None, None]:
        job, rows, duplicates = self.job, 0, 0
        seen, watch = numbered(job, Occurrences()), watch_of(job)
        with ExitStack() as layers:
            silver = layers.enter_context(job.world.lake.writer(Layer.SILVER, job.file, SILVER))
            accepted = None if self._made is None else [self._made.accepted]
            validation = layers.enter_context(Validation(job, accepted))
            self._since = time.perf_counter()
            for bronze in _joined(validation):
                self._spent(Stage.VALIDATE)
                made = self._made.reshaped if self._made else reshape(bronze, watch, seen)
                silver.write(made.silver)
                if self._older.head is not None and rows == 0:  # otherwise not needed
                    self._first = made.silver
                rows += len(made.silver)
                duplicates += made.duplicates
                keyed = made.silver, self._key(made.silver, job.identity)
                self._spent(Stage.TRANSFORM)
                yield keyed
                self._since = time.perf_counter()
            job.confirm()
        crash.point(crash.Point.VALIDATED)
        self.job = validation.job.counted(duplicate=duplicates)
        self._spent(Stage.VALIDATE)
        crash.point(crash.Point.TRANSFORMED)
        self._reports = (
            StageReport(
                Stage.VALIDATE, self._seconds[Stage.VALIDATE], validation.rows, validation.note
            ),
            StageReport(Stage.TRANSFORM, self._seconds[Stage.TRANSFORM], rows),
        )

    def _spent(self, stage: Stage) -> None:
        now = time.perf_counter()
        self._seconds[stage] += now - self._since
        self._since = now

    @property
    def load(self) -> Load:
        return load_of(self.job, self._reports, self._older, self._first)


ROWS = 32768
"""Number of readings that justify the cost of a batch: a COPY, a savepoint, a row group. About six batches
are in memory at a time."""


def _joined(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the same rows in batches of `ROWS` or more, except for the last."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(map(len, held)) >= ROWS:
            yield _one(held)
            held = []
    if held:
        yield _one(held)


def _one(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    if len(batches) == 1:
        return batches[0]
    [whole] = pa.Table.from_batches(batches).combine_chunks().to_batches() or batches[:1]
    return whole


AHEAD = 4 << 20
"""Bytes. For a larger file, the next batch is prepared on another core while the database receives this
one. On one core, this would cost a tenth, because the two evict each other's rows from the caches."""


def load_in_one_pass(job: Job) -> Counts:
    """Validate, transform and load a file whose claim is at the first of these stages.

    Raises what these stages raise, and Disordered if only transform can find the duplicates.
    """
    made = Ingest(job, older=before(job))
    apart = job.claim.size > AHEAD and cores() > 1
    with closing(ahead(made) if apart else iter(made)) as readings:
        loaded = job.world.ledger.load(job.claim, readings, load_of(job, ()), lambda: made.load)
    return done(made.job, loaded)
