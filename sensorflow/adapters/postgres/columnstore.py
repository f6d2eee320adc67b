"""The columnstore of TimescaleDB: which readings are in it. Loads, corrections and undo are slower there.

On plain PostgreSQL, and with the Apache-only build, nothing is in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from sensorflow.adapters.postgres.connect import engine_of, translated
from sensorflow.adapters.postgres.queries import run

MANY = 100_000
"""Number of readings whose change in the columnstore takes seconds."""


@dataclass(frozen=True)
class Columnstore:
    """The chunks of the readings. chunks: number of all chunks. stored: number of chunks in the
    columnstore. until: the end of the newest of these."""

    chunks: int
    stored: int
    until: datetime


def exists(c: sa.Connection) -> bool:
    """Whether raw_readings is a hypertable."""
    return bool(run(c, "has_chunks").scalar_one())


def columnstore(url: str) -> Columnstore | None:
    """Return the columnstore of the readings; None if no readings are in it. Raises Transient DATABASE."""
    engine = engine_of(url, poolclass=sa.pool.NullPool)
    with translated(), engine.connect() as c:
        if not exists(c):
            return None
        row = run(c, "columnstore").one()
    return Columnstore(row.chunks, row.stored, row.until) if row.stored else None


def readings_there(url: str, file_ids: Sequence[int]) -> int:
    """Return the number of readings of those files that have some of their readings in the columnstore.
    Raises Transient DATABASE."""
    engine = engine_of(url, poolclass=sa.pool.NullPool)
    with translated(), engine.connect() as c:
        if not exists(c):
            return 0
        return int(run(c, "columnstore_readings", ids=list(file_ids)).scalar_one())


def months_there(c: sa.Connection, months: Sequence[datetime]) -> list[datetime]:
    """Return those of the months (their starts) that have readings in the columnstore. raw_readings must be
    a hypertable."""
    return list(run(c, "columnstore_months", months=list(months)).scalars())
