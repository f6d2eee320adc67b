"""Small files judged and reshaped at once are what each would be by itself."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jointly import at_once, hold

from sensorflow.core import batch_validation
from sensorflow.core.profile import Profile

LONG = {"format": "csv", "time": "t", "sensor": "s", "type": "k", "value": "v"}
WIDE = {
    "format": "csv",
    "time": {"column": "t", "zone": "Europe/Berlin"},
    "sensor": {"constant": "x"},
    "columns": ["a", "b"],
}
DECIMAL = {**WIDE, "delimiter": ";", "decimal": ",", "missing": ["", "NA"]}


def profile(table: dict[str, Any], **more: Any) -> Profile:
    return Profile.model_validate({**table, **more})


def long(*rows: str) -> bytes:
    return ("t,s,k,v\n" + "".join(f"2026-01-01T00:00:{row}\n" for row in rows)).encode()


PLAIN = [long("00Z,s,k,1", "01Z,s,k,2.5"), long("00Z,r,k,7"), long("00Z,s,k,1", "59.5Z,s,l,-1e3")]


@pytest.mark.parametrize(
    ("table", "files"),
    [
        (LONG, PLAIN),
        (LONG, [long("00Z,s,k,"), long("01Z,s,k,3"), long("00Z,s,k,", "02Z,s,k,", "03Z,s,k,4")]),
        ({**LONG, "rules": {"k": [{"max": 2, "severity": "flag"}, {"flatline": 2}]}}, PLAIN),
        ({**LONG, "where": {"k": ["k"]}}, PLAIN),
        ({**LONG, "units": {"": {"to": "degC", "scale": 2}}, "types": {"k": "kind"}}, PLAIN),
        (
            WIDE,
            [b"t,a,b\n2026-07-01 00:00,1,\n", b"t,a,b\n2026-07-01 01:00,,2\n2026-01-01 00:00,,\n"],
        ),
        (DECIMAL, [b"t;a;b\n2026-07-01 00:00;1,5;NA\n", b"t;a;b\n2026-07-01 01:00;;2\n"]),
    ],
)
def test_each_is_accepted_as_it_is_by_itself(table: dict[str, Any], files: list[bytes]) -> None:
    assert hold(files, profile(table))
    assert hold(files[::-1] * 3, profile(table))


SERIES = st.sampled_from(["s,k", "s,l", "r,k"])
ROW = st.builds(
    "{:02}Z,{},{}".format, st.integers(0, 5), SERIES, st.sampled_from(["1", "1.0", "2", "9", ""])
)
WATCHED = {"rules": {"*": [{"flatline": 2}, {"spike": 3}, {"gap": "2s"}]}}


@given(st.lists(st.lists(ROW, min_size=1, max_size=8), min_size=1, max_size=5))
def test_repeats_and_what_a_series_did_before_are_each_files_own(files: list[list[str]]) -> None:
    assert hold([long(*rows) for rows in files], profile(LONG, **WATCHED))


def test_the_same_reading_in_two_files_is_no_repeat_and_twice_in_one_is() -> None:
    files = [long("00Z,s,k,1", "00Z,s,k,1", "00Z,s,k,2"), long("00Z,s,k,1"), long("00Z,s,k,2")]
    found = at_once(files, profile(LONG))
    assert found is not None
    reshaped = batch_validation.reshape_batch(found, profile(LONG))
    assert [one.duplicates for one in reshaped] == [1, 0, 0]
    assert [one.silver["ordinal"].to_pylist() for one in reshaped] == [[0, 1], [0], [0]]


def test_line_numbers_and_empty_cells_are_each_files_own() -> None:
    files = [long("00Z,s,k,1", "01Z,s,k,"), long("00Z,s,k,", "01Z,s,k,", "02Z,s,k,5")]
    found = at_once(files, profile(LONG))
    assert found is not None
    assert [(one.missing, one.bronze["line_no"].to_pylist()) for one in found] == [
        (1, [2]),
        (2, [4]),
    ]


@pytest.mark.parametrize(
    "files",
    [
        [PLAIN[0], long("00Z,s,k,x")],
        [PLAIN[0], long("00Z,,k,1")],
        [PLAIN[0], b"t,s,k,v\n2026-01-01T00:00:00Z,s,k\n"],
        [PLAIN[0], b"t,k,s,v\n2026-01-01T00:00:00Z,k,s,1\n"],
        [PLAIN[0], b"t,s,k,v\n"],
        [PLAIN[0], long("00Z,s,k,1") + b't,"s,k,v\n'],
    ],
    ids=["a value", "a sensor", "a cell too few", "another order", "no row", "an open quote"],
)
def test_what_is_refused_or_unlike_is_left_to_be_judged_by_itself(files: list[bytes]) -> None:
    assert at_once(files, profile(LONG)) is None


@pytest.mark.parametrize(
    "more",
    [
        {"rules": {"k": [{"monotonic": "increasing"}]}},
        {"rules": {"k": [{"required": True}]}},
        {"rules": {"k": [{"future": "1h"}]}},
        {"fill_down": ["s"]},
        {"time": {"column": "t", "zone": "Europe/Berlin", "ambiguous": "order"}},
    ],
)
def test_what_is_carried_from_row_to_row_is_never_carried_from_file_to_file(
    more: dict[str, Any],
) -> None:
    assert at_once(PLAIN, profile(LONG, **more)) is None
