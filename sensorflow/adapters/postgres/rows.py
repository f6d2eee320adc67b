"""Converts between rows of the ledger and the types of the ports."""

from __future__ import annotations

import json
import sys
from dataclasses import fields
from typing import Any

import sqlalchemy as sa

from sensorflow.core.arrival import Arrival, Lane, OutboxEntry, printable
from sensorflow.core.growth import Part
from sensorflow.core.states import Stage, State
from sensorflow.core.trace import Trace
from sensorflow.errors import SensorflowError
from sensorflow.ports.audit import FileRecord
from sensorflow.ports.claims import Claim, Claimed, Progress
from sensorflow.ports.files import Counts, FileView


def count_values(counts: Counts) -> dict[str, int]:
    return {
        "read": counts.read,
        "rejected": counts.rejected,
        "duplicate": counts.duplicate,
        "missing": counts.missing,
    }


def error_values(error: SensorflowError) -> dict[str, Any]:
    place = json.dumps(error.place, default=str)
    return {"code": str(error.code), "detail": _storable(error.message), "place": place}


def _storable(text: str) -> str:
    """Return a text in which each NUL is escaped, because PostgreSQL's type `text` cannot contain NUL."""
    return text.replace("\0", "\\x00")


def counts_of(row: sa.RowMapping) -> Counts:
    return Counts(
        read=int(row["rows_read"]),
        loaded=int(row["rows_loaded"]),
        rejected=int(row["rows_rejected"]),
        duplicate=int(row["rows_duplicate"]),
        missing=int(row["rows_missing"]),
        replaced=int(row["rows_replaced"]),
    )


def claim_of(row: sa.Row[Any]) -> Claim:
    return Claim(
        file_id=row.id,
        token=row.lease_token,
        attempt=row.attempts,
        stage=Stage(row.stage),
        source=row.source,
        key=bytes(row.key),
        version=row.version,
        sha256=bytes(row.sha256),
        md5=bytes(row.md5),
        size=row.size,
        landing=row.landing,
        received_at=row.landed_at,
        retries=row.retries,
        sensor_type=row.sensor_type,
        profile=row.wanted_profile,
        has_loaded_rows=row.again,
        unpacked=row.unpacked,
        is_first_claim=row.fresh,
        part=part_of(row._mapping),
        name=bytes(row.name),
        first_key=bytes(row.first_key or row.key),
        trace=row.trace_id and Trace(bytes(row.trace_id), row.claimed_at, row.sent_at),
    )


def progress_of(row: sa.Row[Any]) -> Progress:
    error = None
    if row.error_code is not None:
        error = (row.error_code, row.error_detail, dict(row.error_place or {}))
    return Progress(counts_of(row._mapping), error, row.quarantines)


def unclaimed_of(row: sa.Row[Any]) -> Claimed:
    with_file = (row.other_why or "").removeprefix("together with file ")
    state = None if row.other_state is None else State(row.other_state)
    return Claimed([], {}, state, int(with_file) if with_file.isdecimal() else None)


_COMPUTED = {
    *("file_id", "key", "name", "sha256", "md5", "state", "stage", "counts", "checksum", "expired"),
    "known_as",
}
_UNCHANGED = tuple(field.name for field in fields(FileView) if field.name not in _COMPUTED)


def view_of(row: sa.RowMapping) -> FileView:
    """Convert a complete row of `files` to a `FileView`."""
    return FileView(
        file_id=row["id"],
        key=bytes(row["key"]),
        name=row["key_text"],
        sha256=bytes(row["sha256"]),
        md5=bytes(row["md5"]),
        state=State(row["state"]),
        stage=Stage(row["stage"]),
        counts=counts_of(row),
        checksum=None if row["checksum"] is None else int(row["checksum"]),
        expired=tuple(row["expired"]),
        known_as=None if row["name"] is None else bytes(row["name"]),
        **{name: row[name] for name in _UNCHANGED},
    )


def facts_of(arrival: Arrival) -> dict[str, Any]:
    landed = arrival.landed
    return {
        "key": arrival.key,
        "key_text": printable(arrival.key),
        "sha256": landed.sha256,
        "md5": landed.md5,
        "size": landed.size,
        # a file system may have times outside the range of a bigint of nanoseconds
        "mtime_ns": min(max(arrival.mtime_ns, -(2**63)), 2**63 - 1),
        "landing": landed.name,
        "sensor_type": arrival.sensor_type,
        "fingerprint": arrival.fingerprint,
        "discovered_at": arrival.discovered_at,
        "landed_at": arrival.landed_at,
        "lane": str(arrival.lane),
        "trace_id": arrival.trace_id,
    }


def part_of(row: sa.RowMapping) -> Part | None:
    """Convert a row with the columns of `growths` to a `Part`. Returns None if the columns are NULL,
    because the file is not a part of a growing file."""
    if row["root"] is None:
        return None
    return Part(
        root=row["root"],
        follows=row["follows"],
        byte_offset=row["byte_offset"],
        line_base=row["line_base"],
        rows_read=row["chain_read"],
        rows_rejected=row["chain_rejected"],
        ts_max=row["chain_ts_max"],
    )


def outbox_entry_of(row: sa.Row[Any]) -> OutboxEntry:
    return OutboxEntry(
        file_id=row.id,
        source=row.source,
        key=bytes(row.key),
        version=row.version,
        size=row.size,
        md5=bytes(row.md5),
        landing=row.landing,
        stage=Stage(row.stage),
        received_at=row.landed_at,
        token=row.token,
        lane=Lane(row.lane),
        trace_id=row.trace_id and bytes(row.trace_id),
    )


def stored_identity(identity: str) -> str:
    """Encode the file name that dedupe keys contain (`FileTask.identity`) for storage. Each NUL is
    replaced by two slashes, because PostgreSQL's type `text` cannot contain NUL. No file path contains two
    adjacent slashes."""
    return identity.replace("\0", "//")


def identity_of_row(stored: str | None) -> str | None:
    """Decode a file name that `stored_identity` has encoded."""
    return None if stored is None else stored.replace("//", "\0")


def record_of(row: sa.RowMapping) -> FileRecord:
    return FileRecord(
        file_id=row["id"],
        source=sys.intern(row["source"]),
        key=bytes(row["key"]),
        name=row["key_text"],
        version=row["version"],
        sha256=bytes(row["sha256"]),
        md5=bytes(row["md5"]),
        size=row["size"],
        landing=row["landing"],
        sensor_type=sys.intern(row["sensor_type"]),
        state=State(row["state"]),
        stage=Stage(row["stage"]),
        lane=sys.intern(row["lane"]),
        token=row["token"],
        received_at=row["landed_at"],
        finished_at=row["finished_at"],
        lease_until=row["lease_until"],
        not_before=row["not_before"],
        published_at=row["published_at"],
        moved_at=row["moved_at"],
        counts=counts_of(row),
        checksum=None if row["checksum"] is None else int(row["checksum"]),
        previous=row["previous"],
        quarantined_to=row["quarantined_to"],
        profile=row["profile"],
        profile_hash=row["profile_hash"],
        code_version=row["code_version"],
        identity=identity_of_row(row["identity"]),
        expired=tuple(row["expired"]),
        tidy=row["tidy"],
        part=part_of(row),
        members=row["members"],
    )
