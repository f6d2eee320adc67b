"""The table of readings."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Double,
    Index,
    SmallInteger,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.types import TypeEngine

from sensorflow.adapters.postgres.schema.columns import metadata
from sensorflow.core.columns import READING, Kind

_TYPES: dict[Kind, type[TypeEngine[Any]] | TypeEngine[Any]] = {
    Kind.TIME: DateTime(timezone=True),
    Kind.TEXT: Text,
    Kind.NUMBER: Double,
    Kind.SMALL: SmallInteger,
    Kind.INTEGER: BigInteger,
    Kind.KEY: Uuid,
}

raw_readings = Table(
    "raw_readings",
    metadata,
    *(Column(name, _TYPES[kind], nullable=False) for name, kind in READING.items()),
    # the time is first, which is two to four times cheaper than the key first; a hypertable needs the time
    Index("uq_raw_dedupe", "ts", "dedupe_key", unique=True),
    postgresql_partition_by="RANGE (ts)",
)
