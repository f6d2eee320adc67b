"""Creates the partitions of raw_readings, before rows are inserted and ahead of time; on a hypertable, the
chunks.

Each partition is created in a transaction of its own. `core.partition_width` chooses its time range. The
database function `make_reading_partition` prevents overlaps: it creates a narrower partition if a part of
the range has a partition already.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType

import psycopg
import pyarrow as pa
import sqlalchemy as sa

from sensorflow.adapters.postgres import columnstore
from sensorflow.adapters.postgres.chunks import Chunks
from sensorflow.adapters.postgres.queries import run
from sensorflow.core.months import NewMonths
from sensorflow.core.partition_width import Partition, Width, month_range, partition_width
from sensorflow.core.readings import days_of, ends_of, months_of
from sensorflow.errors import Code, Permanent
from sensorflow.telemetry import Event, emit

AHEAD = MappingProxyType(
    {Width.MONTH: timedelta(days=7), Width.WEEK: timedelta(days=3), Width.DAY: timedelta(days=2)}
)
"""How long before its range begins a partition of each width is created."""

TimeRange = tuple[datetime, datetime]


def find(c: sa.Connection, low: datetime, high: datetime) -> list[Partition]:
    """Return all partitions of raw_readings, oldest first. The number of readings is estimated for those
    that are near this time range, and 0 for all others. Returns an empty list for a hypertable."""
    rows = run(c, "partition_sizes", low=low, high=high)
    return [Partition(row.low, row.high, row.readings) for row in rows]


class PartitionCreator:
    """Creates the partitions that readings need; on a hypertable, the chunks.

    wanted: the width of new partitions; None to choose it from the rate of readings. Remembers the time
    ranges that have partitions; see `forget`.
    """

    def __init__(self, engine: sa.Engine, wanted: Width | None = None) -> None:
        self.engine = engine
        self._wanted = wanted
        self._covered: list[TimeRange] = []
        self._chunks: Chunks | None = None  # on a hypertable

    def ensure(self, ts: pa.Array, new_months: NewMonths) -> None:
        """Create the missing partitions or chunks for these times. `ts` must not be empty. new_months:
        counts the months in which the file has created the first partition, and checks its limits. Raises
        Permanent TOO_MANY_MONTHS."""
        low, high = ends_of(ts)
        if self._covers(low, high):
            new_months.count(months_of(ts), ())
        else:
            self._create_missing(ts, low, high, new_months)
        if self._chunks is not None:
            self._chunks.ensure(ts)

    def _create_missing(
        self, ts: pa.Array, low: datetime, high: datetime, new_months: NewMonths
    ) -> None:
        with self.engine.begin() as c:
            if columnstore.exists(c):
                self._chunks = self._chunks or Chunks(self.engine)
                new_months.count(months_of(ts), self._months_without_chunks(c, ts))
                return
            existing = find(c, low, high)
            now = c.scalar(sa.select(sa.func.now()))
        assert now is not None
        self._covered = merged((one.low, one.high) for one in existing)
        missing = [day for day in map(_start, days_of(ts)) if not self._covers(day, day)]
        new_months.count(months_of(ts), self._new_months(missing))
        count = len(existing)
        for day in missing:
            if not self._covers(day, day):
                width = partition_width(self._wanted, day, existing, count, now)
                count += self._create(day, width)

    def create_ahead(self, ahead: Mapping[Width, timedelta] = AHEAD) -> int:
        """Create the partitions that begin soon, if the current time has a partition: files with old
        readings need no new ones. Returns the number of created partitions."""
        with self.engine.begin() as c:
            now = c.scalar(sa.select(sa.func.now()))
            assert now is not None
            existing = find(c, now, now)
        self._covered = merged((one.low, one.high) for one in existing)
        made = 0
        while (end := self._covered_until(now)) is not None:
            width = partition_width(self._wanted, end, existing, len(existing) + made, now)
            if end >= now + ahead[width]:
                break
            made += self._create(end, width)
        return made

    def forget(self) -> None:
        """Forget which partitions exist, because one of them was dropped."""
        self._covered.clear()
        if self._chunks is not None:
            self._chunks.forget()

    def _covers(self, low: datetime, high: datetime) -> bool:
        return any(first <= low and high < last for first, last in self._covered)

    def _covered_until(self, time: datetime) -> datetime | None:
        return next((high for low, high in self._covered if low <= time < high), None)

    def _new_months(self, missing: Iterable[datetime]) -> set[date]:
        """Return those of the months of `missing` that have no partition at all."""
        months = {month_range(day) for day in missing}
        return {
            low.date()
            for low, high in months
            if not any(first < high and last > low for first, last in self._covered)
        }

    def _create(self, time: datetime, width: Width) -> bool:
        """Create the partition of `time`. Returns False if another process has created it."""
        with _translated_limit(), self.engine.begin() as c:
            row = run(c, "make_partition", time=time, width=str(width)).one()
        self._covered = merged([*self._covered, (row.low, row.high)])
        return bool(row.made)

    def _months_without_chunks(self, c: sa.Connection, ts: pa.Array) -> list[date]:
        """Return the months of `ts` of which the hypertable has no chunk."""
        found = list(months_of(ts))
        starts = [_start(month) for month in found]
        absent = set(run(c, "missing_months", months=starts).scalars())
        if slow := columnstore.months_there(c, starts):
            emit(Event.COLUMNSTORE_ENTERED, months=[f"{month:%Y-%m}" for month in slow])
        self._covered = merged([*self._covered, *map(month_range, starts)])
        return [month for month, start in zip(found, starts, strict=True) if start in absent]


def merged(ranges: Iterable[TimeRange]) -> list[TimeRange]:
    """Return the time ranges, oldest first, with adjoining and overlapping ranges combined."""
    done: list[TimeRange] = []
    for low, high in sorted(ranges):
        if done and low <= done[-1][1]:
            done[-1] = done[-1][0], max(high, done[-1][1])
        else:
            done.append((low, high))
    return done


def _start(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


@contextmanager
def _translated_limit() -> Iterator[None]:
    """Translate the error of a database that has reached its maximum number of partitions to Permanent,
    because it is not an outage."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        if isinstance(error.orig, psycopg.errors.ProgramLimitExceeded):
            what = str(error.orig.diag.message_primary)
            do = "are its times parsed correctly? The database accepts no more partitions: set the "
            do += "source's earliest and latest, or remove old readings by retention, then replay"
            raise Permanent(Code.TOO_MANY_MONTHS, what, do=do) from error
        raise
