"""Numbers as people and receivers write them: signs, units in the cell, states, positions."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sensorflow.core.binding.file_path import FilePath
from sensorflow.core.numbers import Style, read
from sensorflow.core.reading import read as judged
from sensorflow.flow.validate import scratch_file
from sensorflow.profiles import resolved, validated


def number(text: str, style: Style = Style(), half: str | None = None) -> float | str | None:  # noqa: B008
    halves = None if half is None else pa.array([half or None], pa.string())
    found = read(pa.array([text]), style, hemispheres=halves)
    return f"F{found.codes[0]}" if found.codes[0] else found.values[0].as_py()


SPACED = Style(thousands=" ", decimal=",")
MARKED = Style(thousands="'")


@pytest.mark.parametrize(
    ("text", "style", "expected"),
    [
        ("\u22125", Style(), -5.0),
        ("1e\u22125", Style(), 1e-5),
        ("+5", Style(), 5.0),
        ("+-5", Style(), "F111"),
        ("\u2212-5", Style(), "F111"),
        ("5\u22121", Style(), "F111"),
        ("\u00a05\u202f", Style(), 5.0),
        ("1\u00a0234", Style(), "F111"),
        ("1\u00a0234,5", SPACED, 1234.5),
        ("\u22121\u202f234\u2009567", SPACED, -1234567.0),
        ("1 23", SPACED, "F111"),
        ("1\u2019234.5", MARKED, 1234.5),
        ("1\u201923", MARKED, "F111"),
        ("\u2212", Style(), "F111"),
        ("\u2212", Style(markers=("\u2212",)), None),
    ],
)
def test_signs_of_all_kinds(text: str, style: Style, expected: float | str | None) -> None:
    assert number(text, style) == expected


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        ("ON", {"on": 1.0}, 1.0),
        ("s", {"s": 1.0, "S": 2.0}, 1.0),
        ("S", {"s": 1.0, "S": 2.0}, 2.0),
        ("STRASSE", {"Straße": 3.0}, 3.0),
        ("oN", {"on": 1.0, "ON": 2.0}, "F111"),
        ("7", {"on": 1.0}, 7.0),
    ],
)
def test_states_in_any_case_where_it_leaves_no_doubt(
    text: str, words: dict[str, float], expected: float | str
) -> None:
    assert number(text, Style(words=words)) == expected


@pytest.mark.parametrize(
    ("text", "kind", "half", "expected"),
    [
        ("4807.038", "ddmm", "N", 48.1173),
        ("4807.038", "ddmm", "s", -48.1173),
        ("01131.000E", "ddmm", None, 11.516666666666667),
        ("W 07038.25", "ddmm", None, -70.6375),
        ("-0730.5", "ddmm", None, -7.508333333333333),
        ("7.5", "ddmm", None, 0.125),
        ("4867.038", "ddmm", "N", "F111"),
        ("9107.0", "ddmm", "N", "F111"),
        ("18100.0", "ddmm", "E", "F111"),
        ("4807.038", "ddmm", "", "F111"),
        ("4807.038", "ddmm", "X", "F111"),
        ("4807.038N", "ddmm", "S", "F111"),
        ("-4807.038", "ddmm", "N", "F111"),
        ("48°07'30\"N", "dms", None, 48.125),
        ("48 7.5 S", "dms", None, -48.125),
        ("48.5 7", "dms", None, "F111"),
        ("48°61'", "dms", None, "F111"),
    ],
)
def test_positions_are_degrees(
    text: str, kind: str, half: str | None, expected: float | str
) -> None:
    found = number(text, Style(angle=kind), half)
    assert found == (
        pytest.approx(expected, abs=1e-12) if isinstance(expected, float) else expected
    )


def rows(data: bytes, **profile: object) -> list[tuple[object, ...]]:
    table = {"sensor": {"constant": "s"}, "time": "t", **profile}
    parsed_profile = validated(resolved("p", {"p": table}), "p")
    return [
        (r["value"], r["unit"])
        for part in judged(io.BytesIO(data), parsed_profile, FilePath("x", "x"), scratch_file)
        for r in part.bronze.to_pylist()
    ]


def test_the_unit_stands_in_the_cell() -> None:
    data = b"t,v\n2026-01-01T00:00:00Z,F 58\n2026-01-01T00:00:01Z,7\n"
    column = {"unit": "K", "clean": r"^(?P<unit>[FC]) (\d+)$"}
    assert rows(data, format="csv", columns={"v": column}) == [(58.0, "F"), (7.0, "K")]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("58 °F", [(58.0, "°F")]),
        ("45%", [(45.0, "%")]),
        ("58 1/min", []),
        ("15", [(15.0, "K")]),
        ("1e5", [(1e5, "K")]),
        ("1.5", [(1.5, "K")]),
        ("1,5m", []),
        ("5-7", []),
    ],
)
def test_a_number_is_never_cut_into_number_and_unit(
    cell: str, expected: list[tuple[float, str]]
) -> None:
    data = f"t;v\n2026-01-01T00:00:00Z;{cell}\n".encode()
    column = {"unit": "K", "clean": r"^([-\d.]+)\s*(?P<unit>[^\s/]+)$"}
    assert rows(data, format="csv", delimiter=";", columns={"v": column}) == expected


STATES = {"v": {"values": {"true": 1, "false": 0}}}


def test_booleans_are_states_whatever_the_format() -> None:
    lines = b'{"t":"2026-01-01T00:00:00Z","v":true}\n{"t":"2026-01-01T00:00:01Z","v":false}\n'
    assert rows(lines, format="jsonl", columns=STATES) == [(1.0, ""), (0.0, "")]
    out = io.BytesIO()
    times = ["2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"]
    pq.write_table(pa.table({"t": times, "v": [True, False]}), out)
    assert rows(out.getvalue(), format="parquet", columns=STATES) == [(1.0, ""), (0.0, "")]
    text = b"t,v\n2026-01-01T00:00:00Z,TRUE\n2026-01-01T00:00:01Z,False\n"
    assert rows(text, format="csv", columns=STATES) == [(1.0, ""), (0.0, "")]


def test_columns_of_zone_flag_and_hemisphere_are_found_in_records() -> None:
    record = b'{"t":"2026-07-01 12:00","z":"+02:00","v":"0130.0","h":"S"}\n'
    column = {"angle": "ddmm", "hemisphere": "h"}
    time = {"column": "t", "zone": {"column": "z"}}
    assert rows(record, format="jsonl", time=time, columns={"v": column}) == [(-1.5, "")]
    json_line = b'{"h":"S","d":"1","r":[{"t":"2026-10-25 02:30","v":"0130.0"}]}'
    column = {"angle": "ddmm", "hemisphere": "$.h"}
    flagged = {"column": "t", "zone": "Europe/Berlin", "dst": {"column": "$.d", "yes": ["1"]}}
    found = rows(json_line, format="json", records="r[*]", time=flagged, columns={"v": column})
    assert found == [(-1.5, "")]
    column = {"angle": "ddmm", "hemisphere": "h"}
    text = b"t,z,v,h\n2026-07-01 12:00,+02:00,0130.0,S\n"
    assert rows(text, format="csv", time=time, columns={"v": column}) == [(-1.5, "")]
