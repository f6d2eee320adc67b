"""Builds the reading index of months into which nothing is loaded any more.

The index answers questions about one sensor without reading the whole month. It is built on the partition
and not on raw_readings, because PostgreSQL would then create it on every new partition, and a second index
halves the speed of COPY into the months that are loaded.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import psycopg
import sqlalchemy as sa

from sensorflow.adapters.postgres.connect import engine_of, translated
from sensorflow.adapters.postgres.queries import run
from sensorflow.adapters.postgres.sealing import QUIET_SECONDS
from sensorflow.errors import Transient
from sensorflow.telemetry import Event, emit

COLUMNS = "(sensor_id, reading_type, ts) INCLUDE (value, unit, quality)"
"""The values are included, so that a month of a sensor is read from a few pages of the index instead of as
many pages of the table as the sensor has readings. Migration 0019 contains the same text."""
SMALLEST_BYTES = 8 << 20
"""Size of the smallest partition that gets an index. A smaller partition is read faster than 20 ms without
an index, and each index adds to the planning time of all queries."""
RUN_SECONDS = 300.0
"""Seconds after which a run starts no further build, so that other periodic steps do not wait long."""
LOCK_TIMEOUT = "10min"
"""CREATE INDEX CONCURRENTLY waits for all older transactions, such as exports and backups."""

_GIVEN_UP = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.QueryCanceled,
)


class IndexOutcome(StrEnum):
    """Outcomes of building a reading index."""

    INDEXED = "indexed"
    LOADING = "loading"  # a load, or another transaction, has not ended in time
    BUSY = "another"  # another process is building or changing an index
    OPEN = "open"  # the month is not over


@dataclass(frozen=True)
class UnindexedMonth:
    """A month without a reading index. name: name of the partition. owned: whether the user of the database
    owns the partition. busy: whether a file was loaded into the month recently."""

    name: str
    low: Any
    owned: bool
    busy: bool

    @property
    def month(self) -> str:
        """Returns the month, such as "2026-01"."""
        return self.name[-7:].replace("_", "-")


def index_months(
    url: str, quiet: float = QUIET_SECONDS, smallest: int = SMALLEST_BYTES
) -> dict[str, str]:
    """Build the reading index of each month that is over, if no file was loaded into the month within the
    last `quiet` seconds and its partition has at least `smallest` bytes. Newer months come first.

    Returns month -> outcome. Idempotent, and safe to run concurrently. If a build is killed, the next call
    removes what it has left and builds the index again. Raises Transient DATABASE.
    """
    engine = engine_of(url, poolclass=sa.pool.NullPool)
    with translated(), engine.connect() as c:
        rows = run(c, "unindexed_months", quiet=quiet, smallest=smallest).mappings()
        found = [UnindexedMonth(**row) for row in rows]
    done: dict[str, str] = {}
    began = time.monotonic()
    for month in found:
        if month.busy or time.monotonic() - began > RUN_SECONDS:
            continue
        done[month.month] = outcome = _index(engine, month)
        if outcome is IndexOutcome.BUSY:
            break
    return done


def _index(engine: sa.Engine, month: UnindexedMonth) -> IndexOutcome:
    began = time.perf_counter()
    with translated(), engine.connect() as connection:
        c = connection.execution_options(isolation_level="AUTOCOMMIT")
        c.execute(sa.text("SET statement_timeout = 0"))
        if month.owned:
            outcome = _index_concurrently(c, month)
        else:
            outcome = IndexOutcome(run(c, "index_month", low=month.low).scalar_one())
    if outcome is IndexOutcome.INDEXED:
        seconds = round(time.perf_counter() - began, 1)
        emit(Event.PARTITION_INDEXED, month=month.month, seconds=seconds)
    return outcome


def _index_concurrently(c: sa.Connection, month: UnindexedMonth) -> IndexOutcome:
    """Build the index while loads continue. The advisory lock belongs to the session, and ends with it."""
    if not run(c, "try_lock_indexes").scalar_one():
        return IndexOutcome.BUSY
    c.execute(sa.text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
    _drop_broken(c, month)
    name = f'"{month.name}"'
    try:
        c.execute(
            sa.text(
                f'CREATE INDEX CONCURRENTLY IF NOT EXISTS "{month.name}_ix" ON {name} {COLUMNS}'
            )
        )
    except sa.exc.OperationalError as error:
        if not isinstance(error.orig, _GIVEN_UP):
            raise
        with suppress(Transient), translated():
            _drop_broken(c, month)
        return IndexOutcome.LOADING
    # index-only scans need the visibility map, and an insert-only table is vacuumed rarely
    c.execute(sa.text(f"VACUUM (ANALYZE) {name}"))
    return IndexOutcome.INDEXED


def _drop_broken(c: sa.Connection, month: UnindexedMonth) -> None:
    for index in run(c, "broken_index", name=month.name).scalars():
        c.execute(sa.text(f"DROP INDEX CONCURRENTLY IF EXISTS {index}"))
