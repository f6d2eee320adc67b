"""Tables as loggers write them, of which a wrong proposal would lose or change numbers without a word."""

from __future__ import annotations

import pytest
from test_sniff import proposed, read, rows, times

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
