"""Profiles of the library, and the words of the profile language that they brought."""

from __future__ import annotations

import io
from typing import Any

import pytest

from sensorflow import profiles
from sensorflow.core import reading
from sensorflow.core.binding.file_path import FilePath
from sensorflow.core.profile import Profile
from sensorflow.errors import Permanent, UsageError

HOBO = '"#","Date Time, GMT-04:00","Temp, °C (LGR S/N: 7, SEN S/N: 7)"\n1,{},1.5\n'
ANNOTATED = (
    ",result,table,_time,_value,_field,_measurement,{}\n,,0,2026-01-31T12:00:00Z,1.5,t,air,{}\n"
)


def read(text: str, name: str = "x", **more: Any) -> list[tuple[Any, ...]]:
    profile = profiles.validated(profiles.resolved("t", {"t": more}), "t")
    return _read(text, profile, name)


def _read(text: str, profile: Profile, name: str = "x") -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for accepted in reading.read(
        io.BytesIO(text.encode()), profile, FilePath(name, name), io.BytesIO
    ):
        assert not accepted.rejects
        table = accepted.bronze
        times = [t.as_py().rstrip("Z")[:19] for t in table["ts"].cast("string")]
        names = ("sensor_id", "reading_type", "value", "unit")
        rows += zip(times, *(table[n].to_pylist() for n in names), strict=True)
    return rows


@pytest.mark.parametrize(
    "clock",
    ["01/31/26 03:04:05 PM", "1/31/2026 15:04:05", "2026-01-31 3:04:05 PM", "2026/01/31 15:04:05"],
)
def test_hobo_reads_clocks_of_12_and_24_hours_with_month_or_year_first(clock: str) -> None:
    expected = [("2026-01-31 19:04:05", "7", "Temp", 1.5, "°C")]
    assert read(HOBO.format(clock), extends="hobo") == expected


@pytest.mark.parametrize("clock", ["03/04/26 03:04:05 PM", "3.4.2026 15:04:05"])
def test_hobo_with_the_day_first_is_a_profile_of_its_own(clock: str) -> None:
    assert read(HOBO.format(clock), extends="hobo-dmy")[0][0] == "2026-04-03 19:04:05"


def test_tags_make_one_series_whatever_the_order_of_their_columns() -> None:
    text = (
        ANNOTATED.format("room,host", "attic,n") + "\n" + ANNOTATED.format("host,room", "n,attic")
    )
    assert [row[1] for row in read(text, extends="influx-csv")] == ["air,host=n,room=attic"] * 2
    text = ANNOTATED.format("host", "n")
    assert read(text, extends="influx-csv", sensor="{_measurement}/{host}")[0][1] == "air/n"


def test_tags_are_of_tables_alone() -> None:
    with pytest.raises(UsageError, match="tags requires a table format, not json"):
        read("{}", format="json", time="t", sensor={"column": "a", "tags": "b"}, columns=["v"])
    with pytest.raises(UsageError, match="require column"):
        read("", format="csv", time="t", sensor={"constant": "a", "tags": "b"}, columns=["v"])


METEO = (
    '{{"latitude":1,"longitude":2,"timezone_abbreviation":"{}","hourly_units":{},'
    '"hourly":{{"time":["2026-01-31T12:00"],"t":[1.5]}}}}'
)


def test_open_meteo_tells_units_beside_the_columns_and_the_offset_of_its_clock() -> None:
    text = METEO.format("GMT+2", '{"t":"°C"}')
    assert read(text, extends="open-meteo") == [("2026-01-31 10:00:00", "1,2", "t", 1.5, "°C")]


@pytest.mark.parametrize(
    ("units", "reason"),
    [(('"x"', '"x"'), "is not an object"), (('{"t":"F"}', '{"t":"C"}'), "differs")],
)
def test_units_that_are_not_those_of_all_documents_refuse_the_file(
    units: tuple[str, str], reason: str
) -> None:
    text = "\n".join(METEO.format("GMT", each) for each in units)
    with pytest.raises(Permanent, match=reason):
        read(text, extends="open-meteo")


def test_units_at_goes_with_columns() -> None:
    with pytest.raises(UsageError, match="units_at requires"):
        read("{}", format="json", time="t", sensor="s", columns=["v"], units_at="$.u")
