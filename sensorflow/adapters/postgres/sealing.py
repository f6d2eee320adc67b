"""Seals partitions. To seal a partition means to create its unique index, which proves that it has no
duplicate readings.

Used only in the index mode "deferred" (see `indexing`). Duplicates are only reported, never deleted.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from sensorflow.adapters.postgres.connect import engine_of, translated
from sensorflow.adapters.postgres.queries import run
from sensorflow.core.partition_width import partition_name
from sensorflow.telemetry import Event, emit

QUIET_SECONDS = 3600.0
"""Beat seals a partition only if no file was loaded into it for this number of seconds. Loads into a
partition wait while its index is built, and are slower afterwards."""
RETRY_AFTER = timedelta(days=1)
"""Time for which beat skips a partition after it has found duplicates in it. Also the delay after which the
audit reports a partition that should be sealed but is not."""
MAX_SHOWN = 20


class SealOutcome(StrEnum):
    """The outcome of an attempt to seal a partition, as the database function `close_reading_partition`
    returns it."""

    SEALED = "closed"
    DUPLICATES = "doubled"  # the partition has duplicate readings
    LOADING = "loading"  # a load into the partition is running
    BUSY = "another"  # another process is sealing a partition
    OPEN = "open"  # the time range is not over, or `dedupe_index` is not "deferred"


@dataclass(frozen=True)
class Partition:
    """A partition of readings. low, high: its time range in UTC, without `high`. closed: whether it is
    sealed. due, busy: see the function `partitions`.

    doubled_at: the time at which an attempt to seal the partition last found duplicates; None if no attempt
    has found any, or if it was sealed later.
    """

    low: datetime
    high: datetime
    closed: bool
    doubled_at: datetime | None
    due: bool
    busy: bool

    @property
    def name(self) -> str:
        """Returns the time range, such as "2026-02"; see `core.partition_width.partition_name`."""
        return partition_name(self.low, self.high)

    def is_within(self, month: str) -> bool:
        """Return whether the partition has the name `month`, or is a part of this month ("2026-02")."""
        return month in (self.name, self.name[: len("YYYY-MM")])


@dataclass(frozen=True)
class DuplicateReading:
    """A reading that the database contains more than once. file_ids, line_nos: for each of its rows, the
    id of the file and the line number in this file."""

    ts: datetime
    sensor_id: str
    reading_type: str
    file_ids: tuple[int, ...]
    line_nos: tuple[int, ...]

    def __str__(self) -> str:
        places = zip(self.file_ids, self.line_nos, strict=True)
        where = ", ".join(f"file {file_id} line {line}" for file_id, line in places)
        return f"{self.ts.isoformat()} {self.sensor_id} {self.reading_type}: {where}"


@dataclass(frozen=True)
class SealResult:
    """The result of an attempt to seal a partition. seconds: duration of the attempt. total: number of
    readings that exist more than once. rows: at most `MAX_SHOWN` of these readings."""

    partition: Partition
    outcome: SealOutcome
    seconds: float = 0.0
    total: int = 0
    rows: tuple[DuplicateReading, ...] = ()


def partitions(
    url: str, after: timedelta, quiet: timedelta = timedelta(seconds=QUIET_SECONDS)
) -> list[Partition]:
    """Return all partitions. after: a partition is `due` if its time range has been over for this time.
    quiet: a partition is `busy` if a file was loaded into it within this time. Raises Transient DATABASE if
    the database is unavailable."""
    engine = engine_of(url, poolclass=sa.pool.NullPool)
    with translated(), engine.connect() as c:
        return partitions_of(c, after, quiet)


def partitions_of(
    c: sa.Connection, after: timedelta, quiet: timedelta = timedelta(seconds=QUIET_SECONDS)
) -> list[Partition]:
    """Return what `partitions` returns, but query an existing connection."""
    facts = {"after": after.total_seconds(), "quiet": quiet.total_seconds()}
    found = [Partition(**row) for row in run(c, "sealable_partitions", **facts).mappings()]
    return [
        replace(one, low=one.low.astimezone(UTC), high=one.high.astimezone(UTC)) for one in found
    ]


def sealable(found: list[Partition], now: datetime) -> list[Partition]:
    """Return those of the partitions `found` that beat must seal now: unsealed partitions that are due, are
    not busy, and had no duplicates in the last `RETRY_AFTER`."""
    return [
        one
        for one in found
        if one.due
        and not (one.closed or one.busy)
        and (one.doubled_at is None or one.doubled_at < now - RETRY_AFTER)
    ]


def seal(url: str, wanted: list[Partition]) -> Iterator[SealResult]:
    """Seal the partitions `wanted` one by one, and log and yield each result. Raises Transient DATABASE if
    the database is unavailable.

    Idempotent, and safe to run concurrently. Each partition is sealed by one autocommitted statement, so
    that the index is complete or absent even if the process is killed.
    """
    engine = engine_of(url, poolclass=sa.pool.NullPool)
    for partition in wanted:
        with translated(), engine.connect() as c:
            c = c.execution_options(isolation_level="AUTOCOMMIT")
            c.execute(sa.text("SET statement_timeout = 0"))
            done = _seal(c, partition)
        _log_result(done)
        yield done


def _seal(c: sa.Connection, partition: Partition) -> SealResult:
    began = time.perf_counter()
    outcome = SealOutcome(run(c, "close_partition", low=partition.low).scalar_one())
    seconds = time.perf_counter() - began
    if outcome is not SealOutcome.DUPLICATES:
        return SealResult(partition, outcome, seconds)
    rows = run(c, "doubled", low=partition.low, high=partition.high, most=MAX_SHOWN).all()
    return SealResult(
        partition, outcome, seconds, rows[0].total if rows else 0, tuple(map(_duplicate_of, rows))
    )


def _duplicate_of(row: Any) -> DuplicateReading:
    return DuplicateReading(
        row.ts, row.sensor_id, row.reading_type, tuple(row.file_ids), tuple(row.line_nos)
    )


def _log_result(done: SealResult) -> None:
    if done.outcome is SealOutcome.SEALED:
        emit(Event.PARTITION_SEALED, partition=done.partition.name, seconds=round(done.seconds, 1))
    elif done.outcome is SealOutcome.DUPLICATES:
        rows = [str(row) for row in done.rows]
        emit(
            Event.PARTITION_DUPLICATES_FOUND,
            partition=done.partition.name,
            total=done.total,
            rows=rows,
        )
