"""Whether the bytes of a file are those that its sender announced."""

from __future__ import annotations

import hashlib
from functools import partial

from sensorflow.core.gates.announced import Announced, differs
from sensorflow.errors import Code, Permanent
from sensorflow.flow.work import Job


def announced(job: Job) -> Announced | None:
    """What a gate says of a claimed file; None where none has said anything, or the source has no gates.

    Of several gates the newest that its bytes agree with. Raises Permanent GATE_MISMATCH where they agree
    with none.
    """
    if not job.source.is_gated:
        return None
    said = job.world.ledger.announced(job.claim.file_id)
    faults = [differs(one, job.claim.size, partial(_digest, job)) for one in said]
    for one, fault in zip(said, faults, strict=True):
        if fault is None:
            return one
    if faults:
        raise Permanent(Code.GATE_MISMATCH, str(faults[0]))
    return None


def _digest(job: Job, algorithm: str) -> str:
    """Of the landed bytes, which were hashed as they were landed."""
    known = {"sha256": job.claim.sha256, "md5": job.claim.md5}
    if algorithm in known:
        return known[algorithm].hex()
    with job.world.landing.open(job.claim.landing) as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()  # type: ignore[arg-type]
