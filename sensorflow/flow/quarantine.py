"""Quarantine a file that cannot be loaded, with a manifest that states the reason and how to replay it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sensorflow.core.account import account
from sensorflow.core.manifest import manifest
from sensorflow.core.partitions import Layer
from sensorflow.core.states import State
from sensorflow.errors import Code, Permanent, Transient
from sensorflow.flow.work import Job

SAMPLE = 20
"""Maximum number of rejected rows in a manifest."""


def quarantine(job: Job) -> str:
    """Copy the file, write its manifest and remove its silver. Returns its location in the quarantine zone.

    The bytes are copied and synced before the manifest is written, and both before the ledger's state
    changes.
    """
    claim, world, before = job.claim, job.world, job.progress
    code, message, place = before.error or (str(Code.UNEXPECTED), "no reason was recorded", {})
    profile, profile_hash = _profile(job)
    record = manifest(
        file_id=claim.file_id,
        source=claim.source,
        key=claim.key,
        version=claim.version,
        sha256=claim.sha256,
        md5=claim.md5,
        size=claim.size,
        landing=claim.landing,
        code=code,
        message=message,
        place=place,
        attempts=place.get("attempts", claim.attempt),
        profile=profile,
        profile_hash=profile_hash,
        code_version=world.code_version,
        received_at=claim.received_at,
        quarantined_at=datetime.now(UTC),
        rows=account(State.QUARANTINED, **vars(job.counts)),
        rejects=_sample(job),
    )
    folder = f"{claim.source}/{claim.file_id}-v{claim.version}-{before.quarantines + 1}"
    name = claim.key.rsplit(b"/", 1)[-1]
    with world.landing.open(claim.landing) as stream:
        where = world.quarantine.put(folder, name, stream, record)
    world.lake.delete(Layer.SILVER, job.file)
    return where


def _profile(job: Job) -> tuple[str, str]:
    try:
        return job.profile_name, job.profile.hash
    except Permanent:
        return "", ""


def _sample(job: Job) -> list[dict[str, Any]]:
    try:
        batch = next(job.world.lake.read(Layer.REJECTS, job.file), None)
    except Transient:  # rejects are written only when there are any
        return []
    return [] if batch is None else batch.slice(0, SAMPLE).to_pylist()
