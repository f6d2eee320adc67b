"""What is noticed of a version and the one before it: said, never acted on."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from sensorflow.core.history import remarks
from sensorflow.core.readings import SILVER

HOUR = 3600
WAVE = [1.0, 2.5, 2.0, 7.25, 6.0, 5.5, 9.0]


def rows(values: list[float], start: int = 0, sensor: str = "s1") -> pa.RecordBatch:
    n = len(values)
    ts = pa.array((np.arange(n) * 600 + start) * 10**9, pa.int64()).cast(SILVER.field("ts").type)
    texts = [pa.array([text] * n) for text in (sensor, "temperature")]
    rest = [pa.array(values), pa.array(["degC"] * n), pa.array([0] * n, pa.int16())]
    numbers = [pa.array(range(n), pa.int64()), pa.array([0] * n, pa.int32())]
    return pa.RecordBatch.from_arrays([ts, *texts, *rest, *numbers], schema=SILVER)


@pytest.mark.parametrize(("by", "expected"), [(HOUR, "+1:00:00"), (-HOUR, "-1:00:00")])
def test_a_clock_that_was_corrected_is_noticed(by: int, expected: str) -> None:
    assert f"times shifted by {expected}" in remarks(rows(WAVE), rows(WAVE, by))


def test_a_sensor_that_was_renamed_is_noticed() -> None:
    found = remarks(rows(WAVE), rows(WAVE, sensor="s2"))
    assert found == "sensor 's2' now has the readings of sensor 's1'"


@pytest.mark.parametrize(
    "newer",
    [
        rows(WAVE),  # the same again
        rows([v + 1 for v in WAVE]),  # a correction
        rows([v + 1 for v in WAVE], HOUR * 9),  # the next chunk
        rows(WAVE[:3], HOUR),  # too few to say so
    ],
)
def test_nothing_is_said_of_ordinary_versions(newer: pa.RecordBatch) -> None:
    assert remarks(rows(WAVE), newer) == ""


def test_a_sensor_that_stands_still_is_no_shifted_clock() -> None:
    assert remarks(rows([1.0] * 9), rows([1.0] * 9, HOUR)) == ""
