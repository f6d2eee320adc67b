"""Loads silver batches into raw_readings by binary COPY. Rows whose keys already exist are skipped by ON
CONFLICT."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from pgpq import ArrowToPostgresBinaryEncoder

from sensorflow import failpoints
from sensorflow.adapters.postgres.queries import queries, run
from sensorflow.core.checksum import MODULUS, checksum
from sensorflow.core.readings import KEY, READING, US, Span, micros
from sensorflow.core.touched import MAX_SENSORS, Touched


def wire(silver: pa.RecordBatch, keys: pa.Array, file_id: int) -> pa.RecordBatch:
    """Convert a silver batch to rows of `raw_readings`, with the schema `READING`. keys: the dedupe key of
    each row."""
    arrays = {
        "ts": pa.array(micros(silver["ts"])).cast(US),
        "file_id": pa.repeat(pa.scalar(file_id, pa.int64()), len(silver)),
        "dedupe_key": keys,
    }
    columns = [arrays[name] if name in arrays else silver[name] for name in READING.names]
    return pa.RecordBatch.from_arrays(columns, schema=READING)


def copy_in(
    connection: sa.Connection,
    table: str,
    rows: Iterable[pa.RecordBatch],
    schema: pa.Schema = READING,
) -> None:
    """COPY batches into a table. schema: the schema of the batches; by default, the one that `wire`
    returns. Raises the errors of psycopg unchanged."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    encoder = ArrowToPostgresBinaryEncoder(schema)
    statement = f"COPY {table} ({', '.join(schema.names)}) FROM STDIN (FORMAT BINARY)"
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(encoder.write_header())
        for batch in rows:
            copy.write(encoder.write_batch(batch))
            failpoints.hit(failpoints.Failpoint.COPYING)
        copy.write(encoder.finish())


@dataclass
class Inserted:
    """The number and the checksum (`core.checksum`) of inserted rows. Rows that were skipped because their
    keys already exist are not included."""

    rows: int = 0
    checksum: int = 0


class CopyLoader:
    """Loads the batches of one file within one transaction.

    deferred: whether a month has no unique index until it is sealed (see `indexing`). touched: the range of
    the rows that were changed so far; initially, the changes that the caller has already made. inserted:
    the rows that were inserted so far.
    """

    def __init__(
        self, connection: sa.Connection, file_id: int, touched: Touched, deferred: bool = False
    ) -> None:
        self._connection = connection
        self._file_id = file_id
        self._deferred = deferred
        self._staged = False
        self._span = Span()
        self.inserted = Inserted()
        self.touched = touched

    def load(self, silver: pa.RecordBatch, keys: pa.Array, span: Span) -> None:
        """Insert one batch by COPY. If one of its keys already exists, insert the batch through a
        temporary table instead, and skip the existing rows.

        keys: the dedupe key of each row. span: the time span of the batch.
        """
        rows = wire(silver, keys, self._file_id)
        try:
            with self._connection.begin_nested():
                copy_in(self._connection, "raw_readings", [rows])
        except psycopg.errors.UniqueViolation:
            if self._merge(rows):
                self.touch(silver, span)
            return
        self.touch(silver, span)
        self.inserted.rows += len(silver)
        self._add(checksum(keys, silver["value"]))

    def touch(self, silver: pa.RecordBatch, span: Span) -> None:
        """Extend `touched` to include a batch of rows that were inserted or removed. span: the time span
        of the batch."""
        known = self.touched.sensors is not None  # otherwise there are too many sensors to list
        sensors = sensors_of(silver["sensor_id"]) if known else None
        self.touched = self.touched.over(span.low, span.high, sensors)

    def finish(self) -> None:
        """End the load, after the last batch. Does nothing in this class; a subclass may override it."""

    def _add(self, part: int) -> None:
        self.inserted.checksum = (self.inserted.checksum + part) % MODULUS

    def _merge(self, rows: pa.RecordBatch) -> int:
        if self._staged:
            self._connection.execute(sa.text("TRUNCATE incoming"))
        self._stage(rows)
        merge = "merge_incoming_deferred" if self._deferred else "merge_incoming"
        new = self._connection.execute(queries()[merge]).all()
        self.inserted.rows += len(new)
        self._add(_checksum_of(new))
        return len(new)

    def _stage(self, rows: pa.RecordBatch) -> None:
        if not self._staged:
            self._connection.execute(queries()["stage_of_incoming"])
            self._staged = True
        copy_in(self._connection, "incoming", [rows])


class DifferenceLoader(CopyLoader):
    """Loads a file that already has rows in the database, and writes only the differences.

    `load` copies each batch to a temporary table. `finish` deletes the rows of the file that are not in the
    temporary table, and inserts the rows that are only in the temporary table. Rows that are in both are
    not written. Other sessions see either all old or all new rows. removed: the number of deleted rows.
    note: a text with the numbers of added, removed and untouched readings.
    """

    note = ""
    removed = 0

    def load(self, silver: pa.RecordBatch, keys: pa.Array, span: Span) -> None:
        self._stage(wire(silver, keys, self._file_id))
        self._span = self._span.union(span)
        self.inserted.rows += len(silver)
        self._add(checksum(keys, silver["value"]))

    def finish(self) -> None:
        if not self._staged:
            self._connection.execute(queries()["stage_of_incoming"])
        self._connection.execute(sa.text("ANALYZE incoming"))
        removed = self._changed("remove_difference", id=self._file_id)
        if self._deferred:
            removed += self._changed("remove_surplus", id=self._file_id)
            added = self._merge_by_looking()
        else:
            if self._staged:
                self._leave_out()
            added = self._changed("merge_difference")
        untouched = self.inserted.rows - added
        self.removed = removed
        self.note = f"{added:,} readings added, {removed:,} removed, {untouched:,} untouched"

    def _changed(self, query: str, **facts: Any) -> int:
        """Run a statement that inserts or deletes rows, and extend `touched` to include these rows.
        Returns their number."""
        row = run(self._connection, query, **facts, most=MAX_SENSORS + 1).one()
        self.touched = self.touched.over(row.low, row.high, row.sensors)
        return int(row.rows)

    def _merge_by_looking(self) -> int:
        place = {"id": self._file_id, "low": self._span.low, "high": self._span.high}
        added = self._changed("merge_difference_deferred", **place)
        self._without(run(self._connection, "left_out", **place).all())
        return added

    def _leave_out(self) -> None:
        """Subtract from `inserted` the readings that the database already stores under another file's
        id."""
        span = {"low": self._span.low, "high": self._span.high}
        self._without(run(self._connection, "held_elsewhere", id=self._file_id, **span).all())

    def _without(self, others: Sequence[Any]) -> None:
        self.inserted.rows -= len(others)
        self._add(-_checksum_of(others))


def sensors_of(column: pa.Array | pa.ChunkedArray) -> list[str] | None:
    """Return the distinct values of a column of sensors, or None if there are more than `MAX_SENSORS`."""
    found = pc.unique(column)
    return None if len(found) > MAX_SENSORS else found.to_pylist()


def _checksum_of(rows: Sequence[Any]) -> int:
    """Return the checksum of database rows. Each row must have the columns value and dedupe_key."""
    digests = pa.array([row.dedupe_key.bytes for row in rows], KEY)
    return checksum(digests, pa.array([row.value for row in rows], pa.float64()))
