"""The deep level: hash the landed originals, and process them again in all stages."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace

from sensorflow.core.findings import Fault
from sensorflow.core.partitions import Layer
from sensorflow.core.states import State
from sensorflow.errors import Code, Permanent, Transient
from sensorflow.flow.audit.context import (
    AuditContext,
    finding,
    identity_of_record,
    if_unchanged,
    landing_wanted,
)
from sensorflow.flow.audit.report import Report, Subset
from sensorflow.flow.audit.sums import silver_sums
from sensorflow.flow.file_task import CLAIMED_FOREVER, FileTask, spans_whole_source
from sensorflow.flow.landing import Landing
from sensorflow.flow.transform import transform
from sensorflow.flow.validate import validate
from sensorflow.ports.audit import FileRecord, Snapshot
from sensorflow.ports.claims import Claim
from sensorflow.ports.files import Counts

SETTINGS = (Code.TOO_MANY_REJECTS, Code.DRIFT, Code.TOO_SLOW)
"""Errors that depend on a source's settings, which the profile's hash does not cover."""


def reread(context: AuditContext, report: Report, snapshot: Snapshot, subset: Subset) -> None:
    """Verify the landed bytes of every file of the subset, and the readings of every loaded file of the
    subset."""
    others: Counter[str] = Counter()
    for record in context.selected:
        if subset.includes(record.file_id) and "landing" not in record.expired:
            is_intact = _hash(context, report, record)
            if is_intact and record.state is State.LOADED and record.members is None:
                reason = _reason_to_skip(context, record) or _read(
                    context, report, snapshot, record
                )
                others.update([reason] if reason else [])
    for reason, count in others.items():
        report.note(f"hashed but not read again: {count:,} files, {reason}")


def digest(landing: Landing, name: str) -> bytes:
    with landing.open(name) as stream:
        return hashlib.file_digest(stream, "sha256").digest()  # type: ignore[arg-type]


def _hash(context: AuditContext, report: Report, record: FileRecord) -> bool:
    """Returns whether the landed bytes are unchanged, and reports changed bytes. A wrong size or a missing
    object was reported by an earlier check."""
    landing = context.services.landing
    if landing.size(record.landing) != record.size:
        return False
    found = digest(landing, record.landing)
    if found != record.sha256:
        text = f"SHA-256 {found.hex()}"
        fault = finding(Fault.LANDING_HASH, record, f"SHA-256 {record.sha256.hex()}", text)
        report.add(fault, landing_wanted)
    return found == record.sha256


def _reason_to_skip(context: AuditContext, record: FileRecord) -> str:
    settings = context.services.settings
    if record.source not in settings.sources:
        return f"of source {record.source!r}, which is not in the settings"
    profile = settings.profile(record.profile or "", settings.sources[record.source])
    if profile is None or profile.hash != record.profile_hash:
        return f"loaded with an earlier definition of profile {record.profile!r}"
    return ""


def _read(context: AuditContext, report: Report, snapshot: Snapshot, record: FileRecord) -> str:
    """Process a file again and compare its readings with the ledger. Returns the reason if the file cannot
    be compared, else an empty string."""
    with context.scratch() as lake:
        file_task = FileTask(
            replace(context.services, lake=lake), claim_of(record), CLAIMED_FOREVER
        )
        try:
            file_task, _, _ = validate(file_task)
            file_task, _, _ = transform(file_task)
        except Permanent as error:
            if error.code in SETTINGS:
                return f"which the source's settings now reject ({error.code})"
            _differs(report, record, "the readings that were loaded", str(error))
            return ""
        except (Transient, OSError):
            raise
        except Exception as error:  # noqa: BLE001 - a defect must not affect the other files
            text = f"{type(error).__name__}: {error}"[:300]
            _differs(report, record, "the readings that were loaded", text)
            return ""
        found = silver_sums(
            context, snapshot, record, lake.read(Layer.SILVER, file_task.layer_file)
        )
    expected, reread_counts = _account(record.counts, record.checksum or 0), file_task.counts
    counts = _counts(record, reread_counts, found.own_rows, found.rows - found.own_rows)
    text = _account(counts, found.own_checksum)
    shared = spans_whole_source(record.source, identity_of_record(context, record))
    if text != expected and not (shared and "rows" in record.expired):
        _differs(report, record, expected, text)
    return ""


def _counts(record: FileRecord, reread_counts: Counts, own: int, others: int) -> Counts:
    """Returns the file's account for comparison with the ledger.

    own: number of its readings that the database stores under this file. others: number of its readings
    that the database stores under other files, because a newer file replaced them or another file delivered
    them first.
    """
    if record.counts.replaced:
        return replace(reread_counts, loaded=own + others, replaced=others)
    return replace(reread_counts, loaded=own, duplicate=reread_counts.duplicate + others)


def _account(c: Counts, checksum: int) -> str:
    return (
        f"read={c.read} loaded={c.loaded} rejected={c.rejected} duplicates={c.duplicate} "
        f"missing={c.missing} replaced={c.replaced} checksum={checksum}"
    )


def _differs(report: Report, record: FileRecord, expected: str, found: str) -> None:
    by = f" (loaded by sensorflow {record.code_version})"
    report.add(finding(Fault.READ_AGAIN, record, expected + by, found), if_unchanged(record))


def claim_of(record: FileRecord) -> Claim:
    """Returns a `Claim` with the record's data, for stages that need one. It cannot be used to commit,
    because its token is not valid."""
    return Claim(
        file_id=record.file_id,
        token=-1,
        attempt=1,
        stage=record.stage,
        source=record.source,
        key=record.key,
        version=record.version,
        sha256=record.sha256,
        md5=record.md5,
        size=record.size,
        landing=record.landing,
        received_at=record.received_at,
        retries=0,
        sensor_type=record.sensor_type,
        profile=record.profile,
        part=record.part,
    )
