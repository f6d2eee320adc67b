"""Readings of three months, made in the server: a thousand sensors, which send at equal intervals.

The rows lie as files bring them. `hours`: a file holds one hour of all sensors, so the rows of one sensor
are spread over all pages. `weeks`: a file holds one week of one sensor, so its rows lie together.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from sensorflow.core.partition_width import Width

SENSORS = 1000
WEEK, HOUR = 7 * 86400, 3600
DAY = timedelta(days=1)
DAY_ASKED = 10
"""Number of days before the day of a month that is asked about."""


@dataclass(frozen=True)
class Month:
    """A month of readings. is_open: whether files are still loaded into the month."""

    low: datetime
    high: datetime
    layout: str
    is_open: bool

    @property
    def part(self) -> str:
        return f"raw_readings_{self.low:%Y_%m}"

    @property
    def seconds(self) -> int:
        return int((self.high - self.low).total_seconds())


def _month(number: int, layout: str, is_open: bool) -> Month:
    low, high = (datetime(2026, m, 1, tzinfo=UTC) for m in (number, number + 1))
    return Month(low, high, layout, is_open)


MONTHS = (_month(2, "hours", False), _month(3, "weeks", False), _month(4, "hours", True))
"""The first month is the one in which `inputs` makes readings too."""

ROWS = """
INSERT INTO {part} (ts, sensor_id, reading_type, value, unit, quality, file_id, line_no, dedupe_key)
SELECT %(low)s::timestamptz + make_interval(secs => at), 'sensor-' || lpad(sensor::text, 4, '0'),
       'temperature', 18 + floor(random() * 500) / 100, 'degC', 0, %(first)s + file, line,
       gen_random_uuid()
  FROM ({layout}) made
"""
LAYOUTS = {
    "hours": """
SELECT (n + sensor / %(sensors)s::float8) * %(step)s::float8 AS at, sensor,
       floor(n * %(step)s::float8 / 3600)::bigint AS file, i %% 100000 + 2 AS line
  FROM (SELECT i, i / %(sensors)s AS n, i %% %(sensors)s AS sensor
          FROM generate_series(0::bigint, %(each)s::bigint * %(sensors)s - 1) i) placed""",
    "weeks": """
SELECT (n + sensor / %(sensors)s::float8) * %(step)s::float8 AS at, sensor,
       i / %(week)s::bigint AS file, i %% %(week)s::bigint + 2 AS line
  FROM (SELECT i, i / %(week)s::bigint %% %(sensors)s AS sensor,
               i / (%(week)s::bigint * %(sensors)s) * %(week)s::bigint + i %% %(week)s::bigint AS n
          FROM generate_series(0::bigint, %(weeks)s::bigint * %(week)s * %(sensors)s - 1) i) placed
 WHERE n < %(each)s::bigint""",
}
FILES = """
INSERT INTO files (id, source, key, key_text, version, sha256, md5, size, mtime_ns, landing, sensor_type,
                   discovered_at, landed_at, state, stage, rows_read, rows_loaded, checksum, ts_min, ts_max,
                   finished_at, tidy)
OVERRIDING SYSTEM VALUE
SELECT file_id, 'csv', convert_to(name, 'UTF8'), name, 1, sha256(convert_to(name, 'UTF8')), '\\x00', 1, 1,
       name, 'plant', now(), now(), 'loaded', 'load', rows, rows, 0, low, high,
       CASE WHEN %(open)s AND high >= %(today)s THEN now() + interval '1 day'
            ELSE now() - interval '1 day' END, true
  FROM (SELECT file_id, 'made/' || file_id || '.csv' AS name, count(*) AS rows, min(ts) AS low,
               max(ts) AS high
          FROM {part} WHERE ts >= %(low)s AND ts < %(high)s GROUP BY file_id) found
"""
PARTITIONS = """
SELECT make_reading_partition(day, %(width)s)
  FROM generate_series(%(low)s::timestamptz, %(high)s::timestamptz - interval '1 day', '1 day') AS day
"""


def fill(sql: psycopg.Connection[Any], rows: int, open_width: Width = Width.MONTH) -> None:
    """Make `rows` readings, a third in each month, and the ledger of their files. Indexes are built after
    the rows, as after a backfill. open_width: the width of the partitions of the open month. Files are
    still loaded into the last of them."""
    each = max(1, rows // len(MONTHS) // SENSORS)
    sql.execute("DROP INDEX uq_raw_dedupe")
    for number, month in enumerate(MONTHS):
        step = month.seconds / each
        week = max(1, round(WEEK / step))
        values = {
            "low": month.low,
            "first": number * 1_000_000 + 1,
            "sensors": SENSORS,
            "each": each,
            "step": step,
            "week": week,
            "weeks": -(-each // week),
        }
        width = open_width if month.is_open else Width.MONTH
        span = {"low": month.low, "high": month.high}
        sql.execute(PARTITIONS, {**span, "width": str(width)})
        part = month.part if width is Width.MONTH else "raw_readings"
        layout = LAYOUTS[month.layout]
        sql.execute(ROWS.format(part=part, layout=layout), values)  # type: ignore[arg-type]
        today = month.low if width is Width.MONTH else month.high - DAY
        facts = {**span, "open": month.is_open, "today": today}
        sql.execute(FILES.format(part=part), facts)  # type: ignore[arg-type]
    sql.execute("SELECT setval(pg_get_serial_sequence('files', 'id'), 10000000)")
    sql.execute("CREATE UNIQUE INDEX uq_raw_dedupe ON raw_readings (ts, dedupe_key)")
    sql.execute("VACUUM (ANALYZE) raw_readings")
    sql.execute("VACUUM (ANALYZE) files")


HOURS = """
INSERT INTO gold_1h
SELECT sensor_id, reading_type, unit, date_trunc('hour', ts, 'UTC'), count(*), min(value), max(value),
       sum(value), var_pop(value) * count(*), (array_agg(value ORDER BY ts))[1], min(ts),
       (array_agg(value ORDER BY ts DESC))[1], max(ts), count(*) FILTER (WHERE quality <> 0)
  FROM raw_readings WHERE ts >= %(low)s AND ts < %(high)s
 GROUP BY 1, 2, 3, 4
"""
LATEST = """
INSERT INTO readings_latest (sensor_id, reading_type, unit, ts, value, quality, file_id, line_no)
SELECT DISTINCT ON (sensor_id, reading_type, unit)
       sensor_id, reading_type, unit, ts, value, quality, file_id, line_no
  FROM raw_readings WHERE ts >= %(low)s AND ts < %(high)s
 ORDER BY sensor_id, reading_type, unit, ts DESC
"""


def fill_gold(sql: psycopg.Connection[Any]) -> None:
    """Compute the aggregates per hour, the newest readings, and the aggregates of each minute of the day
    that is asked about. All other minutes are left out: with one reading in two minutes they would need
    more disk than the readings."""
    for month in MONTHS:
        sql.execute(HOURS, {"low": month.low, "high": month.high})
    day = MONTHS[-1].low + DAY_ASKED * DAY
    sql.execute("SELECT ensure_gold_partitions(ARRAY[%s::timestamptz])", (day,))
    minutes = HOURS.replace("gold_1h", "gold_1m").replace("'hour'", "'minute'")
    sql.execute(minutes, {"low": day, "high": day + DAY})  # type: ignore[arg-type]
    sql.execute(LATEST, {"low": MONTHS[-1].low, "high": MONTHS[-1].high})
    sql.execute("DELETE FROM readings_touched")
    sql.execute("VACUUM (ANALYZE) gold_1h, gold_1m, readings_latest")
