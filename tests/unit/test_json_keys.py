"""JSON: members by the names on their way, keys that stand twice, and NaN."""

from __future__ import annotations

import io
import json
import tempfile
from typing import Any

import pytest

from sensorflow.core import reading
from sensorflow.core.binding.file_path import FilePath
from sensorflow.core.formats.chunk import Reject
from sensorflow.core.profile import Profile
from sensorflow.errors import Code, Permanent

NOON = "2026-01-31T12:00:00Z"
FORMS = ("json", "jsonl")
Rows = list[tuple[str, str, float, str]]


def read(text: str, form: str, **profile: Any) -> tuple[Rows, list[Reject], int]:
    given = {"time": "t", "sensor": {"constant": "s"}, **profile}
    if "value" not in given:
        given["columns"] = {"v": {}}
    parsed_profile = Profile.model_validate({"format": form, **given})
    stream = io.BytesIO(text.encode())
    found = list(reading.read(stream, parsed_profile, FilePath("f", "f"), tempfile.TemporaryFile))
    names = ("sensor_id", "reading_type", "value", "unit")
    rows = [row for p in found for row in zip(*(p.bronze[n].to_pylist() for n in names))]  # noqa: B905
    return rows, [r for p in found for r in p.rejects], sum(p.missing for p in found)


def device(name: str) -> str:
    kinds = {"temperature": (21.5, "degC"), "humidity": (40, "%")}
    values = {kind: {"value": value, "unit": unit} for kind, (value, unit) in kinds.items()}
    return json.dumps({"device": {"id": name}, "time": NOON, "measurements": values}) + "\n"


@pytest.mark.parametrize("form", FORMS)
def test_measurements_by_their_names_of_one_device_or_several(form: str) -> None:
    """A value from the top is that of the record's own document, however many a file holds."""
    profile = {"time": "$.time", "sensor": "$.device.id", "type": "@key", "value": "value"}
    profile |= {"unit": "unit", "records": "measurements[*]"}
    rows, rejects, _ = read(device("A") + device("B"), form, **profile)
    expected = [("temperature", 21.5, "degC"), ("humidity", 40.0, "%")]
    assert (rows, rejects) == ([(name, *of) for name in "AB" for of in expected], [])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("gateways", [("g1",), ("g1", "g2")])
def test_a_gateways_list_of_readings(form: str, gateways: tuple[str, ...]) -> None:
    readings = [{"k": "T", "v": 1.5, "t": NOON}, {"k": "H", "v": 40, "t": NOON}]
    messages = [{"meta": {"deviceId": g}, "payload": {"readings": readings}} for g in gateways]
    profile = {"sensor": "$.meta.deviceId", "type": "k", "value": "v"}
    profile |= {"records": "payload.readings[*]"}
    rows, _, _ = read("\n".join(map(json.dumps, messages)), form, **profile)
    assert rows == [(g, k, v, "") for g in gateways for k, v in (("T", 1.5), ("H", 40.0))]


LISTED = json.dumps({"s1": [{"t": NOON, "v": 1}], "s2": [{"t": NOON, "v": 2}, {"t": NOON, "v": 3}]})


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("name", "found"), [("@key(1)", ["s1", "s2", "s2"]), ("@index", ["0", "0", "1"])]
)
def test_the_key_above_a_list_and_the_place_in_it(form: str, name: str, found: list[str]) -> None:
    rows, _, _ = read(LISTED, form, records="[*][*]", sensor=name)
    assert [row[0] for row in rows] == found


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("@key", r"elements of a list; use @key\(1\) for a key above it"),
        ("@index(1)", r"use @key\(1\), which is 's1' here"),
        ("@key(2)", r"@key\(2\) needs 3 \[\*\] in records, which has 2"),
    ],
)
def test_nobody_gets_a_place_for_a_key(form: str, name: str, reason: str) -> None:
    with pytest.raises(Permanent, match=reason) as caught:
        read(LISTED, form, records="[*][*]", sensor=name)
    assert caught.value.code is Code.COLUMN_MISSING


GOOD = json.dumps({"t": NOON, "v": 4})


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("record", "key"),
    [
        (f'{{"t": "{NOON}", "v": 1, "v": 2}}', "v"),
        (f'{{"t": "{NOON}", "v": 1, "other": [{{"a": 1, "a": 1}}]}}', "a"),
        (f'{{"t": "{NOON}", "\\u0076": 1, "v": 2}}', "v"),
    ],
)
def test_a_key_that_stands_twice_costs_its_record(form: str, record: str, key: str) -> None:
    lines = [GOOD, record, GOOD]
    text = f"[{','.join(lines)}]" if form == "json" else "\n".join(lines)
    rows, rejects, _ = read(text, form)
    reported = [(r.line_no, r.code, r.reason) for r in rejects]
    assert reported == [(2, Code.MALFORMED_ROW, f"the key {key!r} occurs twice in an object")]
    assert [row[2] for row in rows] == [4.0, 4.0]


def test_a_key_that_stands_twice_above_the_records() -> None:
    text = f'{{"a": {{"id": 1, "id": 2}}, "b": {{"x": {GOOD}, "x": {GOOD}}}}}'
    _, rejects, _ = read(text, "json", records="b[*]")
    assert [r.reason for r in rejects] == ["the key 'x' occurs twice in an object"]
    with pytest.raises(Permanent, match="the key 'id' occurs twice"):
        read(text, "json", records="b[*]", sensor="$.a.id")


@pytest.mark.parametrize("form", FORMS)
def test_nan_costs_its_cell(form: str) -> None:
    cells = ["NaN", "-Infinity", "1.5", '"NaN"', "Infinity"]
    lines = [f'{{"t": "{NOON}", "v": {cell}, "why": "NaN, -Infinity"}}' for cell in cells]
    text = f"[{','.join(lines)}]" if form == "json" else "\n".join(lines)
    rows, rejects, missing = read(text, form, missing=["NaN"], sensor="why")
    assert rows == [("NaN, -Infinity", "v", 1.5, "")]
    assert [(r.line_no, r.code) for r in rejects] == [(n, Code.VALUE_NOT_FINITE) for n in (2, 5)]
    assert missing == 2


@pytest.mark.parametrize("word", ["NaN", "-Infinity", "Infinity"])
def test_nan_where_a_block_of_a_document_ends(word: str) -> None:
    for shift in range(12):
        begin = f'[{{"t": "{NOON}", "v": 1, "pad": "'
        pad = "x" * ((1 << 16) - len(begin) - 60 + shift)
        text = f'{begin}{pad}"}}, {{"t": "{NOON}", "w": 1, "v": {word}}}]'
        rows, rejects, _ = read(text, "json")
        assert [r.code for r in rejects] == [Code.VALUE_NOT_FINITE]
        assert len(rows) == 1


def test_words_that_are_no_numbers_break_a_document() -> None:
    for word in ("NaN1", "nan", "-NaN", "Infinit", "xNaN"):
        with pytest.raises(Permanent, match="not JSON"):
            read(f'[{{"t": "{NOON}", "v": {word}}}]', "json")


@pytest.mark.parametrize("form", ["json", "jsonl"])
@pytest.mark.parametrize("member", ['"a.b":1,"a":{"b":2}', '"a[0]":1,"a":[2]'])
def test_a_name_that_is_also_a_path_costs_its_record(form: str, member: str) -> None:
    """The last of the two values was taken, without a word."""
    line = '{"t":"2026-01-31T12:00:00Z","s":"x",%s}'
    lines = [line % member, *[line % f'"c":{n}' for n in range(40)]]
    text = "[" + ",".join(lines) + "]" if form == "json" else "\n".join(lines) + "\n"
    given = {"format": form, "time": "t", "sensor": "s", "each": [{"match": r"^(a|c)"}]}
    found = list(
        reading.read(
            io.BytesIO(text.encode()), Profile.model_validate(given), FilePath("f", "f"), io.BytesIO
        )
    )
    assert sum(len(part.bronze) for part in found) == 40
    (reject,) = [reject for part in found for reject in part.rejects]
    assert (reject.code, reject.line_no) == (Code.MALFORMED_ROW, 1)
