"""Streams readings of a time range as Arrow batches, through a server-side cursor.

It uses a cursor and not COPY, so that no data is in transit while the caller processes a batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import sqlalchemy as sa
from psycopg.pq.abc import PGresult

from sensorflow.adapters.postgres.connect import engine_of, translated
from sensorflow.adapters.postgres.copy_out import since_1970
from sensorflow.adapters.postgres.queries import run
from sensorflow.core.readings import READING

SCHEMA = pa.schema([field for field in READING if field.name != "dedupe_key"])
ROWS = 65_536
MAX_PAUSE_SECONDS = 3600
"""Maximum seconds between two batches. The time is limited, because during the open transaction the
database cannot remove old row versions, and no month can be dropped."""
_FETCH = f"FETCH FORWARD {ROWS} FROM readings"
_NUMBERS = {pa.int64(): ">i8", pa.int16(): ">i2", pa.float64(): ">f8"}


@dataclass(frozen=True)
class ReadingsQuery:
    """Selects the readings to return, which have start <= ts < end and one of the sensors, one of the types
    and one of the sources. None means no restriction."""

    start: datetime
    end: datetime
    sensors: list[str] | None = None
    types: list[str] | None = None
    sources: list[str] | None = None


def stream(url: str, query: ReadingsQuery) -> Iterator[pa.RecordBatch]:
    """Yield batches of the schema `SCHEMA` with at most `ROWS` rows, ordered by time. The snapshot is taken
    with the first batch. Only one batch is in memory at a time. Raises Transient DATABASE."""
    engine = engine_of(url, poolclass=sa.pool.NullPool)
    with translated(), engine.connect() as connection:
        c = connection.execution_options(postgresql_readonly=True)
        run(c, "hold_readings", seconds=MAX_PAUSE_SECONDS)
        run(c, "open_readings", **vars(query))
        driver = c.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        with driver.cursor(binary=True) as cursor:
            while (batch := _batch(cursor.execute(_FETCH, prepare=False).pgresult)).num_rows:
                yield batch


def _batch(found: PGresult | None) -> pa.RecordBatch:
    assert found is not None
    cell, rows = found.get_value, range(found.ntuples)
    columns = [_array([cell(row, i) for row in rows], field.type) for i, field in enumerate(SCHEMA)]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def _array(cells: list[Any], kind: pa.DataType) -> pa.Array:
    """Convert the values of a column from PostgreSQL's binary format. The column has no NULL."""
    if kind == pa.string():
        return pa.array(cells, pa.binary()).cast(kind)
    form = _NUMBERS.get(kind, ">i8")
    values = np.frombuffer(b"".join(cells), form).astype(form.replace(">", "="))
    if pa.types.is_timestamp(kind):
        return pa.array(since_1970(values)).cast(kind)
    return pa.array(values)
