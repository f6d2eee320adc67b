"""Repeats are told the same way in memory, in order, and sorted on disk: as a plain dict would."""

from __future__ import annotations

import struct
from collections.abc import Iterable

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorflow.core import deduplicate
from sensorflow.core.deduplicate import Deduplicator, OutOfOrder
from sensorflow.core.readings import BRONZE, NS
from sensorflow.flow.validate import scratch_file

Row = tuple[str, str, int, float]
"""(sensor, type, nanoseconds, value)"""
Result = list[tuple[int | None, bool]]
"""(ordinal, duplicate) of each reading; a duplicate is dropped, and its ordinal is nobody's."""

SERIES = st.sampled_from([("a", "x"), ("a", "y"), ("b", "x"), ("ab", ""), ("", "ab"), ("ä\0", "x")])
NANOS = st.one_of(st.integers(-3000, 3000), st.integers(-(10**18), 7 * 10**18))
VALUES = st.one_of(st.sampled_from([0.0, -0.0, 1.0, 1.0000000000000002, 5e-324]), st.floats(0, 3))
ROWS = st.tuples(SERIES, NANOS, VALUES).map(lambda r: (*r[0], r[1], r[2]))
BATCHES = st.lists(st.lists(ROWS, max_size=8), max_size=6)


def batch(rows: list[Row]) -> pa.RecordBatch:
    sensors, types, nanos, values = zip(*rows, strict=True) if rows else ([], [], [], [])
    count = len(rows)
    columns = {
        "line_no": pa.array(range(count), pa.int64()),
        "ts": pa.array(nanos, pa.int64()).cast(NS),
        "sensor_id": pa.array(sensors, pa.string()),
        "reading_type": pa.array(types, pa.string()),
        "unit": pa.array([""] * count, pa.string()),
        "value": pa.array(values, pa.float64()),
        "quality": pa.array([0] * count, pa.int16()),
        "rescued": pa.nulls(count, pa.string()),
    }
    return pa.RecordBatch.from_arrays([columns[n] for n in BRONZE.names], schema=BRONZE)


def reference(batches: Iterable[list[Row]]) -> Result:
    known: dict[tuple[str, str, int], list[bytes]] = {}
    found: Result = []
    for sensor, kind, nanos, value in (row for rows in batches for row in rows):
        values, value_bits = (
            known.setdefault((sensor, kind, nanos // 1000), []),
            struct.pack("d", value),
        )
        found.append((None, True) if value_bits in values else (len(values), False))
        if value_bits not in values:
            values.append(value_bits)
    return found


def numbered(seen: Deduplicator, batches: Iterable[list[Row]]) -> Result:
    found: Result = []
    for rows in batches:
        ordinals, duplicates = seen.assign_ordinals(batch(rows))
        pairs = zip(ordinals.tolist(), duplicates.tolist(), strict=True)
        found += [(None if twice else ordinal, twice) for ordinal, twice in pairs]
    return found


def forward(batches: Iterable[list[Row]]) -> bool:
    """Whether every series goes on in time, in microseconds."""
    last: dict[tuple[str, str], int] = {}
    for sensor, kind, nanos, _ in (row for rows in batches for row in rows):
        before = last.setdefault((sensor, kind), nanos // 1000 - 1)
        if nanos // 1000 <= before:
            return False
        last[sensor, kind] = nanos // 1000
    return True


@settings(deadline=None)
@given(BATCHES)
def test_repeats_held_in_memory(batches: list[list[Row]]) -> None:
    assert numbered(Deduplicator(), batches) == reference(batches)


@settings(deadline=None)
@given(BATCHES)
def test_repeats_sorted_on_disk(batches: list[list[Row]]) -> None:
    seen = Deduplicator.sorted((batch(rows) for rows in batches), scratch_file)
    try:
        assert numbered(seen, batches) == reference(batches)
    finally:
        seen.close()


@settings(deadline=None)
@given(BATCHES, st.integers(0, 12))
def test_a_file_too_large_to_hold_is_in_order_or_told_not_to_be(
    batches: list[list[Row]], max_readings: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deduplicate, "MAX_HELD_READINGS", max_readings)
        try:
            found = numbered(Deduplicator(), batches)
        except OutOfOrder:
            assert not forward(batches)
            assert sum(map(len, batches)) > max_readings
        else:
            assert found == reference(batches)


@settings(deadline=None)
@given(BATCHES, st.integers(0, 12))
def test_a_large_file_in_order_is_never_sorted(batches: list[list[Row]], max_readings: int) -> None:
    rows = [row for rows in batches for row in rows]
    cuts = [len(part) for part in batches]
    step = iter(range(len(rows)))
    ordered = [(s, k, 1000 * next(step), v) for s, k, _, v in rows]
    parts = [[ordered.pop(0) for _ in range(cut)] for cut in cuts]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deduplicate, "MAX_HELD_READINGS", max_readings)
        assert numbered(Deduplicator(), parts) == [(0, False)] * len(rows)


@settings(deadline=None)
@given(BATCHES)
def test_marks_that_collide_are_told_apart(batches: list[list[Row]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deduplicate, "_GOLDEN", 0)  # every series has the same marks
        assert numbered(Deduplicator(), batches) == reference(batches)
