"""Bronze -> silver: wide rows become one reading each, in the file's order; repeats are told."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sensorflow.core.dedupe import Occurrences
from sensorflow.core.profile import Profile
from sensorflow.core.readings import SILVER


@dataclass(frozen=True)
class Reshaped:
    silver: pa.RecordBatch
    duplicates: int


def reshape(bronze: pa.RecordBatch, profile: Profile, seen: Occurrences) -> Reshaped:
    """One bronze batch -> its readings (see `readings.SILVER`), without the exact repeats."""
    long = _melt(bronze, profile) if profile.wide else bronze
    count = len(long)
    ordinal, duplicate = seen.number(long)
    silver = pa.RecordBatch.from_arrays(
        [
            long["ts"],
            long["sensor_id"],
            long["reading_type"],
            long["value"],
            long["unit"],
            pa.array(np.zeros(count, np.int16)),
            long["line_no"],
            pa.array(ordinal),
        ],
        schema=SILVER,
    )
    if duplicate.any():
        silver = silver.filter(pa.array(~duplicate))
    return Reshaped(silver, int(duplicate.sum()))


def _melt(bronze: pa.RecordBatch, profile: Profile) -> pa.RecordBatch:
    """Row by row, in the order of the profile's columns; nulls are no readings."""
    names = list(profile.columns)
    width, count = len(names), len(bronze)
    # the cell of row r and column c stands at c * count + r when columns are laid end to end
    order = np.arange(width * count).reshape(width, count).T.ravel()
    values = pa.concat_arrays([bronze[name] for name in names])
    present = pc.is_valid(values).to_numpy(zero_copy_only=False)
    order = order[present[order]]
    row, column = pa.array(order % max(count, 1)), pa.array(order // max(count, 1))
    kinds = pa.array([profile.columns[name].type for name in names], pa.string())
    units = pa.array([profile.columns[name].unit for name in names], pa.string())
    return pa.RecordBatch.from_pydict(
        {
            "line_no": bronze["line_no"].take(row),
            "ts": bronze["ts"].take(row),
            "sensor_id": bronze["sensor_id"].take(row),
            "reading_type": kinds.take(column),
            "unit": units.take(column),
            "value": values.take(pa.array(order)),
        }
    )
