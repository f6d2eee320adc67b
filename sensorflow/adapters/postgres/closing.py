"""A month that is over gets its unique index, which proves that no reading of it is there twice.

Only where `dedupe_index` is "deferred". Nothing is ever deleted here: what is there twice is named.
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
"""Seconds without a load into a month, after which beat closes it: an index under way keeps loads of that
month waiting, and one that is there makes them slow."""
AGAIN = timedelta(days=1)
"""How long beat leaves a month alone that has doubled rows, and how late a month may be closed."""
SHOWN = 20


class Outcome(StrEnum):
    """What `close_reading_partition` says."""

    CLOSED = "closed"
    DOUBLED = "doubled"  # readings are there twice
    LOADING = "loading"  # somebody is loading readings of it
    ANOTHER = "another"  # somebody else is closing a month
    OPEN = "open"  # it is not over, or not for `dedupe_index = "deferred"`


@dataclass(frozen=True)
class Month:
    """A month's partition. due: over for so long as was asked. busy: loaded into within `QUIET`.

    doubled_at: when readings were found to be there twice, and it was not closed since.
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
    """A reading that is there more than once, and the files and lines that brought it."""

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
    """What became of a month. total: how many readings are there more than once; rows: the first few."""

    month: Month
    outcome: Outcome
    seconds: float = 0.0
    total: int = 0
    rows: tuple[Doubled, ...] = ()


def months(url: str, after: timedelta, quiet: timedelta = timedelta(seconds=QUIET)) -> list[Month]:
    """All months of readings; `due` when over for `after`, `busy` when loaded into within `quiet`. Raises
    Transient DATABASE."""
    engine = engine_of(url, poolclass=sa.pool.NullPool)
    with translated(), engine.connect() as c:
        return months_of(c, after, quiet)


def months_of(
    c: sa.Connection, after: timedelta, quiet: timedelta = timedelta(seconds=QUIET)
) -> list[Month]:
    """quiet: a month that was loaded into within this time is `busy`."""
    facts = {"after": after.total_seconds(), "quiet": quiet.total_seconds()}
    rows = run(c, "months", **facts).mappings()
    return [Month(**row) for row in rows]


def ripe(found: list[Month], now: datetime) -> list[Month]:
    """Those that beat is to close: over for long enough, quiet, and not found doubled a moment ago."""
    return [
        m
        for m in found
        if m.due
        and not (m.closed or m.busy)
        and (m.doubled_at is None or m.doubled_at < now - AGAIN)
    ]


def close(url: str, wanted: list[Month]) -> Iterator[Closing]:
    """Close these, one after the other, and log what came of it. Raises Transient DATABASE.

    Idempotent, and safe with others that do the same. Each month is one statement that commits by
    itself: a closer that is killed leaves a whole index or none.
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
