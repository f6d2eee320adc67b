"""Drops the partitions whose readings have all expired, instead of deleting row by row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
"""Maximum number of partitions dropped per transaction, because each needs entries in the shared lock
table."""

TimeRange = tuple[datetime, datetime]


class PartitionKept(Exception):
    """A partition cannot be dropped: it contains readings of other files, or it is in use. low: its start;
    None if all readings are in use."""

    def __init__(self, low: datetime | None) -> None:
        super().__init__(low)
        self.low = low


def expired_partitions(
    c: sa.Connection, ages: Mapping[str, float], but: set[datetime]
) -> list[TimeRange]:
    """Return the partitions (start, end) in which all files have expired, except those in `but`.

    ages: source -> age in seconds.
    """
    rows = run(c, "expired_partitions", **_facts(ages), most=MOST + len(but)).all()
    return [(row.low, row.high) for row in rows if row.low not in but][:MOST]


def expire_partitions(
    c: sa.Connection, actor: str, ages: Mapping[str, float], partitions: list[TimeRange]
) -> list[Expired]:
    """Mark the rows of all files of these partitions as expired, and drop the partitions. Rows of these
    files in other partitions are deleted. Returns what was expired, for each source.

    Raises PartitionKept if a partition cannot be dropped. The caller must then roll the transaction back.
    """
    lows = [low for low, _ in partitions]
    c.execute(sa.text("SET LOCAL statement_timeout = 0"))  # the partitions are read completely
    files = run(
        c, "expire_partitions", **_facts(ages), lows=lows, highs=[high for _, high in partitions]
    ).all()
    events = Events(actor)
    for row in files:
        events.add(row.id, FileEvent.EXPIRED, row.stage, why=str(Expirable.ROWS))
    events.write(c)
    changed = [*partitions, *delete_rows(c, files, lows)]
    record(c, [Touched("").over(low, high - timedelta(microseconds=1)) for low, high in changed])
    ids = [row.id for row in files]
    done = run(c, "drop_expired_partitions", lows=lows, ids=ids).one()
    if done.outcome != "dropped":
        raise PartitionKept(done.kept)
    return [_expired(source, files) for source in sorted({row.source for row in files})]


def delete_rows(
    c: sa.Connection, files: Sequence[Any], dropped: Sequence[datetime] = ()
) -> Iterator[TimeRange]:
    """Delete the rows of these files, with one statement per partition: a statement per file would read the
    readings of all sensors in its time span again. Yields the time ranges (start, end) with deleted rows.

    files: rows with the columns id, ts_min and ts_max, which are not NULL. dropped: the starts of
    partitions that are left out, because the caller drops them.
    """
    spans = {"firsts": [row.ts_min for row in files], "lasts": [row.ts_max for row in files]}
    for partition in run(c, "partitions_of_files", **spans, dropped=list(dropped)).all():
        within = [f for f in files if f.ts_min < partition.high and f.ts_max >= partition.low]
        low = max(partition.low, min(row.ts_min for row in within))
        high = min(partition.high, max(row.ts_max for row in within) + timedelta(microseconds=1))
        run(c, "delete_rows_of_files", ids=[row.id for row in within], low=low, high=high)
        yield low, high


def _expired(source: str, files: Sequence[Any]) -> Expired:
    touched, count = Touched(source), 0
    for row in files:
        if row.source == source:
            touched, count = touched.over(row.ts_min, row.ts_max), count + 1
    return Expired(count, touched)


def _facts(ages: Mapping[str, float]) -> dict[str, Any]:
    return {"sources": list(ages), "ages": list(ages.values())}
