"""Writes files of readings for benchmarks: fifty sensors with one reading per second each, in the order of
time.

time,sensor,type,value,unit
2026-02-01T00:00:00Z,s000,temperature,20.37,degC
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SENSORS = 50
BLOCK = 50_000
START = int(datetime(2026, 2, 1, tzinfo=UTC).timestamp())
HEAD = "time,sensor,type,value,unit\n"
KINDS = (("temperature", "degC"), ("humidity", "%"))


def profile(form: str) -> dict[str, Any]:
    """Return the profile with which these files are read. form: the format. The profile has rules for the
    values of both types."""
    names = {name: name for name in ("time", "sensor", "type", "value", "unit")}
    rules = {
        "temperature": {"min": -80, "max": 90, "units": ["degC"]},
        "humidity": {"min": 0, "max": 100, "units": ["%"]},
    }
    return {"format": form, **names, "rules": rules}


def write(path: Path, rows: int, form: str = "csv", first: int = 0) -> Path:
    """Write a file with `rows` readings. first: number of readings in the files that precede this one in
    time. Returns `path`."""
    writer = {"csv": _csv, "jsonl": _jsonl, "parquet": _parquet}[form]
    writer(path, rows, first)
    return path


def many(folder: Path, rows: int, files: int, form: str = "csv") -> list[Path]:
    """Write `rows` readings to `files` files of equal size, each of which continues the previous one in
    time. The readings do not depend on `files`. Returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    each = rows // files
    return [write(folder / f"{n:05}.{form}", each, form, n * each) for n in range(files)]


Block = tuple[list[str], list[int], list[float]]


def _blocks(rows: int, first: int) -> Iterator[Block]:
    """Yield (times, sensors, values) for up to `BLOCK` readings at a time."""
    for low in range(first, first + rows, BLOCK):
        place = np.arange(low, min(low + BLOCK, first + rows))
        seconds = np.datetime64(START, "s") + place // SENSORS
        values = np.random.default_rng(low).normal(40, 9, len(place)).clip(1, 80).round(2)
        yield np.datetime_as_string(seconds).tolist(), (place % SENSORS).tolist(), values.tolist()


_SENSORS = [f"s{n:03}" for n in range(SENSORS)]
_KINDS = [KINDS[n % 2] for n in range(SENSORS)]


def _csv(path: Path, rows: int, first: int) -> None:
    ends = [
        (f"Z,{s},{kind},", f",{unit}\n") for s, (kind, unit) in zip(_SENSORS, _KINDS, strict=True)
    ]
    with path.open("w", buffering=1 << 20) as out:
        out.write(HEAD)
        for times, sensors, values in _blocks(rows, first):
            out.writelines(
                f"{t}{ends[s][0]}{v}{ends[s][1]}"
                for t, s, v in zip(times, sensors, values, strict=True)
            )


def _jsonl(path: Path, rows: int, first: int) -> None:
    with path.open("w", buffering=1 << 20) as out:
        for times, sensors, values in _blocks(rows, first):
            for t, s, v in zip(times, sensors, values, strict=True):
                facts = {"time": t + "Z", "sensor": _SENSORS[s], "type": _KINDS[s][0], "value": v}
                out.write(json.dumps({**facts, "unit": _KINDS[s][1]}) + "\n")


def _parquet(path: Path, rows: int, first: int) -> None:
    writer = None
    for times, sensors, values in _blocks(rows, first):
        table = pa.table(
            {
                "time": pa.array(np.array(times, "datetime64[us]")).cast(pa.timestamp("us", "UTC")),
                "sensor": [_SENSORS[s] for s in sensors],
                "type": [_KINDS[s][0] for s in sensors],
                "value": values,
                "unit": [_KINDS[s][1] for s in sensors],
            }
        )
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()
