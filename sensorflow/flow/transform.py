"""Bronze -> canonical readings (silver)."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from sensorflow.core.dedupe import Occurrences
from sensorflow.core.partitions import Layer
from sensorflow.core.readings import SILVER
from sensorflow.core.reshape import reshape
from sensorflow.flow.work import Job

CELLS = 1 << 18


def transform(job: Job) -> tuple[Job, int]:
    """Write silver; returns the job with its counts, and the rows of silver."""
    seen = Occurrences()
    rows = duplicates = 0
    with job.world.lake.writer(job.path(Layer.SILVER), SILVER) as silver:
        for batch in _pieces(job):
            done = reshape(batch, job.profile, seen)
            silver.write(done.silver)
            rows += len(done.silver)
            duplicates += done.duplicates
    return job.counted(duplicate=duplicates), rows


def _pieces(job: Job) -> Iterator[pa.RecordBatch]:
    """Bronze in pieces of at most `CELLS` readings, however wide its rows are."""
    rows = max(1, CELLS // len(job.profile.value_columns))
    for batch in job.world.lake.read(job.path(Layer.BRONZE)):
        for start in range(0, len(batch), rows):
            yield batch.slice(start, rows)
