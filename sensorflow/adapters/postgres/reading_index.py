"""Builds the reading index of partitions into which nothing is loaded any more.

The index answers questions about one sensor without reading the whole partition. It is built on the
partition and not on raw_readings, because PostgreSQL would then create it on every new partition, and a
second index halves the speed of COPY into the partitions that are loaded.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import psycopg
import sqlalchemy as sa

from sensorflow.adapters.postgres.connect import engine_of, translated
from sensorflow.adapters.postgres.queries import run
from sensorflow.adapters.postgres.sealing import QUIET_SECONDS
from sensorflow.core.partition_width import partition_name
from sensorflow.errors import Transient
from sensorflow.telemetry import Event, emit

COLUMNS = "(sensor_id, reading_type, ts) INCLUDE (value, unit, quality)"
"""The values are included, so that a month of a sensor is read from a few pages of the index instead of as
many pages of the table as the sensor has readings. Migration 0020 contains the same text."""
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
    OPEN = "open"  # the time range is not over


@dataclass(frozen=True)
class UnindexedPartition:
    """A partition without a reading index. name: name of its table. low, high: its time range, without
    `high`. owned: whether the user of the database owns it. busy: whether a file was loaded into it
    recently."""

    name: str
    low: datetime
    high: datetime
    owned: bool
    busy: bool

    @property
    def time_range(self) -> str:
        """Returns the time range, such as "2026-01"; see `core.partition_width.partition_name`."""
        return partition_name(self.low.astimezone(UTC), self.high.astimezone(UTC))


def index_partitions(
    url: str, quiet: float = QUIET_SECONDS, smallest: int = SMALLEST_BYTES
) -> dict[str, str]:
    """Build the reading index of each partition whose time range is over, if no file was loaded into it
    within the last `quiet` seconds and it has at least `smallest` bytes. Newer partitions come first.

    Returns time range -> outcome. Idempotent, and safe to run concurrently. If a build is killed, the next
    call removes what it has left and builds the index again. Raises Transient DATABASE.
    """
    engine = engine_of(url, poolclass=sa.pool.NullPool)
    with translated(), engine.connect() as c:
        rows = run(c, "unindexed_partitions", quiet=quiet, smallest=smallest).mappings()
        found = [UnindexedPartition(**row) for row in rows]
    done: dict[str, str] = {}
    began = time.monotonic()
    for partition in found:
        if partition.busy or time.monotonic() - began > RUN_SECONDS:
            continue
        done[partition.time_range] = outcome = _index(engine, partition)
        if outcome is IndexOutcome.BUSY:
            break
    return done


def _index(engine: sa.Engine, partition: UnindexedPartition) -> IndexOutcome:
    began = time.perf_counter()
    with translated(), engine.connect() as connection:
        c = connection.execution_options(isolation_level="AUTOCOMMIT")
        c.execute(sa.text("SET statement_timeout = 0"))
        if partition.owned:
            outcome = _index_concurrently(c, partition)
        else:
            outcome = IndexOutcome(run(c, "index_partition", low=partition.low).scalar_one())
    if outcome is IndexOutcome.INDEXED:
        seconds = round(time.perf_counter() - began, 1)
        emit(Event.PARTITION_INDEXED, partition=partition.time_range, seconds=seconds)
    return outcome


def _index_concurrently(c: sa.Connection, partition: UnindexedPartition) -> IndexOutcome:
    """Build the index while loads continue. The advisory lock belongs to the session, and ends with it."""
    if not run(c, "try_lock_indexes").scalar_one():
        return IndexOutcome.BUSY
    c.execute(sa.text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
    _drop_broken(c, partition)
    name = f'"{partition.name}"'
    try:
        c.execute(
            sa.text(
                f'CREATE INDEX CONCURRENTLY IF NOT EXISTS "{partition.name}_ix" ON {name} {COLUMNS}'
            )
        )
    except sa.exc.OperationalError as error:
        if not isinstance(error.orig, _GIVEN_UP):
            raise
        with suppress(Transient), translated():
            _drop_broken(c, partition)
        return IndexOutcome.LOADING
    # index-only scans need the visibility map, and an insert-only table is vacuumed rarely
    c.execute(sa.text(f"VACUUM (ANALYZE) {name}"))
    return IndexOutcome.INDEXED


def _drop_broken(c: sa.Connection, partition: UnindexedPartition) -> None:
    for index in run(c, "broken_index", name=partition.name).scalars():
        c.execute(sa.text(f"DROP INDEX CONCURRENTLY IF EXISTS {index}"))
