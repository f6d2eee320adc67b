"""Compare a file's bytes with the sender's announcement in a gate."""

from __future__ import annotations

import hashlib
from functools import partial

from sensorflow.core.gates.announced import Announced, differs
from sensorflow.errors import Code, Permanent
from sensorflow.flow.file_task import FileTask


def announced(file_task: FileTask) -> Announced | None:
    """Returns the properties of a claimed file that a gate has announced. Returns None if no gate announced
    the file, or if the source has no gates.

    If several gates announced the file, returns the newest announcement that matches the file's bytes.
    Raises Permanent GATE_MISMATCH if none matches.
    """
    if not file_task.source.is_gated:
        return None
    announced_facts = file_task.services.ledger.announced(file_task.claim.file_id)
    faults = [
        differs(one, file_task.claim.size, partial(_digest, file_task)) for one in announced_facts
    ]
    for one, fault in zip(announced_facts, faults, strict=True):
        if fault is None:
            return one
    if faults:
        raise Permanent(Code.GATE_MISMATCH, str(faults[0]))
    return None


def _digest(file_task: FileTask, algorithm: str) -> str:
    """Returns a digest of the landed bytes. SHA-256 and MD5 are not computed again, because landing has
    computed them."""
    known = {"sha256": file_task.claim.sha256, "md5": file_task.claim.md5}
    if algorithm in known:
        return known[algorithm].hex()
    with file_task.services.landing.open(file_task.claim.landing) as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()  # type: ignore[arg-type]
