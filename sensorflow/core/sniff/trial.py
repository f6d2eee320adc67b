"""Tests a proposal: reads the beginning of the file with the proposed profile, and with the same reader
that workers use."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from sensorflow.core.binding.drift import Drift
from sensorflow.core.binding.file_path import FilePath
from sensorflow.core.formats.chunk import Reject
from sensorflow.core.profile import Profile
from sensorflow.core.reading import read
from sensorflow.errors import Permanent

MAX_ROWS = 8192
"""Maximum number of rows that are read."""
MAX_KEPT_ROWS = 200
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
KEY = ["sensor_id", "reading_type", "ts"]


@dataclass
class Trial:
    """The preview of a proposal: the result of reading the beginning of the file. collisions: the number
    of readings that have the same sensor, type and time as another reading, but another value. repeats:
    the number of readings that have the same sensor, type, time and value as another reading. example: a
    collision, as text. units: type -> the units of its readings."""

    rows: int = 0
    readings: int = 0
    missing: int = 0
    rejected: int = 0
    collisions: int = 0
    repeats: int = 0
    example: str = ""
    units: dict[str, dict[str, None]] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)
    error: Permanent | None = None

    def collides(self, share: float = 0.01) -> bool:
        return self.collisions > share * self.readings

    def rejects_many(self, share: float = 0.1) -> bool:
        return self.rejected > share * (self.readings + self.rejected)

    @property
    def cost(self) -> tuple[float, ...]:
        """A sort key for proposals. The proposal with the lowest key fits best."""
        lost = self.rejected + self.collisions + self.repeats
        some = max(self.readings + self.rejected, 1)
        return (self.error is not None or not self.readings, round(lost / some, 3), -self.readings)


def tried(stream: BinaryIO, profile: Profile, name: str) -> Trial:
    """Return the preview of a proposal. Reads enough rows to judge the proposal. stream: seekable. name:
    the file's name."""
    found = Trial()
    batches: list[pa.RecordBatch] = []
    stream.seek(0)
    try:
        for part in read(stream, profile, FilePath(name, name), io.BytesIO, Drift()):
            found.rows += part.rows
            found.missing += part.missing
            found.rejected += len(part.rejects)
            found.rejects += part.rejects[: MAX_KEPT_ROWS - len(found.rejects)]
            if len(part.bronze):
                batches.append(part.bronze)
            if found.rows >= MAX_ROWS:
                break
    except Permanent as error:
        found.error = error
    finally:
        stream.seek(0)
    if batches:
        bronze = pa.Table.from_batches(batches).select([*KEY, "value", "unit"])
        _count(bronze.set_column(2, "ts", bronze["ts"].cast(pa.int64())), found)
    return found


def _count(bronze: pa.Table, found: Trial) -> None:
    found.readings = len(bronze)
    groups = bronze.group_by(KEY, use_threads=False).aggregate(
        [("value", "count_distinct"), ("value", "count")]
    )
    several = groups.filter(pc.greater(groups["value_count"], 1))
    found.collisions = pc.sum(pc.subtract(several["value_count_distinct"], 1)).as_py() or 0
    every = pc.sum(pc.subtract(several["value_count"], 1)).as_py() or 0
    found.repeats = every - found.collisions
    found.example = _example(bronze, several) if found.collisions else ""
    units = bronze.group_by(["reading_type", "unit"], use_threads=False).aggregate([])
    for row in units.to_pylist():
        found.units.setdefault(row["reading_type"], {})[row["unit"] or ""] = None


def _example(bronze: pa.Table, several: pa.Table) -> str:
    other = several.filter(pc.greater(several["value_count_distinct"], 1)).slice(0, 1)
    key = other.select(KEY).to_pylist()[0]
    same = bronze
    for name, wanted in key.items():
        same = same.filter(pc.equal(same[name], wanted))
    values = ", ".join(f"{v!r}" for v in list(dict.fromkeys(same["value"].to_pylist()))[:4])
    when = EPOCH + timedelta(microseconds=key["ts"] // 1000)
    return f"{key['reading_type']} of {key['sensor_id']} at {when:%Y-%m-%d %H:%M:%S} is {values}"
