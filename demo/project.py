"""Creates the project of the demo in the folder .demo/, with sources for real and for generated files."""

from __future__ import annotations

from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent / ".demo"
SOURCES = ("weather", "temperatures", "plant", "lines", "tables")

SETTINGS = """\
# Made by the demo. `make up` runs the stack on it; everything here is yours to change.
data = "data"
rescan = 5
reconcile = 5

[sources.weather]
path = "drop/weather"
profile = "daily"

[sources.temperatures]
path = "drop/temperatures"
profile = "hourly"

[sources.plant]
path = "drop/plant"
profile = "long"

[sources.lines]
path = "drop/lines"
profile = "long-lines"

[sources.tables]
path = "drop/tables"
profile = "long-tables"

# seattle-weather.csv: a row is a day, a column is a quantity; local days of Seattle
[profiles.daily]
format = "csv"
time = { column = "date", format = "%Y/%m/%d", zone = "America/Los_Angeles" }
sensor = { file_name = "^([a-z]+)-" }
[profiles.daily.columns]
precipitation = { type = "precipitation", unit = "mm" }
temp_max = { type = "temperature_max", unit = "degC" }
temp_min = { type = "temperature_min", unit = "degC" }
wind = { type = "wind_speed", unit = "m/s" }

# seattle-temps.csv: hours of a wall clock, one of which does not exist and one is twice
[profiles.hourly]
format = "csv"
time = { column = "date", format = "%Y/%m/%d %H:%M", zone = "America/Los_Angeles" }
sensor = { file_name = "^([a-z]+)-" }
[profiles.hourly.columns]
temp = { type = "temperature", unit = "degF" }

[profiles.long]
format = "csv"
time = "time"
sensor = "sensor"
type = "type"
value = "value"
unit = "unit"

[profiles.long-lines]
format = "jsonl"
time = { column = "t", format = "epoch_ms" }
sensor = "id"
type = "q"
value = "v"
unit = { constant = "degC" }

[profiles.long-tables]
format = "parquet"
time = "time"
sensor = "sensor"
type = { constant = "power" }
value = "power"
unit = { constant = "kW" }
"""


def make(folder: Path = PROJECT) -> None:
    """Create the folders and the settings file of the project, as far as they do not exist yet."""
    for source in SOURCES:
        (folder / "drop" / source).mkdir(parents=True, exist_ok=True)
    settings = folder / "sensorflow.toml"
    if not settings.exists():
        settings.write_text(SETTINGS, "utf-8")


if __name__ == "__main__":
    make()
