"""What registrations ask of the database: who takes a source in, and what a file is known by."""

from __future__ import annotations

import sqlalchemy as sa

from sensorflow.adapters.postgres.queries import run
from sensorflow.core.names import canonical
from sensorflow.ports.intake import IntakeLease


def holds_intake(c: sa.Connection, lease: IntakeLease) -> bool:
    """Whether a source's intake lease is still the newest."""
    found = run(c, "intake_held", source=lease.source, token=lease.token)
    return bool(found.scalar_one())


def name_of(c: sa.Connection, source: str, key: bytes) -> bytes | None:
    """What a file is known by, where that is not its key.

    Names that were apart before they were compared composed stay apart: they are known by their key.
    """
    name = canonical(key)
    if name == key or run(c, "is_name", source=source, name=key).scalar_one():
        return None
    return name
