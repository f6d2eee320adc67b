"""A chunk is judged part by part, and nothing of it is another reading, or another reject, for that."""

from __future__ import annotations

import io
import tempfile
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorflow.core import reading
from sensorflow.core.binding.file_path import FilePath
from sensorflow.core.formats.chunk import Reject
from sensorflow.core.profile import Profile
from sensorflow.core.validation import Accepted

WIDE = {"format": "csv", "time": "t", "sensor": {"constant": "x"}, "columns": ["a", "b", "c"]}
RULES = {"rules": {"*": [{"max": 5}, {"monotonic": "increasing"}]}}

CELL = st.sampled_from(["1", "2", "3", "9", "", "x", "1e999"])
TIME = st.integers(0, 3).map("2026-01-01T00:00:0{}Z".format) | st.just("never")
ROW = st.tuples(TIME, CELL, CELL, CELL).map(",".join) | st.sampled_from(["1,2", "a,b,c,d,e", '"'])


def judged(data: bytes, profile: Profile) -> list[Accepted]:
    return list(reading.read(io.BytesIO(data), profile, FilePath("f", "f"), tempfile.TemporaryFile))


def sums(found: list[Accepted]) -> tuple[pa.Table, list[Reject], int, int]:
    bronze = pa.Table.from_batches([one.bronze for one in found]).combine_chunks()
    rejects = [reject for one in found for reject in one.rejects]
    return bronze, rejects, sum(one.missing for one in found), sum(one.rows for one in found)


def hold(data: bytes, table: dict[str, Any]) -> int:
    profile = Profile.model_validate(table)
    counts = []
    with pytest.MonkeyPatch.context() as patch:
        expected = sums(judged(data, profile))
        for limit in (1, 3, 7):
            patch.setattr(reading, "READINGS", limit)
            parts = judged(data, profile)
            counts.append(len(parts))
            assert all(len(one.bronze) <= max(limit, 3) for one in parts)
            assert sums(parts) == expected
    return max(counts)


@given(st.lists(ROW, min_size=1, max_size=12))
def test_parts_of_a_table_make_the_same_readings_and_rejects_in_the_same_order(
    rows: list[str],
) -> None:
    hold("\n".join(["t,a,b,c", *rows, ""]).encode(), {**WIDE, **RULES})


def test_a_chunk_is_cut() -> None:
    rows = [f"2026-01-01T00:00:{n:02},{n},x,{-n}" for n in range(40)]
    assert hold("\n".join(["t,a,b,c", *rows, ""]).encode(), WIDE) == 40


def test_a_line_that_makes_several_rows_is_counted_once() -> None:
    rows = ", ".join(f'{{"t": "2026-01-01T00:00:0{n}Z", "a": {n}, "b": "x"}}' for n in range(5))
    lines = [f'{{"d": [{rows}]}}'] * 4
    table = {**WIDE, "format": "jsonl", "records": "$.d[*]", "columns": ["a", "b"]}
    data = "\n".join([*lines, "no json", ""]).encode()
    assert hold(data, table) > 1
    assert sums(judged(data, Profile.model_validate(table)))[3] == 5
