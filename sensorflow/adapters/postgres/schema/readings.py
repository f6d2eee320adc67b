"""The readings."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Index,
    SmallInteger,
    Table,
    Text,
    Uuid,
)

from sensorflow.adapters.postgres.schema.columns import metadata, time

raw_readings = Table(
    "raw_readings",
    metadata,
    time("ts", nullable=False),
    Column("sensor_id", Text, nullable=False),
    Column("reading_type", Text, nullable=False),
    Column("value", Double, nullable=False),
    Column("unit", Text, nullable=False),
    Column("quality", SmallInteger, nullable=False),
    Column("file_id", BigInteger, nullable=False),
    Column("line_no", BigInteger, nullable=False),
    Column("dedupe_key", Uuid, nullable=False),
    # time first: two to four times cheaper than key first, and a hypertable needs the time
    Index("uq_raw_dedupe", "ts", "dedupe_key", unique=True),
    postgresql_partition_by="RANGE (ts)",
)
