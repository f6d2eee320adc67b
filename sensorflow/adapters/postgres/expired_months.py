"""Drops the partitions of months whose readings have all expired, instead of deleting row by row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from sensorflow.adapters.postgres.history import Events
from sensorflow.adapters.postgres.queries import run
from sensorflow.adapters.postgres.touched import record
from sensorflow.core.events import FileEvent
from sensorflow.core.touched import Touched
from sensorflow.ports.maintenance import Expirable, Expired

MOST = 50
"""Maximum number of months dropped per transaction, because each needs entries in the shared lock table."""

Span = tuple[datetime, datetime]


class MonthKept(Exception):
    """A month cannot be dropped: it contains readings of other files, or it is in use. low: its start; None
    if all readings are in use."""

    def __init__(self, low: datetime | None) -> None:
        super().__init__(low)
        self.low = low


def expired_months(c: sa.Connection, ages: Mapping[str, float], but: set[datetime]) -> list[Span]:
    """Return the months (start, end) in which all files have expired, except those in `but`.

    ages: source -> age in seconds.
    """
    rows = run(c, "expired_months", **_facts(ages), most=MOST + len(but)).all()
    return [(row.low, row.high) for row in rows if row.low not in but][:MOST]


def expire_months(
    c: sa.Connection, actor: str, ages: Mapping[str, float], months: list[Span]
) -> list[Expired]:
    """Mark the rows of all files of these months as expired, and drop the months. Rows of these files in
    other months are deleted. Returns what was expired, for each source.

    Raises MonthKept if a month cannot be dropped. The caller must then roll the transaction back.
    """
    lows = [low for low, _ in months]
    c.execute(sa.text("SET LOCAL statement_timeout = 0"))  # the months are read completely
    files = run(
        c, "expire_months", **_facts(ages), lows=lows, highs=[high for _, high in months]
    ).all()
    events = Events(actor)
    for row in files:
        events.add(row.id, FileEvent.EXPIRED, row.stage, why=str(Expirable.ROWS))
    events.write(c)
    changed = [*months, *_delete_elsewhere(c, files, lows)]
    record(c, [Touched("").over(low, high - timedelta(microseconds=1)) for low, high in changed])
    ids = [row.id for row in files]
    done = run(c, "drop_expired_months", lows=lows, ids=ids).one()
    if done.outcome != "dropped":
        raise MonthKept(done.month)
    return [_expired(source, files) for source in sorted({row.source for row in files})]


def _delete_elsewhere(
    c: sa.Connection, files: list[Any] | Any, lows: list[datetime]
) -> Iterator[Span]:
    """Delete the rows of these files in the months that are not dropped. Yields their time spans (start,
    end)."""
    spans = {"firsts": [row.ts_min for row in files], "lasts": [row.ts_max for row in files]}
    for month in run(c, "kept_months", **spans, lows=lows).all():
        within = [row for row in files if row.ts_min < month.high and row.ts_max >= month.low]
        low = max(month.low, min(row.ts_min for row in within))
        high = min(month.high, max(row.ts_max for row in within) + timedelta(microseconds=1))
        run(c, "delete_rows_of_month", ids=[row.id for row in within], low=low, high=high)
        yield low, high


def _expired(source: str, files: list[Any] | Any) -> Expired:
    touched, count = Touched(source), 0
    for row in files:
        if row.source == source:
            touched, count = touched.over(row.ts_min, row.ts_max), count + 1
    return Expired(count, touched)


def _facts(ages: Mapping[str, float]) -> dict[str, Any]:
    return {"sources": list(ages), "ages": list(ages.values())}
