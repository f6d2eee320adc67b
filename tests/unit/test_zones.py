"""Hours that exist twice or not at all: by the profile's policy, as the zone's own rules have them."""

from __future__ import annotations

import io
import tempfile
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from sensorflow.core import reading
from sensorflow.core.binding.file_path import FilePath
from sensorflow.core.formats import csv, lines
from sensorflow.core.profile import Profile
from sensorflow.errors import Code

CHANGES = {
    "Europe/Berlin": ["2024-03-31", "2024-10-27", "2199-10-27"],
    "America/Los_Angeles": ["2024-03-10", "2024-11-03", "1987-04-05"],
    "Australia/Lord_Howe": ["2024-04-07", "2024-10-06"],
}
DAYS = [(zone, day) for zone, days in CHANGES.items() for day in days]
STEP = timedelta(minutes=10)


def read(times: list[str], zone: str | None, **policy: str) -> list[datetime | Code]:
    """What becomes of each row's time."""
    text = "t,v\n" + "".join(f"{time},1\n" for time in times)
    clock = {"column": "t", **({"zone": zone} if zone else {}), **policy}
    sensor = {"constant": "a"}
    profile = Profile.model_validate(
        {"format": "csv", "time": clock, "sensor": sensor, "columns": ["v"]}
    )
    found: dict[int, datetime | Code] = {}
    stream, place = io.BytesIO(text.encode()), FilePath("f.csv")
    for part in reading.read(stream, profile, place, tempfile.TemporaryFile):
        stamps = part.bronze["ts"].cast(pa.timestamp("us", tz="UTC")).to_pylist()
        found |= dict(zip(part.bronze["line_no"].to_pylist(), stamps, strict=True))
        found |= {int(r.line_no or 0): r.code for r in part.rejects}
    return [found[line] for line in range(2, len(times) + 2)]


def instants(zone: str, local: datetime) -> list[datetime]:
    """Every instant at which the zone's clock shows a time; those of both offsets where there is none."""
    place = ZoneInfo(zone)
    both = {local.replace(tzinfo=place, fold=fold).astimezone(UTC) for fold in (0, 1)}
    return sorted(both)


def exists(zone: str, local: datetime) -> bool:
    return instants(zone, local)[0].astimezone(ZoneInfo(zone)).replace(tzinfo=None) == local


@pytest.mark.parametrize(("zone", "day"), DAYS)
@pytest.mark.parametrize("policy", ["reject", "earlier", "later"])
def test_every_time_of_a_day_with_a_change(zone: str, day: str, policy: str) -> None:
    begin = datetime.fromisoformat(day)
    times = [begin + STEP * i for i in range(150)]
    expected: list[datetime | Code] = []
    for local in times:
        both = instants(zone, local)
        code = Code.TIMESTAMP_AMBIGUOUS if exists(zone, local) else Code.TIMESTAMP_NONEXISTENT
        refused = policy == "reject" and len(both) > 1
        expected.append(code if refused else both[-1 if policy == "later" else 0])
    assert any(len(instants(zone, local)) > 1 for local in times)
    assert read([str(t) for t in times], zone, ambiguous=policy, nonexistent=policy) == expected


@pytest.mark.parametrize(("zone", "day"), DAYS)
@pytest.mark.parametrize("rows", [1, 2, 3, 7, 16384])
def test_the_order_of_the_rows_tells_which_hour(
    zone: str, day: str, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also over the borders of chunks."""
    monkeypatch.setattr(csv, "ROWS", rows)
    if rows < 100:
        monkeypatch.setattr(lines, "BLOCK", 23 * rows)
    begin = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    true = [begin + STEP * i for i in range(150)]
    shown = [f"{t.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}" for t in true]
    assert read(shown, zone, ambiguous="order") == true


@pytest.mark.parametrize("bad", ["", "nonsense", "2024-10-27T00:35:00Z", "2024-02-30 00:00"])
def test_a_row_without_local_time_leaves_the_order_alone(bad: str) -> None:
    times = ["02:00", "02:50", "02:00", bad, "02:10", "02:50", "03:00"]
    shown = [t if t == bad else f"2024-10-27 {t}" for t in times]
    found = read(shown, "Europe/Berlin", ambiguous="order")
    hours = [t.hour for t in found if isinstance(t, datetime) and t.minute != 35]
    assert hours == [0, 0, 1, 1, 1, 2]


def test_mixed_offsets() -> None:
    times = ["2024-01-01T00:00:00Z", "2024-01-01T01:00:00+01:00", "2023-12-31 19:00-0500"]
    times += ["2024-01-01 05:45+05:45", "2024-01-01 00:00"]
    found = read(times, None)
    assert found == [datetime(2024, 1, 1, tzinfo=UTC)] * 4 + [Code.TIMESTAMP_NO_ZONE]
    found = read(times, "Asia/Tokyo")
    assert found[4] == datetime(2023, 12, 31, 15, tzinfo=UTC)
