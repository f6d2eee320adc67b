"""Tables as loggers write them, of which a wrong proposal would lose or change numbers without a word."""

from __future__ import annotations

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
    made = proposed(text).toml()
    assert made.count('angle = "dms"') == 2
    assert "unit" not in made
    assert kinds(read(text)) == {"lon": 24, "lat": 24, "hr": 24, "first": -125.7}
    mixed = rows("time,x\n", "{t},1.5{i:02}W\n{t}.5,1.5{i:02}E", times())
    assert kinds(read(mixed)) == {"x": 48, "first": -1.5}
    power = rows("time,load\n", "{t},12{i}W", times())
    assert 'unit = "W"' in proposed(power).toml()


def test_letters_of_the_compass_beside_the_numbers() -> None:
    text = rows("time,lon,E/W,lat,N/S\n", "{t},12545.{i:02},W,4907.{i:02},N", times())
    made = proposed(text).toml()
    assert 'lon = { angle = "ddmm", hemisphere = "E/W" }' in made
    assert kinds(read(text)) == {"lon": 24, "lat": 24, "first": -125.75}
    plain = rows("time,lon,ew\n", "{t},125.7{i:02},W", times())
    assert kinds(read(plain)) == {"lon": 24, "first": -125.7}
    still = rows("time,lon,ew,temp\n", "{t},125.7,W,2{i}.5", times())
    assert kinds(read(still)) == {"temp": 24, "first": 20.5}
