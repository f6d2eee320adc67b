"""Tables of aggregates and of the newest readings, and the queues of the ranges to refresh."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    DDL,
    BigInteger,
    Column,
    DateTime,
    Double,
    Identity,
    Index,
    SmallInteger,
    Table,
    Text,
    event,
)
from sqlalchemy.dialects.postgresql import ARRAY

from sensorflow.adapters.postgres.schema.columns import metadata, time


def _aggregates(name: str, **options: Any) -> Table:
    return Table(
        name,
        metadata,
        Column("sensor_id", Text, primary_key=True),
        Column("reading_type", Text, primary_key=True),
        Column("unit", Text, primary_key=True),
        # start of the minute, hour or day in UTC
        Column("bucket", DateTime(timezone=True), primary_key=True),
        Column("count", BigInteger, nullable=False),
        Column("min", Double, nullable=False),
        Column("max", Double, nullable=False),
        Column("sum", Double, nullable=False),
        # sum of the squared deviations from the mean
        Column("m2", Double, nullable=False),
        Column("first", Double, nullable=False),
        time("first_ts", nullable=False),
        Column("last", Double, nullable=False),
        time("last_ts", nullable=False),
        # number of readings with quality flags
        Column("flagged", BigInteger, nullable=False),
        Index(f"ix_{name}_bucket", "bucket"),
        **options,
    )


gold_1m = _aggregates("gold_1m", postgresql_partition_by="RANGE (bucket)")
gold_1h = _aggregates("gold_1h")
gold_1d = _aggregates("gold_1d")

readings_latest = Table(
    "readings_latest",
    metadata,
    Column("sensor_id", Text, primary_key=True),
    Column("reading_type", Text, primary_key=True),
    Column("unit", Text, primary_key=True),
    time("ts", nullable=False),
    Column("value", Double, nullable=False),
    Column("quality", SmallInteger, nullable=False),
    Column("file_id", BigInteger, nullable=False),
    Column("line_no", BigInteger, nullable=False),
)

readings_touched = Table(
    "readings_touched",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    time("touched_at", nullable=False, default="clock_timestamp()"),
    Column("source", Text, nullable=False),
    # first and last time of the changed readings, and their sensors; null for all
    time("low", nullable=False),
    time("high", nullable=False),
    Column("sensors", ARRAY(Text)),
)

gold_stale = Table(
    "gold_stale",
    metadata,
    Column("hour", DateTime(timezone=True), primary_key=True),
    time("low", nullable=False),
    time("high", nullable=False),
    Column("sensors", ARRAY(Text)),
    # the earliest `touched_at`
    time("since", nullable=False),
)

AGGREGATES = """
CREATE VIEW readings_{span} AS
SELECT sensor_id, reading_type, unit, bucket, count, min, max, sum, sum / count AS avg,
       CASE WHEN count > 1 THEN sqrt(m2 / (count - 1)) END AS stddev,
       first, last, first_ts, last_ts, CAST(flagged AS double precision) / count AS flagged_share
  FROM gold_{span}
"""
WATERMARK = """
CREATE VIEW gold_watermark AS
SELECT coalesce(least((SELECT min(touched_at) FROM readings_touched),
                      (SELECT min(since) FROM gold_stale)), now()) AS fresh_to,
       (SELECT count(*) FROM readings_touched) + (SELECT count(*) FROM gold_stale) AS pending
"""

RECORD = """
CREATE OR REPLACE FUNCTION record_touched() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RETURN NULL; END $$
"""  # the migrations contain the actual body
TRIGGER = """
CREATE TRIGGER tr_files_touched AFTER UPDATE OF state, expired ON files FOR EACH ROW
WHEN (coalesce(current_setting('sensorflow.records_touched', true), '') = ''
      AND NEW.state IN ('loaded', 'superseded', 'undone')
      AND (OLD.ts_min IS NOT NULL OR NEW.ts_min IS NOT NULL))
EXECUTE FUNCTION record_touched()
"""

for _table, _span in ((gold_1m, "1m"), (gold_1h, "1h"), (gold_1d, "1d")):
    _view = DDL(AGGREGATES.format(span=_span))  # type: ignore[no-untyped-call]
    event.listen(_table, "after_create", _view)

for _statement in (WATERMARK, RECORD, TRIGGER):
    event.listen(metadata, "after_create", DDL(_statement))  # type: ignore[no-untyped-call]
