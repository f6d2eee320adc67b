"""Seals months. To seal a month means to create the unique index of its partition, which proves that the
month has no duplicate readings.

Used only in the index mode "deferred" (see `indexing`). Duplicates are only reported, never deleted.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from sensorflow.adapters.postgres.connect import engine_of, translated
from sensorflow.adapters.postgres.queries import run
from sensorflow.telemetry import Event, emit

QUIET_SECONDS = 3600.0
"""Beat seals a month only if no file was loaded into it for this number of seconds. Loads into a month
wait while its index is built, and are slower afterwards."""
RETRY_AFTER = timedelta(days=1)
"""Time for which beat skips a month after it has found duplicates in it. Also the delay after which the
audit reports a month that should be sealed but is not."""
MAX_SHOWN = 20


class SealOutcome(StrEnum):
    """The outcome of an attempt to seal a month, as the database function `close_reading_partition`
    returns it."""

    SEALED = "closed"
    DUPLICATES = "doubled"  # the month has duplicate readings
    LOADING = "loading"  # a load into the month is running
    BUSY = "another"  # another process is sealing a month
    OPEN = "open"  # the month is not over, or `dedupe_index` is not "deferred"


@dataclass(frozen=True)
class MonthPartition:
    """The partition of a month. month: the first day of the month. low, high: the time range of the
    partition. closed: whether the month is sealed. due, busy: see the function `months`.

    doubled_at: the time at which an attempt to seal the month last found duplicates; None if no attempt has
    found any, or if the month was sealed later.
    """

    month: date
    low: datetime
    high: datetime
    closed: bool
    doubled_at: datetime | None
    due: bool
    busy: bool

    @property
    def name(self) -> str:
        return f"{self.month:%Y-%m}"


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
    """The result of an attempt to seal a month. seconds: duration of the attempt. total: number of
    readings that exist more than once. rows: at most `MAX_SHOWN` of these readings."""

    month: MonthPartition
    outcome: SealOutcome
    seconds: float = 0.0
    total: int = 0
    rows: tuple[DuplicateReading, ...] = ()


def months(
    url: str, after: timedelta, quiet: timedelta = timedelta(seconds=QUIET_SECONDS)
) -> list[MonthPartition]:
    """Return all months that have a partition. after: a month is `due` if it has been over for this time.
    quiet: a month is `busy` if a file was loaded into it within this time. Raises Transient DATABASE if the
    database is unavailable."""
    engine = engine_of(url, poolclass=sa.pool.NullPool)
    with translated(), engine.connect() as c:
        return months_of(c, after, quiet)


def months_of(
    c: sa.Connection, after: timedelta, quiet: timedelta = timedelta(seconds=QUIET_SECONDS)
) -> list[MonthPartition]:
    """Return what `months` returns, but query an existing connection."""
    facts = {"after": after.total_seconds(), "quiet": quiet.total_seconds()}
    rows = run(c, "months", **facts).mappings()
    return [MonthPartition(**row) for row in rows]


def sealable(found: list[MonthPartition], now: datetime) -> list[MonthPartition]:
    """Return those of the months `found` that beat must seal now: unsealed months that are due, are not
    busy, and had no duplicates in the last `RETRY_AFTER`."""
    return [
        m
        for m in found
        if m.due
        and not (m.closed or m.busy)
        and (m.doubled_at is None or m.doubled_at < now - RETRY_AFTER)
    ]


def seal(url: str, wanted: list[MonthPartition]) -> Iterator[SealResult]:
    """Seal the months `wanted` one by one, and log and yield each result. Raises Transient DATABASE if the
    database is unavailable.

    Idempotent, and safe to run concurrently. Each month is sealed by one autocommitted statement, so that
    the index is complete or absent even if the process is killed.
    """
    engine = engine_of(url, poolclass=sa.pool.NullPool)
    for month in wanted:
        with translated(), engine.connect() as c:
            c = c.execution_options(isolation_level="AUTOCOMMIT")
            c.execute(sa.text("SET statement_timeout = 0"))
            done = _seal(c, month)
        _log_result(done)
        yield done


def _seal(c: sa.Connection, month: MonthPartition) -> SealResult:
    began = time.perf_counter()
    outcome = SealOutcome(run(c, "close_month", low=month.low).scalar_one())
    seconds = time.perf_counter() - began
    if outcome is not SealOutcome.DUPLICATES:
        return SealResult(month, outcome, seconds)
    rows = run(c, "doubled", low=month.low, high=month.high, most=MAX_SHOWN).all()
    return SealResult(
        month, outcome, seconds, rows[0].total if rows else 0, tuple(map(_duplicate_of, rows))
    )


def _duplicate_of(row: Any) -> DuplicateReading:
    return DuplicateReading(
        row.ts, row.sensor_id, row.reading_type, tuple(row.file_ids), tuple(row.line_nos)
    )


def _log_result(done: SealResult) -> None:
    if done.outcome is SealOutcome.SEALED:
        emit(Event.PARTITION_SEALED, month=done.month.name, seconds=round(done.seconds, 1))
    elif done.outcome is SealOutcome.DUPLICATES:
        rows = [str(row) for row in done.rows]
        emit(Event.PARTITION_DUPLICATES_FOUND, month=done.month.name, total=done.total, rows=rows)
