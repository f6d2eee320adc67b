"""The canonical form of a reading: one number of one sensor at one time.

`SILVER` is the schema of silver, which the stage transform writes to Parquet files. Rows are in file order.
Times are nanoseconds since 1970 in UTC. The database stores microseconds, truncated toward the past.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import IntFlag

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sensorflow.core import columns
from sensorflow.core.columns import Kind

NS = pa.timestamp("ns", tz="UTC")
US = pa.timestamp("us", tz="UTC")
KEY = pa.binary(16)
"""The type of a dedupe key: sixteen bytes. The database stores a dedupe key as a uuid."""


class Flag(IntFlag):
    """Quality flags of a reading. The reading's quality is the sum of its flags; 0 means that there are no
    flags."""

    RANGE = 1
    FLATLINE = 2
    SPIKE = 4
    GAP = 8
    SOURCE = 16  # the logger's own flag
    FUTURE = 32
    UNIT = 64
    MONOTONIC = 128
    INTEGER = 256
    ALLOWED = 512


_TYPES = {
    Kind.TIME: US,
    Kind.TEXT: pa.string(),
    Kind.NUMBER: pa.float64(),
    Kind.SMALL: pa.int16(),
    Kind.INTEGER: pa.int64(),
    Kind.KEY: KEY,
}

READING = pa.schema(
    [pa.field(name, _TYPES[kind], nullable=False) for name, kind in columns.READING.items()]
)
"""A row of the database. The other schemas derive from it."""


def _fields(*names: str) -> list[pa.Field]:
    return [READING.field(name) for name in names]


_TS = READING.field("ts").with_type(NS)

SILVER = pa.schema(
    [
        _TS,
        *_fields("sensor_id", "reading_type", "value", "unit", "quality", "line_no"),
        # number of this reading among those of the same (sensor_id, reading_type, ts) in the file, from 0
        pa.field("ordinal", pa.int32(), nullable=False),
    ]
)

OTHER_PARTS = pa.schema(_fields("sensor_id", "reading_type", "ts", "value", "dedupe_key"))
"""The columns of a database row that determine its ordinal."""

BRONZE = pa.schema(
    [
        *_fields("line_no"),
        _TS,
        *_fields("sensor_id", "reading_type", "unit", "value", "quality"),
        # JSON of the cells in columns that the profile does not mention, if the source rescues them
        pa.field("rescued", pa.string()),
    ]
)
"""The readings that the stage validate accepted, in file order. A row is one reading, with its line
number."""

REJECTS = pa.schema(
    [
        pa.field("line_no", pa.int64()),
        pa.field("byte_offset", pa.int64()),
        pa.field("column", pa.string()),
        pa.field("code", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("raw", pa.string(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Span:
    """The first and last time of some readings, truncated to microseconds; None if there are no
    readings."""

    low: datetime | None = None
    high: datetime | None = None

    def union(self, other: Span) -> Span:
        if self.low is None or self.high is None:
            return other
        if other.low is None or other.high is None:
            return self
        return Span(min(self.low, other.low), max(self.high, other.high))

    def over(self, ts: pa.Array) -> Span:
        """Return this span, extended to include the times `ts`. `ts` must not be empty."""
        ends = pc.min_max(ts)
        low, high = (_datetime(ends[name].value) for name in ("min", "max"))
        return Span(min(self.low or low, low), max(self.high or high, high))


def micros(ts: pa.Array) -> npt.NDArray[np.int64]:
    """Return times as microseconds since 1970, truncated toward the past, as the database stores them."""
    counts: npt.NDArray[np.int64] = ts.cast(pa.int64()).to_numpy()
    # a hundred times faster than Arrow's floor_temporal
    return counts if ts.type.unit == "us" else counts // 1000


def _datetime(nanos: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=nanos // 1000)


def ends_of(ts: pa.Array) -> tuple[datetime, datetime]:
    """Return the first and the last time in `ts`, truncated to microseconds. `ts` must not be empty."""
    times = micros(ts)
    return _datetime(int(times.min()) * 1000), _datetime(int(times.max()) * 1000)


def days_of(ts: pa.Array) -> list[date]:
    """Return the days in `ts`, oldest first."""
    if not len(ts):
        return []
    times = ts.cast(pa.int64()).to_numpy().view(f"M8[{ts.type.unit}]")
    return list(np.unique(times.astype("M8[D]")).tolist())


def months_of(ts: pa.Array) -> dict[date, int]:
    """Return, for each month in `ts`, the number of times in this month. The keys are the first days of the
    months."""
    if not len(ts):
        return {}
    times = ts.cast(pa.int64()).to_numpy().view(f"M8[{ts.type.unit}]")
    ends = np.array([times.min(), times.max()]).astype("M8[M]")
    if ends[0] == ends[1]:  # the usual case; computing the month of each row is slow
        return {ends[0].astype("M8[D]").item(): len(times)}
    found, counts = np.unique(times.astype("M8[M]"), return_counts=True)
    return dict(zip(found.astype("M8[D]").tolist(), counts.tolist(), strict=True))
