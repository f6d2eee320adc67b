"""Remarks on how a version of a file differs from the previous version. The remarks are informational
only."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sensorflow.core.readings import micros

COMPARED_READINGS = 2000
"""Number of readings at the start of each version that are compared."""
MIN_READINGS = 5
"""Minimum number of readings of a series that are compared. With fewer readings than this, equal values may
be a coincidence."""

Points: TypeAlias = "tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]"
"""The times (microseconds) and values of a series, in file order."""


def outside_text(rows: int, low: datetime, high: datetime) -> str:
    """Return the remark for a newer version that deleted readings outside its own time span. rows: the
    number of deleted readings. low, high: the first and last time of the deleted readings."""
    return (
        f"{rows:,} readings of the older version outside the new version's time span were removed, "
        f"from {low.isoformat()} to {high.isoformat()}"
    )


def remarks(older: pa.RecordBatch, newer: pa.RecordBatch) -> str:
    """Return a remark if the newer version looks like the older one with a shifted clock or a renamed
    sensor. Otherwise return "".

    older, newer: the first silver rows of each version.
    """
    old, new = _series(older), _series(newer)
    shifts = {_shift(old[name], new[name]) for name in old.keys() & new.keys()} - {0}
    if len(shifts) == 1:
        moved = timedelta(microseconds=shifts.pop())
        sign, size = ("-", -moved) if moved < timedelta(0) else ("+", moved)
        return f"the values are equal to the previous version's, with times shifted by {sign}{size}"
    for sensor, kind in sorted(old.keys() - new.keys()):
        for other, same in sorted(new.keys() - old.keys()):
            if kind == same and _equal(old[sensor, kind], new[other, same]):
                return f"sensor {other!r} now has the readings of sensor {sensor!r}"
    return ""


def _series(batch: pa.RecordBatch) -> dict[tuple[str, str], Points]:
    batch = batch.slice(0, COMPARED_READINGS)
    names = list(
        zip(batch["sensor_id"].to_pylist(), batch["reading_type"].to_pylist(), strict=True)
    )
    ts, values = micros(batch["ts"]), batch["value"].to_numpy()
    places: dict[tuple[str, str], list[int]] = {}
    for place, name in enumerate(names):
        places.setdefault(name, []).append(place)
    return {name: (ts[found], values[found]) for name, found in places.items()}


def _shift(old: Points, new: Points) -> int:
    """Return the time shift between two series with equal values, in microseconds. Returns 0 if the values
    differ or the shift is not constant."""
    for cut in (slice(None, _common(old, new)), slice(-_common(old, new) or None, None)):
        times = np.unique(new[0][cut] - old[0][cut])
        if len(times) == 1 and _is_informative(old[1][cut]) and (old[1][cut] == new[1][cut]).all():
            return int(times[0])
    return 0


def _common(old: Points, new: Points) -> int:
    return min(len(old[0]), len(new[0]))


def _is_informative(values: npt.NDArray[np.float64]) -> bool:
    """Return whether equality of these values is not a coincidence, because there are enough values and
    enough of them are distinct."""
    return len(values) >= MIN_READINGS and len(np.unique(values)) > 2


def _equal(old: Points, new: Points) -> bool:
    n = _common(old, new)
    same = (old[0][:n] == new[0][:n]).all() and (old[1][:n] == new[1][:n]).all()
    return bool(same) and _is_informative(old[1][:n])
