"""Landed bytes -> bronze rows and rejects."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, BinaryIO

import pyarrow as pa

from sensorflow.core import formats, rules
from sensorflow.core.formats.chunk import reject_batch
from sensorflow.core.partitions import Layer
from sensorflow.core.readings import REJECTS
from sensorflow.errors import Code, Permanent
from sensorflow.flow.work import Job
from sensorflow.ports import Counts, LayerWriter

SPILL = 16 << 20


def validate(job: Job) -> tuple[Job, int]:
    """Write bronze and rejects; returns the job with its counts, and the rows of bronze.

    Raises Permanent when the file as a whole cannot be loaded: nothing of it is, then.
    """
    read = rejected = missing = rows = 0
    with job.world.landing.open(job.claim.landing) as stream, ExitStack() as layers:
        _check_bytes(stream, job.claim.sha256)
        schema = rules.bronze_schema(job.profile)
        bronze = layers.enter_context(job.world.lake.writer(job.path(Layer.BRONZE), schema))
        refused: LayerWriter | None = None
        for accepted in _accepted(stream, job):
            readings = _readings(accepted.bronze, job.profile.value_columns, job.profile.wide)
            bronze.write(accepted.bronze)
            if accepted.rejects:
                if refused is None:
                    path = job.path(Layer.REJECTS)
                    refused = layers.enter_context(job.world.lake.writer(path, REJECTS))
                refused.write(reject_batch(accepted.rejects))
            rows += len(accepted.bronze)
            read += readings + len(accepted.rejects)
            rejected += len(accepted.rejects)
            missing += accepted.missing
    if refused is None:  # nor those of an earlier try, by another profile
        job.world.lake.remove(job.path(Layer.REJECTS))
    job = job.counted(read=read, rejected=rejected, missing=missing)
    if not job.source.tolerates(rejected, read):
        found = f"{rejected:,} of {read:,} readings are rejected"
        raise TooManyRejects(job.counts, f"{found}, the source tolerates {job.source.max_rejects}")
    return job, rows


class TooManyRejects(Permanent):
    """Knows the counts, so that the ledger can show them."""

    def __init__(self, counts: Counts, message: str) -> None:
        super().__init__(Code.TOO_MANY_REJECTS, message)
        self.counts = counts

    def __reduce__(self) -> tuple[Any, ...]:
        return (TooManyRejects, (self.counts, self.message))


def _accepted(stream: BinaryIO, job: Job) -> Iterator[rules.Accepted]:
    def scratch() -> BinaryIO:
        return tempfile.SpooledTemporaryFile(SPILL)  # type: ignore[return-value]

    for chunk in formats.chunks(stream, job.profile, scratch):
        yield rules.accept(chunk, job.profile, job.base_name)


def _readings(bronze: pa.RecordBatch, columns: tuple[str, ...], wide: bool) -> int:
    """The readings that bronze rows stand for: every cell that is not null."""
    if not wide:
        return len(bronze)
    return sum(len(bronze) - bronze[name].null_count for name in columns)


def _check_bytes(stream: BinaryIO, sha256: bytes) -> None:
    found = hashlib.file_digest(stream, "sha256").digest()  # type: ignore[arg-type]
    if found != sha256:
        raise Permanent(
            Code.BYTES_CHANGED,
            f"the landed bytes have SHA-256 {found.hex()}, the ledger says {sha256.hex()}",
        )
    stream.seek(0)
