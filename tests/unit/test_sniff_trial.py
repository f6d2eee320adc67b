"""Tables as loggers write them, of which a wrong proposal would lose or change numbers without a word."""

from __future__ import annotations

import json

import pytest
from test_sniff import proposed, read, rows, times

from sensorflow.flow.check import Checked

WAVES = [70 + abs(i % 40 - 20) for i in range(120)]
MINUTES = times(120, 1)


@pytest.mark.parametrize(
    "title",
    [
        "Sensor Level (mg/dL)",
        "Station Pressure (hPa)",
        "Device Temperature",
        "sensor value",
        "Sensor_1",
        "sensor",
        "Node Battery",
        "Meter Reading",
    ],
)
def test_whole_numbers_that_are_measured_name_no_sensor(title: str) -> None:
    text = f"time,{title},other\n"
    text += "".join(
        f"{t},{v},{i / 8}\n" for i, (t, v) in enumerate(zip(MINUTES, WAVES, strict=True))
    )
    found = read(text)
    assert list(found.sensors) == ["tower7"]
    assert found.valid == 240


@pytest.mark.parametrize("title", ["station", "sensor_id", "Meter No", "site"])
def test_whole_numbers_that_name_sensors_still_do(title: str) -> None:
    text = rows(f"time,{title},temp\n", "{t},1,2{i}.5\n{t},2,3{i}.5", times())
    assert list(read(text).sensors) == ["1", "2"]


def test_an_unknown_word_among_decimal_commas_is_a_missing_value() -> None:
    cells = ["kZ" if i % 20 == 7 else f"2{i % 10},5" for i in range(60)]
    text = "Zeit;Temp;Feuchte\n" + "".join(
        f"{t};{c};40\n" for t, c in zip(times(60), cells, strict=True)
    )
    found = read(text)
    assert found.types == {"Temp": 57, "Feuchte": 60}
    assert 'missing = ["kZ"]' in proposed(text).toml()


def kinds(found: Checked) -> dict[str, float]:
    assert found.first is not None
    return dict(found.types) | {"first": round(found.first[3], 4)}


def test_letters_of_the_compass_are_signs_and_no_units() -> None:
    text = rows("time,lon,lat,hr\n", "{t},125.7{i:02}W,49.0{i:02}N,71", times())
    toml = proposed(text).toml()
    assert toml.count('angle = "dms"') == 2
    assert "unit" not in toml
    assert kinds(read(text)) == {"lon": 24, "lat": 24, "hr": 24, "first": -125.7}
    mixed = rows("time,x\n", "{t},1.5{i:02}W\n{t}.5,1.5{i:02}E", times())
    assert kinds(read(mixed)) == {"x": 48, "first": -1.5}
    power = rows("time,load\n", "{t},12{i}W", times())
    assert 'unit = "W"' in proposed(power).toml()


def test_letters_of_the_compass_beside_the_numbers() -> None:
    text = rows("time,lon,E/W,lat,N/S\n", "{t},12545.{i:02},W,4907.{i:02},N", times())
    toml = proposed(text).toml()
    assert 'lon = { angle = "ddmm", hemisphere = "E/W" }' in toml
    assert kinds(read(text)) == {"lon": 24, "lat": 24, "first": -125.75}
    plain = rows("time,lon,ew\n", "{t},125.7{i:02},W", times())
    assert kinds(read(plain)) == {"lon": 24, "first": -125.7}
    still = rows("time,lon,ew,temp\n", "{t},125.7,W,2{i}.5", times())
    assert kinds(read(still)) == {"temp": 24, "first": 20.5}


@pytest.mark.parametrize("title", ["ID", "imei", "buoy", "number"])
@pytest.mark.parametrize("last", ["0", "1"])
def test_long_numbers_that_repeat_are_names(title: str, last: str) -> None:
    ids = ("351234063700990", f"35123406370099{last}")
    text = f"{title},time,temp\n"
    text += "".join(f"{ids[i % 2]},{t},2{i}.5\n" for i, t in enumerate(times(3)))
    found = read(text)
    assert sorted(found.sensors) == sorted(set(ids))
    assert found.types == {"temp": 3}


def test_a_long_counter_that_rests_is_measured() -> None:
    text = "time,total\n" + "".join(f"{t},{12345678900 + i // 3}\n" for i, t in enumerate(times()))
    assert read(text).types == {"total": 24}


@pytest.mark.parametrize("title", ["Long-Acting Insulin", "Inlet Temp"])
def test_a_column_that_does_not_change_is_no_place_by_a_part_of_its_title(title: str) -> None:
    text = rows(f"time,{title},temp\n", "{t},8.5,2{i}.5", times())
    assert set(read(text).types) == {title, "temp"}


@pytest.mark.parametrize("title", ["long", "lon (deg)", "GPS Long", "long_deg", "inlet height"])
def test_a_place_that_does_not_change_is_left_out(title: str) -> None:
    assert list(read(rows(f"time,{title},temp\n", "{t},8.5,2{i}.5", times())).types) == ["temp"]


def test_hours_of_something_are_measured_and_hours_of_the_clock_are_not() -> None:
    hours = [2.87, 3.14, 3.5, 3.19, 2.5, 4.25]
    text = "time,load,hour\n" + "".join(
        f"{t},1{i}.5,{h}\n" for i, (t, h) in enumerate(zip(times(6, 1440), hours, strict=True))
    )
    assert read(text).types == {"load": 6, "hour": 6}
    clock = "time,load,hour\n" + "".join(
        f"{t},1{i}.5,{i / 2 % 24}\n" for i, t in enumerate(times(96, 30))
    )
    assert read(clock).types == {"load": 96}


def test_what_is_left_out_though_it_may_be_measured_is_asked() -> None:
    head = "time,sleep_quality,eep,temp_quality,temp\n"
    toml = proposed(
        head + "".join(f"{t},{i % 7},1.{i},{i % 6},2{i}.5\n" for i, t in enumerate(times()))
    ).toml()
    assert "TODO: 'sleep_quality' is ignored as a flag" in toml
    assert toml.count("TODO: '") == 1
    cells = [f"w{i}" if i % 4 == 1 else f"2{i}.5" for i in range(16)]
    toml = proposed(
        "time,a,b\n" + "".join(f"{t},{c},1.5\n" for t, c in zip(times(16), cells, strict=True))
    ).toml()
    assert "what do 'w1', 'w5', 'w9', 'w13' mean?" in toml


@pytest.mark.parametrize(
    ("title", "text"),
    [
        ("period", "PT30M"),
        ("window", "15 min"),
        ("fw", "1.4.2"),
        ("built", "2021-03"),
        ("event_id", "1040"),
        ("quality.eventId", "e1040"),
        ("entity", "true"),
    ],
)
def test_a_constant_that_tells_something_else_is_no_sensor(title: str, text: str) -> None:
    result = "".join(
        json.dumps({"t": t.replace(" ", "T") + "Z", title: text, "pv": i / 8}) + "\n"
        for i, t in enumerate(times())
    )
    assert list(read(result).sensors) == ["tower7"]


@pytest.mark.parametrize(
    ("title", "text"), [("box", "A17"), ("fixture", "P1"), ("node_id", "1040")]
)
def test_a_constant_that_may_be_a_name_is_the_sensor(title: str, text: str) -> None:
    assert list(read(rows(f"time,{title},pv\n", f"{{t}},{text},2{{i}}.5", times())).sensors) == [
        text
    ]


def test_units_below_the_titles_as_servers_of_ocean_data_write_them() -> None:
    head = "time,depth,speed,sst,oxygen,ratio\nUTC,m,m s-1,degree_C,UMOL/KG,1\n"
    found = read(rows(head, "{t},2.5,0.{i},1{i}.5,20{i},0.5", times()))
    assert found.units == {
        "depth": "m", "speed": "m s-1", "sst": "degree_C", "oxygen": "UMOL/KG", "ratio": "1",
    }  # fmt: skip
