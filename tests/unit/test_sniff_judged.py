"""A proposal that its own preview contradicts is corrected, or says what a person must see to."""

from __future__ import annotations

import json

import pytest
from test_sniff import proposed, read, rows, times

STAMPS = times()


def each(header: str, *members: str) -> str:
    """A table with a row for each time and member, in which {v} is a number of its own."""
    rows = [
        f"{t},{m.format(v=20 + i + k / 4)}\n"
        for i, t in enumerate(STAMPS)
        for k, m in enumerate(members)
    ]
    return header + "\n" + "".join(rows)


def todo(data: str, zone: str | None = "UTC") -> str:
    return "\n".join(proposed(data, zone).guess.todo)


@pytest.mark.parametrize(
    ("data", "sensors", "types"),
    [
        (each("time,rack,temp", "A,{v}", "B,{v}"), {"A", "B"}, {"temp"}),
        (each("time,depth,temp", "0.5,{v}", "1.25,{v}", "2.5,{v}"), {"0.5", "1.25", "2.5"}, {"temp"}),
        (each("time,station,parameter,stat,value", "S,temp,min,{v}", "S,temp,max,{v}"),
         {"S"}, {"temp min", "temp max"}),
        (each("time,sensor,value,unit", "S,{v},degC", "S,{v},%"), {"S"}, {"value degC", "value %"}),
        (each("time,what,reading", "temp,{v}", "hum,{v}"), {"tower7"}, {"temp", "hum"}),
        (each("time,code,reading,unit", "x1,{v},degC", "x2,{v},%"), {"tower7"}, {"x1", "x2"}),
    ],
)  # fmt: skip
def test_the_column_that_tells_readings_apart_is_of_the_sensor_or_of_the_type(
    data: str, sensors: set[str], types: set[str]
) -> None:
    found = read(data)
    assert found.distinct == found.valid == len(data.splitlines()) - 1
    assert (set(found.sensors), set(found.types)) == (sensors, types)
    assert not todo(data)


def test_readings_that_nothing_tells_apart_are_shown_to_a_person() -> None:
    remarks = todo(each("time,temp", *["{v}"] * 4))
    assert (
        "72 of the first 96 readings have the same sensor, time and type as another reading"
        in remarks
    )
    assert "temp of sample at 2023-03-05 22:00:00 is 20.0, 20.25, 20.5, 20.75" in remarks


def test_readings_that_are_the_same_altogether_are_not() -> None:
    assert not todo(each("time,temp", "20.5", "20.5"))


def test_a_column_of_readings_is_no_name_though_it_tells_rows_apart() -> None:
    data = "time,temp,hum\n" + "".join(
        f"{t},{20 + k * i % 7 / 4},{40 + (i * 3 + k * 5) % 11}\n"
        for i, t in enumerate(STAMPS)
        for k in range(3)
    )
    assert set(read(data).types) == {"temp", "hum"}
    assert "what distinguishes them" in todo(data)


def test_what_is_rejected_again_and_again_is_shown_to_a_person() -> None:
    """Of a kind that is rare in what is looked at, and frequent in its beginning."""
    lines = rows("time,temp\n", "{t},2{i}.5", times(30_000)).splitlines()
    spoiled = [*lines[:3000], *(line + ".1" for line in lines[3000:5000]), *lines[5000:]]
    remarks = todo("\n".join(spoiled) + "\n")
    assert "readings are rejected: line 3001: '22999.5.1' is not a number" in remarks


def test_a_table_of_nothing_but_markers() -> None:
    assert "all values are missing" in todo(rows("time,temp\n", "{t},NaN", STAMPS))


def test_units_that_no_quantity_has_together() -> None:
    mixed = "".join(f"{t},S,{i},{'degC' if i % 2 else '%'}\n" for i, t in enumerate(STAMPS))
    assert "have the units %, degC" in todo("time,sensor,value,unit\n" + mixed)
    same_quantity = mixed.replace("%", "degF")
    assert not todo("time,sensor,temperature,unit\n" + same_quantity)


def test_a_unit_beside_each_column() -> None:
    data = "time,temp,temp_unit,hum,humUnit\n" + "".join(
        f"{t},{i}.5,{'CF'[i % 2]},40,%\n" for i, t in enumerate(STAMPS)
    )
    assert proposed(data).profile().columns["temp"].unit == "{temp_unit}"
    assert read(data).units == {"temp": "C", "hum": "%"}


def test_a_member_that_only_some_records_have_may_be_missing_in_all() -> None:
    lines = [
        {"time": t, "temp": 20.5, **({"rain": 1.5} if i == 7 else {})} for i, t in enumerate(STAMPS)
    ]
    columns = proposed("".join(json.dumps(line) + "\n" for line in lines)).profile().columns
    assert (columns["temp"].optional, columns["rain"].optional) == (False, True)
