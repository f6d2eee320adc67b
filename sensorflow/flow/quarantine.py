"""Quarantine a file that cannot be loaded. Its manifest states the reason and how to replay the file."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sensorflow.core.account import account
from sensorflow.core.manifest import manifest
from sensorflow.core.partitions import Layer
from sensorflow.core.states import State
from sensorflow.errors import Code, Permanent, Transient, quarantine_reason
from sensorflow.flow.file_task import FileTask

SAMPLE = 20
"""Maximum number of rejected rows in a manifest."""


def quarantine(file_task: FileTask) -> str:
    """Copy the file to the quarantine zone, write its manifest and remove its silver. Returns its location
    in the quarantine zone.

    The bytes are copied and synced before the manifest is written. The ledger's state changes last.
    """
    claim, services, before = file_task.claim, file_task.services, file_task.progress
    stored = before.error or (str(Code.UNEXPECTED), "no reason was recorded", {})
    code, message, place = quarantine_reason(*stored)
    profile, profile_hash = _profile(file_task)
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
        code_version=services.code_version,
        received_at=claim.received_at,
        quarantined_at=datetime.now(UTC),
        rows=account(State.QUARANTINED, **vars(file_task.counts)),
        rejects=_sample(file_task),
    )
    folder = f"{claim.source}/{claim.file_id}-v{claim.version}-{before.quarantines + 1}"
    name = claim.key.rsplit(b"/", 1)[-1]
    with services.landing.open(claim.landing) as stream:
        where = services.quarantine.put(folder, name, stream, record)
    services.lake.delete(Layer.SILVER, file_task.layer_file)
    return where


def _profile(file_task: FileTask) -> tuple[str, str]:
    try:
        return file_task.profile_name, file_task.profile.hash
    except Permanent:
        return "", ""


def _sample(file_task: FileTask) -> list[dict[str, Any]]:
    try:
        batch = next(file_task.services.lake.read(Layer.REJECTS, file_task.layer_file), None)
    except Transient:  # rejects are written only when there are any
        return []
    return [] if batch is None else batch.slice(0, SAMPLE).to_pylist()
