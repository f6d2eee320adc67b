"""What partitions of a week and of a day cost the load of a file, compared with those of a month.

A file contains an hour or a month of readings. Each width has a month of its own, and its partitions exist
before a file is measured. In each round, the widths are measured one after the other.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks import inputs
from benchmarks.reading import progress, server
from benchmarks.stand import BenchmarkFleet, spread
from benchmarks.taking import IntakeTimes
from sensorflow.core.partition_width import Width

MONTHS = {width: datetime(2026, 2 + n, 1, tzinfo=UTC) for n, width in enumerate(Width)}
SPANS = {"an hour": timedelta(hours=1), "a month": timedelta(days=28)}


def measure(quick: bool = False, rows: int = 1_000_000, repeat: int = 5) -> dict[str, Any]:
    """rows: of a file."""
    rows = min(rows, 200_000) if quick else rows
    with server() as (root, postgres):
        fleets: dict[Width, BenchmarkFleet] = {}
        for width in Width:
            (root / width).mkdir()
            fleets[width] = BenchmarkFleet(root / width, postgres, partitions=str(width))
        try:
            return {"rows": rows, **{span: case(fleets, span, rows, repeat) for span in SPANS}}
        finally:
            for fleet in fleets.values():
                fleet.close()


def case(fleets: dict[Width, BenchmarkFleet], span: str, rows: int, repeat: int) -> dict[str, Any]:
    """CPU seconds of worker and server for a file, for each width, and the ratios to those of a month."""
    files = {
        width: write(fleet.root / f"{span}.csv", rows, MONTHS[width], SPANS[span])
        for width, fleet in fleets.items()
    }
    took: dict[Width, list[IntakeTimes]] = {width: [] for width in fleets}
    for _ in range(repeat + 1):
        for width, fleet in fleets.items():
            fleet.reset()
            took[width].append(fleet.take([files[width]], "csv"))
    found: dict[str, Any] = {}
    for width, times in took.items():
        measured = times[1:]  # the first one warms, and creates the partitions
        found[str(width)] = {
            "cpu": spread([one.own_cpu + one.database_cpu for one in measured]),
            "database_cpu": spread([one.database_cpu for one in measured]),
            "first": round(times[0].own_cpu + times[0].database_cpu, 3),
        }
    months = found[str(Width.MONTH)]["cpu"]["median"]
    for one in found.values():
        one["ratio"] = round(one["cpu"]["median"] / months, 3)
    progress(f"{span}: {found}")
    return found


def write(path: Path, rows: int, first: datetime, span: timedelta) -> Path:
    """Write a file of `rows` readings from the tenth day of a month on, or from its first day if the span
    is longer."""
    start = first if span > timedelta(days=10) else first + timedelta(days=9)
    with path.open("w") as out:
        out.write(inputs.HEAD)
        for number in range(rows):
            time = start + span * (number // inputs.SENSORS * inputs.SENSORS / rows)
            sensor, value = number % inputs.SENSORS, 20 + number % 977 / 100
            out.write(f"{time:%Y-%m-%dT%H:%M:%S.%f}Z,s{sensor:03},temperature,{value:.2f},degC\n")
    return path
