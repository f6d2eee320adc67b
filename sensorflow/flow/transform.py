"""Transform bronze into canonical readings (silver)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa

from sensorflow.core.deduplicate import Deduplicator, OutOfOrder
from sensorflow.core.partitions import Layer
from sensorflow.core.readings import SILVER
from sensorflow.core.reshape import reshape
from sensorflow.flow.file_task import FileTask
from sensorflow.flow.growing_parts import deduplicator_of
from sensorflow.flow.growing_parts import quality_flagger_of as watch_of


def transform(file_task: FileTask) -> tuple[FileTask, int, str]:
    """Write silver. Returns the file task with its counts, the number of silver rows, and a note."""
    seen = Deduplicator()
    try:
        rows, duplicates = _write(file_task, seen)
    except OutOfOrder:  # too large for memory, and out of order: deduplicate on disk
        seen.close()
        seen = Deduplicator.sorted(_bronze(file_task), _scratch)
        rows, duplicates = _write(file_task, seen)
    finally:
        seen.close()
    return file_task.with_counts(duplicate=duplicates), rows, ""


def _write(file_task: FileTask, seen: Deduplicator) -> tuple[int, int]:
    watch, numbering = watch_of(file_task), deduplicator_of(file_task, seen)
    rows = duplicates = 0
    with file_task.services.lake.writer(Layer.SILVER, file_task.layer_file, SILVER) as silver:
        for batch in _bronze(file_task):
            done = reshape(batch, watch, numbering)
            silver.write(done.silver)
            rows += len(done.silver)
            duplicates += done.duplicates
        file_task.ensure_claim()
    return rows, duplicates


def _bronze(file_task: FileTask) -> Iterator[pa.RecordBatch]:
    meter, counts = file_task.meter, file_task.counts
    meter.begin_rows(file_task.claim.size, counts.read - counts.rejected)
    for batch in file_task.services.lake.read(Layer.BRONZE, file_task.layer_file):
        file_task.require_lease()
        meter.rows += len(batch)
        yield batch


def _scratch() -> BinaryIO:
    return tempfile.TemporaryFile()
