"""The manifest that is stored with a quarantined file. It contains everything needed to understand the
error and to replay the file."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sensorflow.core.account import Account
from sensorflow.core.arrival import printable
from sensorflow.errors import DO, REMEDY


def manifest(
    *,
    file_id: int,
    source: str,
    key: bytes,
    version: int,
    sha256: bytes,
    md5: bytes,
    size: int,
    landing: str,
    code: str,
    message: str,
    place: Mapping[str, Any],
    attempts: int,
    profile: str,
    profile_hash: str,
    code_version: str,
    received_at: datetime,
    quarantined_at: datetime,
    rows: Account,
    rejects: list[dict[str, Any]],
) -> dict[str, Any]:
    """Return the manifest as a JSON object. rejects: the first rejected rows. rows: the file's account when
    it was quarantined."""
    return {
        "manifest_version": 1,
        "file": {
            "id": file_id,
            "source": source,
            "name": printable(key),
            "name_bytes_hex": key.hex(),
            "version": version,
            "sha256": sha256.hex(),
            "md5": md5.hex(),
            "size": size,
            "landing": landing,
            "received_at": received_at.isoformat(),
        },
        "error": {
            "code": code,
            "message": message,
            "where": {name: value for name, value in place.items() if name != DO},
            "what_to_do": place.get(DO) or next((REMEDY[c] for c in REMEDY if c == code), None),
            "first_rejects": rejects,
        },
        "rows": {
            "read": rows.read,
            "loaded": rows.loaded,
            "rejected": rows.rejected,
            "duplicate": rows.duplicate,
            "not_loaded": rows.not_loaded,
        },
        "attempts": attempts,
        "profile": {"name": profile, "hash": profile_hash},
        "sensorflow_version": code_version,
        "quarantined_at": quarantined_at.isoformat(),
        "replay": f"sensorflow quarantine replay {file_id}",
    }
