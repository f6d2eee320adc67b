"""Times that are counted: a start, an index, and how long a step is."""

from __future__ import annotations

import io
from typing import Any

import pytest

from sensorflow.core import reading
from sensorflow.core.binding.file_path import FilePath
from sensorflow.core.profile import Profile
from sensorflow.core.times.durations import duration
from sensorflow.errors import Code

LONG = {"format": "csv", "sensor": {"constant": "a"}, "type": {"constant": "k"}, "value": "v"}


def times(csv: str, **profile: Any) -> tuple[list[str], list[tuple[Code, str]]]:
    parsed_profile = Profile.model_validate({**LONG, **profile})
    found: list[str] = []
    refused: list[tuple[Code, str]] = []
    for part in reading.read(io.BytesIO(csv.encode()), parsed_profile, FilePath("a"), io.BytesIO):
        found += [t.isoformat().replace("+00:00", "Z") for t in part.bronze["ts"].to_pylist()]
        refused += [(r.code, r.reason) for r in part.rejects]
    return found, refused


def counted(start: str, index: str, size: str, zone: str = "UTC", **step: Any) -> list[str]:
    how = {"column": "t", "zone": zone, "step": {"index": "i", "size": "s", **step}}
    return times(f"t,i,s,v\n{start},{index},{size},1\n", time=how)[0]


@pytest.mark.parametrize(
    ("index", "size", "step", "expected"),
    [
        ("1", "PT15M", {}, "2024-01-01T00:00:00Z"),
        ("96", "PT15M", {}, "2024-01-01T23:45:00Z"),
        ("3.0", "1h", {}, "2024-01-01T02:00:00Z"),
        ("1", "0.5", {"first": 0}, "2024-01-01T00:00:00.500000Z"),
        ("-1", "30", {"first": 0, "unit": "m"}, "2023-12-31T23:30:00Z"),
        ("3", "3 Hz", {"first": 0}, "2024-01-01T00:00:01Z"),
        ("100000", "P1DT1H", {"first": 99999}, "2024-01-02T01:00:00Z"),
    ],
)
def test_steps_after_a_start(index: str, size: str, step: dict[str, Any], expected: str) -> None:
    assert counted("2024-01-01T00:00:00Z", index, size, **step) == [expected]


@pytest.mark.parametrize(
    ("size", "zone", "expected"),
    [
        ("P1D", "Europe/Vienna", "2024-03-31T22:00:00Z"),
        ("PT24H", "Europe/Vienna", "2024-03-31T23:00:00Z"),
        ("P1D", "UTC", "2024-03-31T23:00:00Z"),
        ("P1M", "Europe/Vienna", "2024-04-29T22:00:00Z"),  # the 31st, and April has 30 days
        ("P1D", "-05:00", "2024-03-31T23:00:00Z"),
    ],
)
def test_days_and_months_are_those_of_the_zone(size: str, zone: str, expected: str) -> None:
    start = "2024-03-30T23:00:00Z"  # midnight in Vienna, before the clock is put forward
    assert counted(start, "1", size, zone, first=0) == [expected]


def test_a_step_that_cannot_be_counted_costs_its_row() -> None:
    rows = ["x,PT1H", ",PT1H", "1,", "1.5,PT1H", "1,PT0S", "1,P", "999999999999999,PT1H", "1,PT1H"]
    table = "t,i,s,v\n" + "".join(f"2024-01-01T00:00Z,{row},1\n" for row in rows)
    found, refused = times(table, time={"column": "t", "step": {"index": "i", "size": "s"}})
    assert found == ["2024-01-01T00:00:00Z"]
    unreadable, missing = Code.TIMESTAMP_UNREADABLE, Code.TIMESTAMP_MISSING
    codes = [unreadable, missing, missing, unreadable, unreadable, unreadable]
    assert [code for code, _ in refused] == [*codes, Code.TIMESTAMP_OUT_OF_RANGE]
    assert "'2024-01-01T00:00Z + x x PT1H' is not a time" in refused[0][1]


def test_a_row_of_numbered_columns() -> None:
    wide: dict[str, Any] = {"type": {"constant": "kWh"}, "value": None, "each": r"^(?P<slot>\d+)$"}
    time: dict[str, Any] = {"column": "day", "format": "%Y%m%d", "zone": "+10:00"}
    time |= {"step": {"index": "{slot}", "size": "30m"}}
    found, _ = times("day,1,2,48\n20240101,5,6,7\n", time=time, **wide)
    assert found == ["2023-12-31T14:00:00Z", "2023-12-31T14:30:00Z", "2024-01-01T13:30:00Z"]


def test_what_is_no_duration_is_refused_in_the_profile() -> None:
    for size in (0, "PT0S", "-5m", -1):
        with pytest.raises(ValueError, match=r"not a duration|PT0S|-5m"):
            Profile.model_validate(
                LONG
                | {"time": {"column": "t", "step": {"index": "i", "size": {"constant": str(size)}}}}
            )
    with pytest.raises(ValueError, match="give the group a name"):
        Profile.model_validate(
            LONG | {"time": {"column": "t", "step": {"index": "{1}", "size": 1}}}
        )
    assert duration("PT1.5S") == duration("1500ms") == duration("1.5")
    assert duration("P") is duration("PT") is duration("P1DT") is duration("1e3") is None


def test_the_shift_of_a_clock_is_applied_once_whatever_the_size() -> None:
    table = "t,i,v\n" + "".join(f"2024-01-10T12:00,{n},1\n" for n in range(3))
    time = {"column": "t", "zone": "Europe/Berlin", "shift_clock": "-1h"}
    for size in ("1d", "24h"):
        step = {"index": "i", "size": size, "first": 0}
        found, _ = times(table, time={**time, "step": step})
        assert found == [f"2024-01-{day}T10:00:00Z" for day in (10, 11, 12)]


def test_days_are_those_of_the_zone_that_the_row_names() -> None:
    zones = ["Europe/Berlin", "America/New_York", "+02:00", "Nowhere/City", ""]
    rows = "".join(f"2024-03-30T12:00Z,{zone},{n},1\n" for n in (0, 1) for zone in zones)
    step = {"index": "i", "size": "1d", "first": 0}
    time = {"column": "t", "zone": {"column": "z"}, "step": step}
    found, refused = times(f"t,z,i,v\n{rows}", time=time)
    later = ["2024-03-31T11:00:00Z", "2024-03-31T12:00:00Z", "2024-03-31T12:00:00Z"]
    assert found == ["2024-03-30T12:00:00Z"] * 5 + later
    assert {code for code, _ in refused} == {Code.TIMESTAMP_NO_ZONE}
    assert [reason.split(" needs a zone, and ")[1] for _, reason in refused] == [
        "'Nowhere/City' is not a known zone: add it to zones",
        "its zone cell is empty",
    ]


def test_a_start_that_the_clock_shows_twice_is_known_by_its_offset() -> None:
    assert counted("2024-10-27T00:30Z", "0", "1d", "Europe/Berlin", first=0) == [
        "2024-10-27T00:30:00Z"
    ]


def test_days_that_exist_twice_are_told_by_the_order_of_what_is_counted() -> None:
    """Not of the starts, which stand between them."""
    times_ = [("2024-10-26T02:30", 1), ("2024-10-27T04:00", 0), ("2024-10-26T02:40", 1)]
    table = "t,i,v\n" + "".join(f"{start},{n},1\n" for start, n in times_)
    step = {"index": "i", "size": "1d", "first": 0}
    time = {"column": "t", "zone": "Europe/Berlin", "ambiguous": "order", "step": step}
    found, _ = times(table, time=time)
    assert found == ["2024-10-27T00:30:00Z", "2024-10-27T03:00:00Z", "2024-10-27T00:40:00Z"]


def test_sizes_of_all_kinds_in_one_table() -> None:
    sizes = ["1d", "1h", "P1M", "3 Hz", "P1DT1H", "2d", "1h"]
    table = "t,i,s,v\n" + "".join(f"2024-01-31T00:00Z,2,{size},1\n" for size in sizes)
    step = {"index": "i", "size": "s"}
    found, _ = times(table, time={"column": "t", "zone": "UTC", "step": step})
    single = [counted("2024-01-31T00:00Z", "2", size) for size in sizes]
    assert found == [only for (only,) in single]
