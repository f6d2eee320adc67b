"""Seal a month's partition with a unique index, which proves that the month has no duplicate readings.

Used only with `dedupe_index = "deferred"`. Nothing is deleted here: duplicates are reported.
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

QUIET = 3600.0
"""Seconds without a load into a month before beat seals it. Building the index blocks loads of the
month, and the finished index slows them down."""
AGAIN = timedelta(days=1)
"""How long beat skips a month with duplicates, and how late a month may be sealed."""
SHOWN = 20


class Outcome(StrEnum):
    """Outcomes of `close_reading_partition`."""

    CLOSED = "closed"
    DOUBLED = "doubled"  # the month has duplicate readings
    LOADING = "loading"  # a load into the month is running
    ANOTHER = "another"  # another process is sealing a month
    OPEN = "open"  # the month is not over, or `dedupe_index` is not "deferred"


@dataclass(frozen=True)
class Month:
    """The partition of a month. due: the month has been over for the requested time. busy: loaded into
    within `QUIET`.

    doubled_at: when duplicates were last found, or None if none were found or the month has been sealed
    since.
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
class Doubled:
    """A reading that exists more than once, and the files and lines that it came from."""

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
class Closing:
    """Result of sealing a month. total: number of duplicated readings. rows: the first few of them."""

    month: Month
    outcome: Outcome
    seconds: float = 0.0
    total: int = 0
    rows: tuple[Doubled, ...] = ()


def months(url: str, after: timedelta, quiet: timedelta = timedelta(seconds=QUIET)) -> list[Month]:
    """Return all months of readings: `due` if over for `after`, `busy` if loaded into within `quiet`.
    Raises Transient DATABASE."""
    engine = engine_of(url, poolclass=sa.pool.NullPool)
    with translated(), engine.connect() as c:
        return months_of(c, after, quiet)


def months_of(
    c: sa.Connection, after: timedelta, quiet: timedelta = timedelta(seconds=QUIET)
) -> list[Month]:
    """Return all months of readings. quiet: a month that was loaded into within this time is `busy`."""
    facts = {"after": after.total_seconds(), "quiet": quiet.total_seconds()}
    rows = run(c, "months", **facts).mappings()
    return [Month(**row) for row in rows]


def ripe(found: list[Month], now: datetime) -> list[Month]:
    """Return the months that beat is to seal: over for long enough, not busy, no duplicates found
    recently."""
    return [
        m
        for m in found
        if m.due
        and not (m.closed or m.busy)
        and (m.doubled_at is None or m.doubled_at < now - AGAIN)
    ]


def close(url: str, wanted: list[Month]) -> Iterator[Closing]:
    """Seal these months one by one, and log each result. Raises Transient DATABASE.

    Idempotent, and safe to run concurrently. Each month is one autocommitted statement: a process killed
    while sealing leaves a complete index or none.
    """
    engine = engine_of(url, poolclass=sa.pool.NullPool)
    for month in wanted:
        with translated(), engine.connect() as c:
            c = c.execution_options(isolation_level="AUTOCOMMIT")
            c.execute(sa.text("SET statement_timeout = 0"))
            done = _close(c, month)
        _tell(done)
        yield done


def _close(c: sa.Connection, month: Month) -> Closing:
    began = time.perf_counter()
    outcome = Outcome(run(c, "close_month", low=month.low).scalar_one())
    seconds = time.perf_counter() - began
    if outcome is not Outcome.DOUBLED:
        return Closing(month, outcome, seconds)
    rows = run(c, "doubled", low=month.low, high=month.high, most=SHOWN).all()
    return Closing(
        month, outcome, seconds, rows[0].total if rows else 0, tuple(map(_doubled, rows))
    )


def _doubled(row: Any) -> Doubled:
    return Doubled(
        row.ts, row.sensor_id, row.reading_type, tuple(row.file_ids), tuple(row.line_nos)
    )


def _tell(done: Closing) -> None:
    if done.outcome is Outcome.CLOSED:
        emit(Event.MONTH_CLOSED, month=done.month.name, seconds=round(done.seconds, 1))
    elif done.outcome is Outcome.DOUBLED:
        rows = [str(row) for row in done.rows]
        emit(Event.MONTH_DOUBLED, month=done.month.name, total=done.total, rows=rows)
