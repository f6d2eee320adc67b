"""Bronze -> canonical readings (silver)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa

from sensorflow.core.occurrences import Disordered, Occurrences
from sensorflow.core.partitions import Layer
from sensorflow.core.readings import SILVER
from sensorflow.core.reshape import reshape
from sensorflow.flow.chained import numbered
from sensorflow.flow.chained import watch as watch_of
from sensorflow.flow.work import Job


def transform(job: Job) -> tuple[Job, int, str]:
    """Write silver. Returns the job with its counts, the number of silver rows, and a note."""
    seen = Occurrences()
    try:
        rows, duplicates = _write(job, seen)
    except Disordered:  # too large for memory, and out of order: deduplicate on disk
        seen.close()
        seen = Occurrences.sorted(_bronze(job), _scratch)
        rows, duplicates = _write(job, seen)
    finally:
        seen.close()
    return job.counted(duplicate=duplicates), rows, ""


def _write(job: Job, seen: Occurrences) -> tuple[int, int]:
    watch, numbering = watch_of(job), numbered(job, seen)
    rows = duplicates = 0
    with job.world.lake.writer(Layer.SILVER, job.file, SILVER) as silver:
        for batch in _bronze(job):
            done = reshape(batch, watch, numbering)
            silver.write(done.silver)
            rows += len(done.silver)
            duplicates += done.duplicates
        job.confirm()
    return rows, duplicates


def _bronze(job: Job) -> Iterator[pa.RecordBatch]:
    for batch in job.world.lake.read(Layer.BRONZE, job.file):
        job.require_lease()
        yield batch


def _scratch() -> BinaryIO:
    return tempfile.TemporaryFile()
