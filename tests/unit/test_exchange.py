"""Table Schema and CSVW into profiles and back: nothing that they say is lost in silence."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from sensorflow import profiles
from sensorflow.cli import exchange
from sensorflow.core.exchange import Imported, datepatterns, imported
from sensorflow.core.exchange.exported import exported
from sensorflow.core.profile import Profile
from sensorflow.errors import UsageError

WHEN = {"name": "when", "type": "datetime"}
T = {"name": "T", "type": "number"}


def of(*fields: dict[str, Any], **schema: Any) -> Imported:
    return imported({"fields": list(fields), **schema})


def table(found: Imported) -> dict[str, Any]:
    profile_table = tomllib.loads(found.guess.in_zone("UTC", "").toml())
    profiles.validated(profile_table, "imported")
    return profile_table


def test_a_resource_says_dialect_missing_markers_and_what_is_measured() -> None:
    schema = {
        "fields": [
            WHEN,
            {**T, "unit": "degC", "decimalChar": ","},
            {"name": "note", "type": "string"},
        ]
    }
    schema["missingValues"] = ["", "-999"]  # type: ignore[assignment]
    dialect = {"delimiter": ";", "quoteChar": "'", "commentChar": "#", "headerRows": [3]}
    profile_table = table(imported({"encoding": "cp1252", "dialect": dialect, "schema": schema}))
    assert profile_table["columns"] == {"T": {"unit": "degC"}}
    names = ("delimiter", "quote", "comment", "skip", "encoding", "missing", "decimal", "ignore")
    assert [profile_table[n] for n in names] == [
        ";",
        "'",
        "#",
        2,
        "cp1252",
        ["-999"],
        ",",
        ["note"],
    ]


def test_without_a_header_the_fields_are_the_names() -> None:
    profile_table = table(imported({"dialect": {"header": False}, "schema": {"fields": [WHEN, T]}}))
    assert (profile_table["header"], profile_table["names"]) == (0, ["when", "T"])


@pytest.mark.parametrize(
    ("fields", "time"),
    [
        ([WHEN], {"column": "when"}),
        ([{**WHEN, "format": "%d.%m.%Y %H:%M"}], {"column": "when", "format": "%d.%m.%Y %H:%M"}),
        (
            [{"name": "d", "type": "date"}, {"name": "t", "type": "time", "format": "%H:%M"}],
            {"columns": ["d", "t"], "format": "%Y-%m-%d %H:%M"},
        ),
        ([{"name": "y", "type": "year"}], {"column": "y", "format": "%Y"}),
    ],
)
def test_times(fields: list[dict[str, Any]], time: dict[str, Any]) -> None:
    profile_table = table(of(*fields, T))["time"]
    assert {k: v for k, v in profile_table.items() if k not in ("zone", "ambiguous")} == time


def test_an_offset_needs_no_zone_and_a_clock_without_one_does() -> None:
    assert of({**WHEN, "format": "%Y-%m-%d %H:%M"}, T).guess.needs_zone
    assert not of({**WHEN, "format": "%Y-%m-%d %H:%M%z"}, T).guess.needs_zone


def test_what_nobody_said_is_to_do() -> None:
    text = of({**WHEN, "format": "any"}, T).toml()
    assert 'TODO: when: its format is "any"' in text
    assert "TODO: the sensor is not described" in text
    assert "no column is a time" in of(T).toml()


def test_a_key_beside_the_time_is_the_sensor_and_a_number_of_rows_is_not() -> None:
    station = {"name": "station", "type": "integer"}
    profile_table = table(of(station, WHEN, T, primaryKey=["station", "when"]))
    assert (profile_table["sensor"], list(profile_table["columns"])) == ("station", ["T"])
    assert "file_name" in table(of(station, WHEN, T, primaryKey="station"))["sensor"]


def test_constraints_are_rules_and_what_is_none_is_said() -> None:
    limits = {"minimum": -5, "maximum": "60.5", "required": True, "enum": [1, 2], "pattern": "x"}
    found = of(WHEN, {**T, "type": "integer", "constraints": limits}, foreignKeys=[1])
    rule = {"integer": True, "required": True, "min": -5, "max": 60.5, "allowed": [1, 2]}
    assert table(found)["rules"] == {"T": rule}
    assert [text.split(":")[0] for text in found.omitted] == ["T", "foreignKeys = [1]"]


def test_numbers_with_text_around_them_are_cleaned() -> None:
    found = of(WHEN, {**T, "bareNumber": False})
    assert table(found)["columns"]["T"]["clean"]


CSVW = {
    "url": "x.csv",
    "dialect": {"delimiter": ";", "headerRowCount": 2, "skipRows": 1},
    "tableSchema": {
        "null": "NA",
        "columns": [
            {
                "name": "d",
                "titles": "Date",
                "datatype": {"base": "dateTime", "format": "dd.MM.yyyy HH:mm"},
            },
            {
                "name": "t",
                "titles": {"en": ["Temp"]},
                "datatype": {"base": "decimal", "format": {"decimalChar": ","}, "minimum": "-5"},
                "qudt:hasUnit": {"@id": "http://qudt.org/vocab/unit/DEG_C"},
                "required": True,
            },
            {"name": "s", "datatype": "string"},
            {"name": "v", "virtual": True},
        ],
        "primaryKey": ["d", "s"],
    },
}


def test_csvw_says_titles_date_patterns_units_and_null() -> None:
    profile_table = table(imported(CSVW))
    assert profile_table["columns"] == {"Temp": {"unit": "DEG_C", "missing": ["NA"]}}
    assert (profile_table["time"]["column"], profile_table["time"]["format"]) == (
        "Date",
        "%d.%m.%Y %H:%M",
    )
    assert profile_table["rules"] == {"Temp": {"required": True, "min": -5}}
    names = ("sensor", "decimal", "skip", "header", "delimiter")
    assert [profile_table[n] for n in names] == ["s", ",", 1, ["name", "skip"], ";"]


@pytest.mark.parametrize(
    ("pattern", "known"),
    [
        ("yyyy-MM-dd HH:mm", "%Y-%m-%d %H:%M"),
        ("d/M/yy h:mm a", "%d/%m/%y %I:%M %p"),
        ("yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "%Y-%m-%dT%H:%M:%S%z"),
        ("yyyyMMddTHHmm", "%Y%m%dT%H%M"),
        ("MMM dd yyyy 'o''clock' %", "%b %d %Y o'clock %%"),
    ],
)
def test_date_patterns(pattern: str, known: str) -> None:
    assert datepatterns.strptime(pattern) == known
    assert datepatterns.strptime(datepatterns.pattern(known)) == known


def test_a_date_pattern_without_counterpart_is_to_do() -> None:
    bad = {"columns": [{"name": "d", "datatype": {"base": "date", "format": "YYYY-ww"}}]}
    assert "TODO: d: 'YYYY' of a date pattern has no equivalent" in imported(bad).toml()


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ([], "not a JSON object"),
        ({"a": 1}, "neither fields"),
        ({"fields": []}, "no list of fields"),
        ({"fields": [{"type": "number"}]}, "field 1 of the schema has no name"),
        (
            {"resources": [{"name": "a"}, {"name": "b"}]},
            "it has 2 tables; select one with --table: a, b",
        ),
        ({"schema": "s.json"}, "is in another file"),
        ({"fields": [{**T, "constraints": [1]}]}, "does not have the type"),
        (
            {"schema": {"fields": [T]}, "dialect": {"headerRows": ["a"]}},
            "does not have the type",
        ),
        ({"tableSchema": {"columns": [1]}}, "column 1 of the tableSchema is not an object"),
    ],
)
def test_a_document_of_another_kind_is_refused_in_one_line(document: Any, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        imported(document)


def test_a_file_that_is_no_json_names_itself(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text("time,T\n")
    with pytest.raises(UsageError, match=r"x\.json: not JSON.*`sensorflow sniff`"):
        exchange.imported(file, None)
    file.write_text(json.dumps({"schema": {"fields": [WHEN, T]}, "dialect": {"delimiter": "é"}}))
    with pytest.raises(UsageError, match="delimiter"):
        exchange.imported(file, None)


ROUND = {
    "format": "csv",
    "delimiter": ";",
    "decimal": ",",
    "comment": "#",
    "missing": ["-999"],
    "sensor": "station",
    "columns": {
        "T1": {"type": "temperature", "unit": "degC"},
        "RH": {"unit": "%", "missing": ["x"]},
    },
    "rules": {"temperature": {"min": -50, "max": 60, "required": True}},
}


@pytest.mark.parametrize("kind", ["table-schema", "csvw"])
@pytest.mark.parametrize(
    "time",
    [
        {"column": "when"},
        {"column": "when", "format": "%d.%m.%Y %H:%M"},
        {"columns": ["day", "clock"], "format": "%Y/%m/%d %H:%M:%S"},
    ],
)
def test_there_and_back(kind: str, time: dict[str, Any]) -> None:
    before = Profile.model_validate({**ROUND, "time": time})
    found = exported(before, kind)
    after = profiles.validated(table(imported(json.loads(json.dumps(found.document)))), "after")
    assert found.omitted == []
    assert after.time is not None
    assert before.time is not None
    assert (after.time.parts, after.time.format) == (before.time.parts, before.time.format)
    for name in ("delimiter", "decimal", "comment", "sensor", "rules"):
        assert getattr(after, name) == getattr(before, name), name
    assert set(after.columns) == set(before.columns)
    for name, column in before.columns.items():
        assert (after.columns[name].type, after.columns[name].unit) == (column.type, column.unit)
        markers = {*(after.missing or ()), *(after.columns[name].missing or ())}
        assert markers == {*(before.missing or ()), *(column.missing or ())}


def test_what_a_profile_says_and_the_standard_cannot_is_said() -> None:
    time = {"column": "when", "zone": "Europe/Berlin"}
    more = {"each": "x$", "sensor": {"constant": "a"}, "time": time, "units": {"C": "degC"}}
    messages = " ".join(exported(Profile.model_validate({**ROUND, **more}), "table-schema").omitted)
    for word in ("each", "sensor", "time.zone", "units"):
        assert word in messages
    with pytest.raises(UsageError, match="reads influx"):
        exported(Profile.model_validate({"format": "influx"}), "csvw")
