"""Landed bytes -> bronze rows and rejects."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, BinaryIO

from sensorflow.core import reading
from sensorflow.core.formats.chunk import reject_batch
from sensorflow.core.judge import Accepted
from sensorflow.core.partitions import Layer
from sensorflow.core.readings import BRONZE, REJECTS
from sensorflow.errors import Code, Permanent
from sensorflow.flow.work import Job
from sensorflow.ports import Counts, LayerWriter

SPILL = 16 << 20


def validate(job: Job) -> tuple[Job, int, str]:
    """Write bronze and rejects; returns the job with its counts, the rows of bronze, and what drifted.

    Raises Permanent when the file as a whole cannot be loaded: nothing of it is, then.
    """
    read = rejected = missing = rows = 0
    drift: dict[str, None] = {}
    with job.world.landing.open(job.claim.landing) as stream, ExitStack() as layers:
        _check_bytes(stream, job.claim.sha256)
        bronze = layers.enter_context(job.world.lake.writer(job.path(Layer.BRONZE), BRONZE))
        refused: LayerWriter | None = None
        for accepted in _accepted(stream, job):
            bronze.write(accepted.bronze)
            if accepted.rejects:
                if refused is None:
                    path = job.path(Layer.REJECTS)
                    refused = layers.enter_context(job.world.lake.writer(path, REJECTS))
                refused.write(reject_batch(accepted.rejects))
            rows += len(accepted.bronze)
            read += accepted.readings
            rejected += len(accepted.rejects)
            missing += accepted.missing
            drift.update(dict.fromkeys(accepted.drift))
        if job.claim.again:  # what an earlier load left is not replaced by what will not be loaded
            _tolerate(job.counted(read=read, rejected=rejected, missing=missing))
    if refused is None:  # nor those of an earlier try, by another profile
        job.world.lake.remove(job.path(Layer.REJECTS))
    job = job.counted(read=read, rejected=rejected, missing=missing)
    _tolerate(job)
    note = "; ".join(list(drift)[:10])
    return job, rows, f"drift: {note}"[:1000] if note else ""


def _tolerate(job: Job) -> None:
    rejected, read = job.counts.rejected, job.counts.read
    if not job.source.tolerates(rejected, read):
        found = f"{rejected:,} of {read:,} readings are rejected"
        raise TooManyRejects(job.counts, f"{found}, the source tolerates {job.source.max_rejects}")


class TooManyRejects(Permanent):
    """Knows the counts, so that the ledger can show them."""

    def __init__(self, counts: Counts, message: str) -> None:
        super().__init__(Code.TOO_MANY_REJECTS, message)
        self.counts = counts

    def __reduce__(self) -> tuple[Any, ...]:
        return (TooManyRejects, (self.counts, self.message))


def _accepted(stream: BinaryIO, job: Job) -> Iterator[Accepted]:
    received = int(job.claim.received_at.timestamp()) * 10**9
    began, limit = time.monotonic(), job.profile.max_seconds
    for accepted in reading.read(
        stream, job.profile, job.place, scratch, job.source.drift, received
    ):
        yield accepted
        if time.monotonic() - began > limit:
            raise Permanent(Code.TOO_SLOW, f"the file took more than {limit:g} s to read")


def scratch() -> BinaryIO:
    return tempfile.SpooledTemporaryFile(SPILL)  # type: ignore[return-value]


def _check_bytes(stream: BinaryIO, sha256: bytes) -> None:
    found = hashlib.file_digest(stream, "sha256").digest()  # type: ignore[arg-type]
    if found != sha256:
        raise Permanent(
            Code.BYTES_CHANGED,
            f"the landed bytes have SHA-256 {found.hex()}, the ledger says {sha256.hex()}",
        )
    stream.seek(0)
