"""Profiles: the library, how they extend one another, and mistakes in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sensorflow import profiles
from sensorflow.cli.rejects import escape_cell
from sensorflow.errors import UsageError

GOOD = {"format": "csv", "time": "t", "sensor": "s", "columns": ["a"]}


@pytest.mark.parametrize("name", sorted(profiles.builtin()))
def test_every_profile_of_the_library_is_right_and_names_its_source(name: str) -> None:
    assert profiles.load(name)[1].format
    assert profiles.text(name).startswith("# ")
    if name not in ("long", "wide"):
        assert "# Source:" in profiles.text(name)


def test_a_profile_takes_what_it_extends_and_its_own_keys_go_before() -> None:
    tables = {
        "a": {**GOOD, "time": {"column": "t", "zone": "UTC"}, "columns": {"x": {"unit": "C"}}},
        "b": {"extends": "a", "time": {"zone": "+01:00"}, "columns": {"y": "rh"}},
    }
    profile = profiles.validated(profiles.resolved("b", tables), "b")
    assert profile.time is not None
    assert (profile.time.column, profile.time.zone.constant) == ("t", "+01:00")  # type: ignore[union-attr]
    assert list(profile.columns) == ["x", "y"]


def test_a_project_may_give_its_own_profile_the_name_of_the_one_it_extends() -> None:
    tables = {"toa5": {"extends": "toa5", "time": {"zone": "UTC"}}}
    profile = profiles.validated(profiles.resolved("toa5", tables), "toa5")
    assert profile.time is not None
    assert profile.time.column == "TIMESTAMP"


def test_a_circle_is_named() -> None:
    tables = {"a": {"extends": "b"}, "b": {"extends": "a"}}
    with pytest.raises(UsageError, match="a -> b -> a"):
        profiles.resolved("a", tables)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"delimeter": ";"}, "unknown key 'delimeter'; did you mean 'delimiter'?"),
        ({"zzz": 1}, "unknown key 'zzz'; known: format, time, sensor, type, value, columns, "),
        ({"time": {"colum": "t"}}, "unknown key 'time.colum'; did you mean 'column'?"),
        ({"time": {"column": "t", "zone": "Europe/Berln"}}, "did you mean 'Europe/Berlin'?"),
        ({"time": {"column": "t", "format": "%Y-%Q"}}, "%Q"),
        ({"columns": {"a": {"unitt": "C"}}}, "unknown key 'columns.a.unitt'; did you mean 'unit'?"),
        ({"rules": {"a": {"mni": 1}}}, "did you mean 'min'?"),
        ({"rules": {"a": {"min": 2, "max": 1}}}, "min 2.0 is greater than max 1.0"),
        ({"format": "cvs"}, "did you mean 'csv'?"),
        ({"sensor": {"file_name": "("}}, "not a valid regular expression"),
        ({"sensor": {"file_name": "x"}}, "needs a group"),
        ({"sensor": {"column": "a", "constant": "b"}}, "exactly one of"),
        ({"each": [{"match": "["}]}, "not a valid regular expression"),
        ({"header": 0}, 'set names = [...], or use positions such as "#1"'),
        ({"encoding": "utf-9"}, "unknown encoding"),
        ({"columns": []}, "define what is measured"),
        ({"value": "v"}, "either columns"),
        ({"missing": "NaN"}, "give a list of texts"),
        ({"ignore": ["~("]}, "not a valid regular expression"),
        (
            {"captures": {"h": {"template": "{h}"}}},
            "captures refer to each other in a cycle: h -> h",
        ),
        ({"header_again": True}, "header_again needs"),
        ({"quote": ","}, "must differ"),
        ({"decimal": ",", "thousands": ","}, "must differ"),
        ({"escape": "\\", "delimiter": "whitespace"}, "a delimiter of one character"),
        ({"escape": "\\", "delimiter": "::"}, "a delimiter of one character"),
        ({"escape": "\\", "widths": [5, 5]}, "a delimiter of one character"),
        ({"widths": [3, 0]}, "widths.1 = 0"),
        ({"header": ["name", "units"]}, "'units' is not a row role"),
        (
            {"time": {"column": "t", "zone": {"column": "z"}, "ambiguous": "order"}},
            "cannot be combined with",
        ),
        ({"time": {"column": "t", "dst": {"column": "d", "yes": ["1"]}}}, "dst needs a zone"),
        ({"time": {"column": "t", "locale": "xx"}}, "known: en, de, fr"),
        ({"time": {"column": "t", "format": "%Y %.H %M"}}, "must be the last part of a time"),
        ({"clean": "(?P<unit>x)"}, "a group for the number"),
        ({"angle": "ddmm"}, "angle applies to a single column"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_is_right(change: Any, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        profiles.validated({**GOOD, **change}, "p.toml")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_holds_a_profile_or_names_one_of_several(tmp_path: Path) -> None:
    file = tmp_path / "p.toml"
    file.write_text('extends = "long"\ntime = { zone = "UTC" }')
    assert profiles.load(str(file))[1].value == "value"
    file.write_text('[profiles.a]\nextends = "long"\n[profiles.b]\nextends = "wide"\n')
    assert profiles.load(f"{file}:b")[0] == "b"
    with pytest.raises(UsageError, match="has several profiles"):
        profiles.load(str(file))
    with pytest.raises(UsageError, match="did you mean 'surfrad'"):
        profiles.load("surfrat")


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_no_exported_cell_is_taken_for_a_formula(cell: str) -> None:
    assert escape_cell(cell) == "'" + cell
    assert escape_cell("x" + cell) == "x" + cell
    assert escape_cell(-1) == -1


OF_0_2 = {
    "epw": "20e862a812e985d7",
    "home-assistant": "2e86496c0dc32c27",
    "influx": "7008a122b1f1fa09",
    "nem12": "58be8c7b168842c7",
    "surfrad": "e7bfed4e45f3943a",
    "tmy3": "d5dcccc324953448",
    "ttn": "b6603adfe306163f",
    "usgs": "f02b07162a11d3be",
}


def test_keys_of_later_releases_leave_the_hashes_of_profiles_as_they_were():
    assert {name: profiles.load(name)[1].hash for name in OF_0_2} == OF_0_2
