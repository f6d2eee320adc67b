"""Streams readings, or aggregates of them, as Arrow batches from one snapshot, through a server-side
cursor.

It uses a cursor and not COPY, so that no data is in transit while the caller pauses, and the server can end
the transaction after `MAX_PAUSE_SECONDS`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import sqlalchemy as sa
from psycopg.pq import TransactionStatus
from psycopg.pq.abc import PGresult

from sensorflow.adapters.postgres.connect import engine_of, translated
from sensorflow.adapters.postgres.copy_out import since_1970
from sensorflow.adapters.postgres.queries import queries, run
from sensorflow.core.output import width
from sensorflow.core.output.pivot import Series
from sensorflow.core.readings import READING, US

SCHEMA = pa.schema([field for field in READING if field.name != "dedupe_key"])
BUCKETS = pa.schema(
    [
        pa.field("bucket", US, nullable=False),
        *(pa.field(n, pa.string(), nullable=False) for n in ("sensor_id", "reading_type", "unit")),
        pa.field("count", pa.int64(), nullable=False),
        *(pa.field(n, pa.float64(), nullable=False) for n in ("min", "max", "sum", "avg")),
        pa.field("stddev", pa.float64()),
        *(pa.field(n, pa.float64(), nullable=False) for n in ("first", "last")),
        *(pa.field(n, US, nullable=False) for n in ("first_ts", "last_ts")),
        pa.field("flagged_share", pa.float64(), nullable=False),
    ]
)
"""Aggregates. stddev is that of a sample, and null for one reading. flagged_share: from 0 to 1."""
ROWS = 65_536
MAX_PAUSE_SECONDS = 3600
"""Maximum seconds between two batches. The time is limited, because during the open transaction the
database cannot remove old row versions, and no month can be dropped."""
CANCEL_SECONDS = 5.0
"""Maximum seconds to wait for the server to accept the cancellation of a statement."""
_FETCH = f"FETCH FORWARD {ROWS} FROM readings"
_NUMBERS = {pa.int64(): ">i8", pa.int16(): ">i2", pa.float64(): ">f8"}


@dataclass(frozen=True)
class ReadingsQuery:
    """Selects the readings with start <= ts < end and one of the sensors, one of the types and one of the
    sources. None means no restriction. every: the width of buckets, to aggregate the readings; None for the
    readings themselves. Aggregates are those of all buckets that the range touches, and of all readings in
    them."""

    start: datetime | None = None
    end: datetime | None = None
    sensors: list[str] | None = None
    types: list[str] | None = None
    sources: list[str] | None = None
    every: timedelta | None = None

    @property
    def schema(self) -> pa.Schema:
        """The schema of the batches."""
        return READING if self.every is None else BUCKETS


class Snapshot:
    """One snapshot of the database. Created by `snapshot`. Every method raises Transient DATABASE. Only one
    thread at a time may use an instance, except for `interrupt`."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        self._driver = driver

    def interrupt(self) -> None:
        """Cancel the statement that another thread runs, if it runs one."""
        if self._driver.info.transaction_status is TransactionStatus.ACTIVE:
            with suppress(psycopg.Error):  # the connection is lost, which also ends the statement
                self._driver.cancel_safe(timeout=CANCEL_SECONDS)

    def batches(self, query: ReadingsQuery) -> Iterator[pa.RecordBatch]:
        """Yield batches of the schema `query.schema` with at most `ROWS` rows, of which one is in memory at
        a time. Readings are ordered by ts, sensor_id, reading_type, file_id and line_no; aggregates by
        bucket, sensor_id, reading_type and unit. Only one iteration at a time is possible."""
        with translated():
            self._run(f"DECLARE readings NO SCROLL CURSOR FOR {self._statement(query)}", query)
            with self._driver.cursor(binary=True) as cursor:
                while (found := cursor.execute(_FETCH, prepare=False).pgresult) and found.ntuples:
                    yield _batch(found, query.schema)
            self._connection.execute(sa.text("CLOSE readings"))

    def series(self, query: ReadingsQuery) -> list[Series]:
        """Return the distinct series, sorted. The readings themselves are read only if the aggregates do
        not contain all of them."""
        with translated():
            return sorted(Series._make(row) for row in self._run(self._distinct(query), query))

    def _distinct(self, query: ReadingsQuery) -> str:
        if query.every is None and self._is_aggregated(query):
            return queries()["series_of_range"].text
        source = self._parts(query) if self._level(query) else queries()["open_readings"].text
        return f"SELECT DISTINCT sensor_id, reading_type, unit FROM ({_unordered(source)}) found"

    def span(self) -> tuple[datetime | None, datetime | None]:
        """Return the first and the last time of a range that, according to the ledger, includes all
        readings; (None, None) if there are no readings."""
        with translated():
            row = run(self._connection, "span_of_readings").one()
        return row.low, row.high

    def unknown(self, query: ReadingsQuery) -> tuple[str, str, list[str]] | None:
        """Return the first sensor or type of the query that has no readings at all, with the option's name
        and all known names; None if there is none."""
        with translated():
            known = run(self._connection, "known_series").all()
            for name, index, wanted in (("sensor", 0, query.sensors), ("type", 1, query.types)):
                names = sorted({row[index] for row in known if row[index] is not None})
                for text in wanted or ():
                    if text in names or self._is_pending(name, text):
                        continue
                    return name, text, names
        return None

    def _is_pending(self, name: str, text: str) -> bool:
        given = {"sensor": None, "type": None} | {name: text}
        return bool(run(self._connection, "has_pending_readings", **given).scalar_one())

    def _statement(self, query: ReadingsQuery) -> str:
        if query.every is None:
            return queries()["open_readings"].text
        level = self._level(query)
        whole = level is not None and width.LEVELS[level] == query.every
        combined = queries()["parts_as_they_are" if whole else "combined_parts"].text
        return f"WITH parts AS ({self._parts(query)}) {combined}"

    def _parts(self, query: ReadingsQuery) -> str:
        level = self._level(query)
        return queries()["parts_of_readings" if level is None else f"parts_of_{level}"].text

    def _level(self, query: ReadingsQuery) -> str | None:
        """Return the stored aggregate from which the query can be answered. Its result is equal to that
        from the readings, because no change in the range is pending."""
        level = None if query.every is None else width.level(query.every)
        return level if level is not None and self._is_aggregated(query) else None

    def _is_aggregated(self, query: ReadingsQuery) -> bool:
        """Return whether the stored aggregates contain all readings of the query."""
        if query.sources is not None:  # the aggregates are those of all sources
            return False
        return not self._run(queries()["has_pending_changes"].text, query).scalar_one()

    def _run(self, statement: str, query: ReadingsQuery) -> sa.CursorResult[Any]:
        start, end, every = query.start, query.end, query.every
        if every is not None:  # of whole buckets
            start = None if start is None else width.begin(every, start)
            end = None if end is None else width.end(every, end)
        values = {
            "start": start or "-infinity",
            "end": end or "infinity",
            "sensors": query.sensors,
            "types": query.types,
            "sources": query.sources,
            "every": every,
            "part": None if every is None else width.part(every),
            "origin": width.ORIGIN,
            **_whole(start, end),
        }
        text = sa.text(statement)
        return self._connection.execute(text, {name: values[name] for name in text._bindparams})


@contextmanager
def snapshot(url: str) -> Iterator[Snapshot]:
    """Open a connection, and take a snapshot with its first statement. Raises Transient DATABASE."""
    engine = engine_of(url, poolclass=sa.pool.NullPool)
    with translated(), engine.connect() as connection:
        c = connection.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        run(c, "hold_readings", seconds=MAX_PAUSE_SECONDS)
        yield Snapshot(c)


def _whole(start: datetime | None, end: datetime | None) -> dict[str, datetime | str]:
    """Return the arguments of the statement `series_of_range`: the beginning and the end of the whole
    hours, and of the whole days, in a range."""
    found: dict[str, datetime | str] = {}
    outer: tuple[datetime | None, datetime | None] = (start, start)
    for name, each in (("hour", width.HOUR), ("day", width.DAY)):
        first = None if start is None else width.end(each, start)
        last = None if end is None else width.begin(each, end)
        if first is not None and last is not None and first > last:
            first, last = outer
        outer = first, first
        found |= {f"first_{name}": first or "-infinity", f"last_{name}": last or "infinity"}
    return found


def _unordered(statement: str) -> str:
    return statement.partition("\n ORDER BY ts,")[0]


def _batch(found: PGresult, schema: pa.Schema) -> pa.RecordBatch:
    cell, rows = found.get_value, range(found.ntuples)
    columns = [_array([cell(row, i) for row in rows], field) for i, field in enumerate(schema)]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _array(cells: list[Any], field: pa.Field) -> pa.Array:
    """Convert the values of a column from PostgreSQL's binary format."""
    kind = field.type
    if kind == pa.string():
        return pa.array(cells, pa.binary()).cast(kind)
    if pa.types.is_fixed_size_binary(kind):
        return pa.Array.from_buffers(kind, len(cells), [None, pa.py_buffer(b"".join(cells))])
    form, empty = _NUMBERS.get(kind, ">i8"), None
    if field.nullable:
        empty = np.array([c is None for c in cells])
        cells = [c or bytes(8) for c in cells]
    values = np.frombuffer(b"".join(cells), form).astype(form.replace(">", "="))
    if pa.types.is_timestamp(kind):
        return pa.array(since_1970(values)).cast(kind)
    return pa.array(values, mask=empty)
