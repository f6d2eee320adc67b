"""Bytes -> rows: one bad row costs one row, and every row knows where it stands."""

from __future__ import annotations

import csv
import gzip
import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorflow.core import reading
from sensorflow.core.binding.file_path import FilePath
from sensorflow.core.formats import lines as lines_
from sensorflow.core.formats.chunk import Reject
from sensorflow.core.profile import Profile
from sensorflow.errors import Code, Permanent

LONG = {"time": "t", "sensor": "s", "type": "k", "value": "v", "unit": "u"}
HEAD = b"t,s,k,v,u\n"
GOOD = b"2024-01-01T00:00:00Z,a,temp,1.5,C\n"


def read(data: bytes, **profile: Any) -> tuple[list[dict[str, Any]], list[Reject], int]:
    parsed_profile = Profile.model_validate({"format": "csv", **LONG, **profile})
    rows: list[dict[str, Any]] = []
    rejects: list[Reject] = []
    missing = 0
    for accepted in reading.read(
        io.BytesIO(data), parsed_profile, FilePath("roof_1.csv"), io.BytesIO
    ):
        batch = accepted.bronze
        place = batch.schema.get_field_index("ts")
        plain = batch.set_column(place, "ts", batch["ts"].cast(pa.int64()))
        rows += plain.to_pylist()
        rejects += accepted.rejects
        missing += accepted.missing
    return rows, rejects, missing


def test_rows_know_their_lines_and_rejects_their_bytes() -> None:
    bad = b"2024-01-01T00:00:00Z,a,temp,x,C\n"
    rows, rejects, _ = read(HEAD + GOOD + bad + GOOD)
    assert [r["line_no"] for r in rows] == [2, 4]
    (reject,) = rejects
    assert (reject.line_no, reject.column, reject.code) == (3, "v", Code.VALUE_NOT_A_NUMBER)
    assert reject.byte_offset == len(HEAD + GOOD)
    assert reject.raw == bad.decode().strip()


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (b"2024-01-01T00:00:00Z,a,temp,1.5\n", Code.COLUMN_COUNT),
        (b"2024-01-01T00:00:00Z,a,temp,1.5,C,more\n", Code.COLUMN_COUNT),
        (b'2024-01-01T00:00:00Z,"a,temp,1.5,C\n', Code.MALFORMED_ROW),
        (b'2024-01-01T00:00:00Z,"a"b,temp,1.5,C\n', Code.MALFORMED_ROW),
        (b"2024-01-01T00:00:00Z,\xff,temp,1.5,C\n", Code.INVALID_UTF8),
        (b"2024-01-01T00:00:00Z,\0,temp,1.5,C\n", Code.NUL_BYTE),
        (b"2024-01-01T00:00:00Z,,temp,1.5,C\n", Code.SENSOR_MISSING),
        (b"2024-01-01T00:00:00Z,a,,1.5,C\n", Code.TYPE_MISSING),
        (b",a,temp,1.5,C\n", Code.TIMESTAMP_MISSING),
    ],
)
def test_one_bad_row_costs_one_row(bad: bytes, code: Code) -> None:
    rows, rejects, _ = read(HEAD + GOOD + bad + GOOD * 2)
    assert [r["line_no"] for r in rows] == [2, 4, 5]
    assert [(r.line_no, r.code) for r in rejects] == [(3, code)]


def test_an_open_quote_and_a_bad_byte_after_it_cost_a_row_each() -> None:
    rows, rejects, _ = read(HEAD + b'2024-01-01T00:00:00Z,"a,temp,1,C\n' + b"\xff\n" + GOOD)
    assert [r["line_no"] for r in rows] == [4]
    found = [(r.line_no, r.code) for r in rejects]
    assert found == [(2, Code.MALFORMED_ROW), (3, Code.INVALID_UTF8)]


def test_the_offset_of_a_bad_byte_is_its_own() -> None:
    bad = b"2024-01-01T00:00:00Z,a\xff,temp,1.5,C\n"
    _, (reject,), _ = read(HEAD + GOOD + bad)
    assert reject.byte_offset == len(HEAD + GOOD) + bad.index(b"\xff")


def test_quoted_cells_and_line_ends_within_them() -> None:
    data = HEAD + b'2024-01-01T00:00:00Z,"a ""b"",\nc",temp,1.5,C\r\n' + GOOD
    rows, rejects, _ = read(data)
    assert [(r["line_no"], r["sensor_id"]) for r in rows] == [(2, 'a "b",\nc'), (4, "a")]
    assert rejects == []


def test_empty_lines_and_a_missing_last_line_end_are_no_rows() -> None:
    rows, rejects, _ = read(HEAD + b"\n" + GOOD + b"\n\n" + GOOD.strip())
    assert ([r["line_no"] for r in rows], rejects) == ([3, 6], [])


def test_a_byte_order_mark_is_no_part_of_the_header() -> None:
    assert len(read(b"\xef\xbb\xbf" + HEAD + GOOD)[0]) == 1


def test_names_like_na_stay_names() -> None:
    rows, _, _ = read(HEAD + b"2024-01-01T00:00:00Z,NA,null,1,nan\n")
    assert [(r["sensor_id"], r["reading_type"], r["unit"]) for r in rows] == [("NA", "null", "nan")]


def test_missing_cells_are_counted_and_not_rejected() -> None:
    rows, rejects, missing = read(HEAD + b",a,temp,,C\n" + GOOD, missing=["-9999"])
    assert (len(rows), rejects, missing) == (1, [], 1)


def test_a_wide_row_loses_only_its_bad_cell() -> None:
    rows, rejects, missing = _wide()
    assert [(r["line_no"], r["reading_type"], r["value"]) for r in rows] == [
        (2, "humidity", 48.0),
        (3, "temp", 21.5),
    ]
    assert [(r.line_no, r.column) for r in rejects] == [(2, "T")]
    assert missing == 1
    assert {r["sensor_id"] for r in rows} == {"roof"}


def _wide() -> tuple[list[dict[str, Any]], list[Reject], int]:
    profile = Profile.model_validate(
        {
            "format": "csv",
            "time": "t",
            "sensor": {"file_name": "^([a-z]+)_"},
            "columns": {"T": "temp", "RH": "humidity"},
        }
    )
    data = b"t,T,RH\n2024-01-01T00:00:00Z,x,48\n2024-01-01T00:01:00Z,21.5,\n"
    (accepted,) = reading.read(io.BytesIO(data), profile, FilePath("roof_1.csv"), io.BytesIO)
    rows = accepted.bronze.drop_columns(["ts"]).to_pylist()
    return rows, accepted.rejects, accepted.missing


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", Code.EMPTY),
        (HEAD, Code.EMPTY),
        (b"a,b\n1,2\n", Code.COLUMN_MISSING),
        (b"t,t,s,k,v,u\n", Code.COLUMN_MISSING),
        (b"\0" * 100, Code.EMPTY),
        (b"\x1f\x8bnot gzip at all", Code.UNREADABLE),
        (gzip.compress(HEAD + GOOD * 100, mtime=0)[:-20], Code.UNREADABLE),
        (HEAD + b"x" * 3_000_000, Code.LINE_TOO_LONG),
    ],
)
def test_files_that_cannot_be_read_say_why(data: bytes, code: Code) -> None:
    with pytest.raises(Permanent) as caught:
        read(data)
    assert caught.value.code is code


def test_a_bomb_is_stopped_while_it_is_read() -> None:
    bomb = gzip.compress(b"\n" * 50_000_000)
    with pytest.raises(Permanent) as caught:
        read(bomb, max_decompressed="1 MB")
    assert caught.value.code is Code.TOO_LARGE


def test_gzip_is_told_by_its_bytes() -> None:
    assert len(read(gzip.compress(HEAD + GOOD))[0]) == 1


def test_rows_do_not_depend_on_where_blocks_end(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = b'2024-01-01T00:00:00Z,"x\ny",temp,2,C\n'
    data = HEAD + (GOOD * 7 + odd + b"short\n") * 20
    expected = read(data)
    assert len(expected[0]) == 160
    for size in (7, 64, 1000):
        monkeypatch.setattr(lines_, "BLOCK", size)
        assert read(data) == expected


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(cells, cells, st.floats(allow_nan=False, allow_infinity=False))))
def test_what_pythons_csv_writes_is_read_back(readings: list[tuple[str, str, float]]) -> None:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["t", "s", "k", "v", "u"])
    for sensor, unit, value in readings:
        writer.writerow(["2024-01-01T00:00:00Z", "s" + sensor, "k", repr(value), unit])
    profile = Profile.model_validate({"format": "csv", **LONG})
    if not readings:
        return
    found = [
        row
        for accepted in reading.read(
            io.BytesIO(out.getvalue().encode()), profile, FilePath("x"), io.BytesIO
        )
        for row in accepted.bronze.drop_columns(["ts", "line_no"]).to_pylist()
    ]
    expected = [(("s" + s).strip(), u.strip(), v) for s, u, v in readings]
    assert [(r["sensor_id"], r["unit"], r["value"]) for r in found] == expected


def test_json_lines() -> None:
    good = {"t": "2024-01-01T00:00:00Z", "s": "a", "k": "temp", "v": 1.5, "u": "C"}
    data = [
        json.dumps(good),
        "",
        json.dumps({**good, "v": None}),
        json.dumps({**good, "v": True}),
        json.dumps({**good, "v": "2.5"}),
        '{"t": ',
        "[1]",
        json.dumps({**good, "v": 12345678901234567890}),
    ]
    rows, rejects, missing = read("\n".join(data).encode(), format="jsonl")
    assert [r["value"] for r in rows] == [1.5, 2.5, 12345678901234567890.0]
    assert [(r.line_no, r.code) for r in rejects] == [
        (4, Code.VALUE_NOT_A_NUMBER),
        (6, Code.MALFORMED_ROW),
        (7, Code.MALFORMED_ROW),
    ]
    assert missing == 1


def test_a_member_that_no_line_has_is_a_missing_column() -> None:
    line = b'{"t": "2024-01-01T00:00:00Z", "s": "a", "k": "temp", "val": 1.5, "u": "C"}\n'
    with pytest.raises(Permanent, match="'v'") as caught:
        read(line * 3, format="jsonl")
    assert caught.value.code is Code.COLUMN_MISSING


def test_characters_that_no_database_takes_cost_one_row() -> None:
    good = '{"t": "2024-01-01T00:00:00Z", "s": "a", "k": "temp", "v": 1.5, "u": "C"}'
    lines = [good, good.replace('"a"', '"a\\u0000"'), good.replace('"C"', '"\\ud800"'), good]
    rows, rejects, _ = read("\n".join(lines).encode(), format="jsonl")
    assert [r["line_no"] for r in rows] == [1, 4]
    assert [(r.line_no, r.code) for r in rejects] == [(2, Code.NUL_BYTE), (3, Code.INVALID_UTF8)]


def test_a_bad_byte_in_a_column_that_is_not_needed_costs_its_row_wherever_it_stands() -> None:
    head, good = b"t,s,k,v,u,note\n", GOOD.strip() + b",fine\n"
    bad = good.replace(b"fine", b"\xff")
    for before in (0, 1, 50_000):  # in the first block, and in one of its own
        rows, rejects, _ = read(head + good * before + bad + good)
        assert len(rows) == before + 1
        assert [(r.line_no, r.code) for r in rejects] == [(before + 2, Code.INVALID_UTF8)]


def test_parquet_plain_and_gzipped() -> None:
    table = pa.table(
        {
            "t": pa.array([0, 10**6], pa.timestamp("us", tz="UTC")),
            "s": pa.array(["a", "b"]).dictionary_encode(),
            "k": ["temp", "temp"],
            "v": pa.array([1.5, None], pa.float32()),
            "u": ["C", "C"],
        }
    )
    sink = io.BytesIO()
    pq.write_table(table, sink)
    for data in (sink.getvalue(), gzip.compress(sink.getvalue())):
        rows, rejects, missing = read(data, format="parquet")
        assert [(r["line_no"], r["sensor_id"], r["value"]) for r in rows] == [(1, "a", 1.5)]
        assert (rejects, missing) == ([], 1)


def test_a_broken_parquet_file_says_so() -> None:
    with pytest.raises(Permanent) as caught:
        read(b"PAR1 but not really", format="parquet")
    assert caught.value.code is Code.UNREADABLE
