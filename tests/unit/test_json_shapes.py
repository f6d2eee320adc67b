"""JSON lines many at once, and one by one: whatever the lines are, the same readings and rejects."""

from __future__ import annotations

import io
import json
import struct
import tempfile
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sensorflow.core import reading
from sensorflow.core.binding.file_path import FilePath
from sensorflow.core.formats import guarded, json_elements, jsonl, listed, shaped
from sensorflow.core.formats import json as documents
from sensorflow.core.profile import Profile
from sensorflow.errors import Permanent

steady = settings(deadline=None, suppress_health_check=list(HealthCheck))
LONG = {"time": "t", "sensor": "s", "type": "k", "value": "v", "unit": "u"}
NEST = {**LONG, "sensor": "$.m.id", "value": "v.x", "records": "r[*]", "unit": "{$.m.u}"}
PROFILES: list[dict[str, Any]] = [
    LONG,
    {
        **LONG,
        "decimal": ",",
        "thousands": ".",
        "missing": ["NaN", "-9"],
        "where": {"k": ["a", "1"]},
    },
    {
        "time": {"column": "t", "format": ["epoch_ns", "epoch_ms"]},
        "sensor": "s",
        "each": "^(v|x)",
        "unit": "u",
    },
    {**LONG, "sensor": "{s}/{m}", "time": {"column": "t", "format": "epoch_s"}, "comment": "#"},
    NEST,
    {**NEST, "type": "@key", "time": "$.t"},
    {
        **LONG,
        "records": "[*]",
        "time": "#1",
        "value": "#2",
        "type": {"constant": "c"},
        "sensor": {"constant": "s"},
    },
    {
        **LONG,
        "records": "r",
        "value": ".",
        "time": "$.t",
        "type": "$.k",
        "sensor": "$.s",
        "max_nesting": 3,
    },
]
Found = tuple[list[tuple[object, ...]], list[tuple[object, ...]], int, int, str]


def read(data: bytes, few: int, piece: int, **profile: Any) -> Found:
    parsed_profile = Profile.model_validate({"format": "jsonl", **profile})
    rows: list[tuple[object, ...]] = []
    rejects: list[tuple[object, ...]] = []
    count = missing = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shaped, "MIN_FAST_LINES", few)
        patch.setattr(jsonl, "PIECE", piece)
        patch.setattr(shaped, "MAX_GAP_LINES", 1)
        try:
            for part in reading.read(
                io.BytesIO(data), parsed_profile, FilePath("f", "f"), tempfile.TemporaryFile
            ):
                table = part.bronze.set_column(1, "ts", part.bronze["ts"].cast("int64")).to_pylist()
                rows += [(*r.values(), struct.pack("d", r["value"])) for r in table]
                rejects += map(tuple, part.rejects)
                count, missing = count + part.rows, missing + part.missing
        except Permanent as error:
            return [], [], 0, 0, str(error)
    return rows, rejects, count, missing, ""


NUMBERS = st.sampled_from(
    [
        "21.50",
        "-0",
        "0",
        "1e5",
        "1E+2",
        "1e-400",
        "1e400",
        "9007199254740993",
        "1769860800123456789",
        "1769860800.1234567891",
        "-9",
        "5e-324",
        "0.1",
        "1.",
        ".5",
        "01",
        "-",
        "--1",
        "1.2.3",
        "+1",
        "1-2",
        "NaN",
        "-Infinity",
        "Infinity",
        "true",
        "false",
        "null",
        "nul",
        "None",
        "1_0",
        "0x1",
    ]
)
SIGNS = st.sampled_from(
    [
        "a",
        "b",
        "1",
        "°",
        "é",
        "😀",
        ",",
        ":",
        "{",
        "}",
        "[",
        "]",
        " ",
        "#",
        "\\n",
        "\\\\",
        '\\"',
        "\\/",
        "\\u00b0",
        "\\ud83d\\ude00",
        "\\ud83d",
        "\\x",
        "\\u12",
        "\\u0000",
        "\t",
        "\x00",
        "\x01",
        "\\",
    ]
)
PLAIN = st.sampled_from(
    ["a", "b", "1", "", "21,5", "1.021,5", "NaN", "2026-01-31T12:00:00Z", " a "]
)
TEXTS = st.one_of(PLAIN, PLAIN, st.lists(SIGNS, max_size=4).map("".join)).map('"{}"'.format)
TIMES = st.sampled_from(
    ['"2026-01-31T12:00:00Z"', "1769860800", "1769860800123", "1769860800123456789", '"x"', "null"]
)
NAMES = st.sampled_from(["t", "s", "k", "v", "u", "m", "x", "r", "v.x", "é", "\\u0076", "id", ""])
SPACES = st.sampled_from(["", "", "", " ", "\t", "\r", "\x0b"])


def objects(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    member = st.tuples(NAMES, SPACES, values).map(lambda m: f'"{m[0]}"{m[1]}:{m[1]}{m[2]}')
    return st.lists(member, max_size=5).map(lambda members: "{" + ",".join(members) + "}")


def lists(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(values, max_size=3).map(lambda members: "[" + ",".join(members) + "]")


LEAVES = st.one_of(NUMBERS, TEXTS, TIMES)
VALUES = st.recursive(LEAVES, lambda v: st.one_of(objects(v), lists(v)), max_leaves=8)


@st.composite
def usual(draw: st.DrawFn) -> str:
    """A line as loggers write it."""
    number = draw(st.one_of(st.sampled_from(["1.5", "-9", "null", '"21,5"', "40"]), LEAVES))
    facts = {
        "t": draw(TIMES),
        "s": '"a"',
        "k": draw(PLAIN.map(json.dumps)),
        "v": number,
        "u": '"C"',
    }
    inner = "{" + ",".join(f'"{k}":{v}' for k, v in facts.items()) + "}"
    nested = f'{{"t":{facts["t"]},"k":"a","v":{{"x":{number}}}}}'
    return draw(
        st.sampled_from(
            [
                inner,
                f'{{"t":{facts["t"]},"m":{{"id":"A","u":"C"}},"r":[{nested},{nested}]}}',
                f'{{"t":{facts["t"]},"m":{{"id":"A","u":"C"}},"r":{{"one":{nested}}}}}',
                f"[[{facts['t']},{number}]]",
                inner[:-1],
                f"{inner} ",
                "",
                "  ",
                "# {}",
                f"{{{inner}}}",
                f'{{"t":{facts["t"]},"s":"a","k":"b","r":{number}}}',
            ]
        )
    )


LINE = st.one_of(usual(), usual(), usual(), objects(VALUES), lists(VALUES))
BAD = st.sampled_from([b"", b"", b"", b"", b"\xff", b'"', b"\xef\xbb\xbf"])


@steady
@given(
    st.lists(st.tuples(LINE, BAD), min_size=1, max_size=12),
    st.sampled_from(range(len(PROFILES))),
    st.sampled_from(["\n", "\r\n"]),
    st.integers(1, 400),
)
def test_lines_at_once_and_one_by_one_are_the_same(
    lines: list[tuple[str, bytes]], profile: int, end: str, piece: int
) -> None:
    data = end.encode().join(line.encode() + bad for line, bad in lines)
    one_by_one = read(data, 10**9, piece, **PROFILES[profile])
    assert read(data, 1, piece, **PROFILES[profile]) == one_by_one


def test_plain_lines_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever makes them odd by accident makes the reader ten times slower."""

    def one_by_one(*_: object) -> None:
        raise AssertionError

    lines = [
        '{"t": "2026-01-31T12:00:00Z", "s": "a", "k": "T", "v": 21.5, "u": "\\u00b0C"}',
        '{"t":"2026-01-31T12:00:00Z","s":"é","k":"T","v":null,"u":"%","x":[1,{"y":true}]}',
        '{"t":"2026-01-31T12:00:00Z","s":"a","k":"T","v":-1.5e-05}',
    ]
    monkeypatch.setattr(jsonl._Reading, "one_by_one", one_by_one)
    rows, rejects, count, missing, _ = read("\n".join(lines * 50).encode(), 1, 4000, **LONG)
    assert (len(rows), rejects, count, missing) == (100, [], 150, 50)


AROUND = [
    "[{}]",
    '{{"m":{{"id":"A","n":12}},"d":[{}],"z":[1,{{"d":2}}]}}',
    '{{"d":[{}],"m":{{"id":"é","n":1.50}}}} ',
]
TOP = {"unit": "{$.m.n}", "sensor": "$.m.id"}


def documented(
    data: bytes, records: str, streamed: bool, profile: dict[str, Any]
) -> tuple[object, ...]:
    """What a document tells, but for the texts of its numbers: the streaming parser writes 1e2 as 100."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shaped, "MIN_FAST_LINES", 1)
        patch.setattr(json_elements, "PIECE", 200)
        patch.setattr(guarded, "SIZE", 64)
        if streamed:
            patch.setattr(documents, "find", lambda *_: None)
        found = read(data, 1, 1, **{**profile, "format": "json", "records": records})
    rows, rejects, count, missing, error = found
    expected = [(*row[:5], row[5] or 0.0, *row[6:-1]) for row in rows]
    return expected, [(r[0], r[2], r[3]) for r in rejects], count, missing, error[:4]


@steady
@given(
    st.lists(LINE, min_size=1, max_size=12),
    st.sampled_from([(0, PROFILES[0]), (0, PROFILES[1]), (0, PROFILES[2]), (0, PROFILES[6])]
    + [(n, {**p, **TOP}) for n in (1, 2) for p in PROFILES[:3]]),
    st.sampled_from([",", " ,\n", ",\r\n\t"]),
)  # fmt: skip
def test_a_list_in_a_document_is_read_as_the_streaming_parser_does(
    lines: list[str], kind: tuple[int, dict[str, Any]], between: str
) -> None:
    around, profile = kind
    data = AROUND[around].format(between.join(lines)).encode()
    if b"\x0b" in data:  # a space for that parser, and for no other one
        return
    records = "d[*]" if around else "[*]"
    streamed = documented(data, records, True, profile)
    assert documented(data, records, False, profile) == streamed


@pytest.mark.parametrize("end", [",", " , ", ",\n", ",," + " " * 300, "," + " " * 300])
@pytest.mark.parametrize("count", [0, 1, 3, 40])
def test_a_comma_without_a_value_behind_it_refuses_the_document(count: int, end: str) -> None:
    """Wherever the pieces end that it is read in."""
    line = '{"t":"2026-01-31T12:00:00Z","s":"a","k":"T","v":21.5,"u":"%"}'
    data = AROUND[0].format(",".join([line] * count) + end).encode()
    for streamed in (True, False):
        *_, error = documented(data, "[*]", streamed, LONG)
        assert error == "F203"


def test_a_list_in_a_document_is_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def one_by_one(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(listed._Reading, "one_by_one", one_by_one)
    monkeypatch.setattr(shaped, "MIN_FAST_LINES", 1)
    monkeypatch.setattr(json_elements, "PIECE", 4000)
    monkeypatch.setattr(guarded, "SIZE", 1000)
    line = '{"t": "2026-01-31T12:00:00Z",\n "k": "T,]", "v": 21.5, "u": "%"}'
    data = AROUND[1].format(", ".join([line] * 300)).encode()
    profile = {**LONG, "sensor": "$.m.id", "unit": "{u}{$.z[1].d}", "format": "json"}
    rows, rejects, count, _, _ = read(data, 1, 1, **profile, records="d[*]")
    assert (len(rows), rejects, count) == (300, [], 300)
    assert [row[0] for row in rows] == list(range(1, 301))
    assert {(row[2], row[4]) for row in rows} == {("A", "%2")}


@pytest.mark.parametrize("cell", [*NUMBERS.elements, *(f'"{sign}"' for sign in SIGNS.elements)])  # type: ignore[attr-defined]
def test_a_strange_cell_among_plain_lines(cell: str) -> None:
    """Also one that many random lines may not hold."""
    plain = '{"t":"2026-01-31T12:00:00Z","s":"a","k":"T","v":1.5,"u":"C"}\n'
    data = (plain * 2 + plain.replace("1.5", cell) + plain + plain.replace('"C"', cell)).encode()
    assert read(data, 1, 4000, **LONG) == read(data, 10**9, 4000, **LONG)


@pytest.mark.parametrize("texts", ['"a""b"', '"a" "b"', '"""' + '"' * 2001, '1"2"', '"1"2'])
def test_texts_with_nothing_between_them_are_no_number(texts: str) -> None:
    """The numbers of their leaves, side by side, were read as that of another leaf."""
    line = '{"t":"2026-01-31T12:00:00Z","s":%s,"k":"b","v":1,"u":"C"}\n'
    text = line % '"x"' * 60 + line % texts + line % '"x"' * 60
    profile = {"time": "t", "sensor": "s", "type": "k", "value": "v", "unit": "u"}
    parsed_profile = Profile.model_validate({"format": "jsonl", **profile})
    found = list(
        reading.read(io.BytesIO(text.encode()), parsed_profile, FilePath("f", "f"), io.BytesIO)
    )
    assert sum(len(part.bronze) for part in found) == 120
    assert [reject.line_no for part in found for reject in part.rejects] == [61]
