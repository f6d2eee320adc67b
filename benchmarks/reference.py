"""The references with which sensorflow's times are compared.

(a) The server's own COPY of ready rows into the same table with the same index. Nothing is read, validated
or hashed, and there is no client. No program that fills this table can be faster.

(b) The usual script. pandas reads the file, a loop over hashlib computes the keys, and SQLAlchemy inserts
many rows at once with psycopg2, its default driver for `postgresql://`, which sends one row after the
other. The script is also measured with psycopg 3, which sends the rows in a pipeline.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa

from benchmarks.stand import BenchmarkFleet
from sensorflow.core.columns import READING

COLUMNS = ", ".join(READING)

INSERT = f"""
INSERT INTO raw_readings ({COLUMNS})
VALUES (:time, :sensor, :type, :value, :unit, 0, :file_id, :line_no, :key)
ON CONFLICT DO NOTHING
"""
CHUNK = 10_000


def ready_rows(bench_fleet: BenchmarkFleet, files: int) -> dict[str, list[str]]:
    """Let the server write the present rows of raw_readings to files for COPY. Returns format ("text" or
    "binary") -> paths of the files in this format. There is one file for each of the loaded files with the
    ids 1 to `files`; it contains the rows in the order of the lines."""
    lines: dict[str, list[str]] = {"text": [], "binary": []}
    for number in range(1, files + 1):
        query = f"SELECT {COLUMNS} FROM raw_readings WHERE file_id = {number} ORDER BY line_no, ts"
        for form, paths in lines.items():
            path = f"{bench_fleet.exchange}/{number}.{form}"
            bench_fleet.sql.execute(f"COPY ({query}) TO '{path}' (FORMAT {form})")  # type: ignore[arg-type]
            paths.append(path)
    return lines


def copy(bench_fleet: BenchmarkFleet, paths: list[str], form: str) -> float:
    """Run the reference (a), and return its seconds. paths, form: from the result of `ready_rows`."""
    began = time.perf_counter()
    for path in paths:
        bench_fleet.sql.execute(f"COPY raw_readings ({COLUMNS}) FROM '{path}' (FORMAT {form})")  # type: ignore[arg-type]
    return time.perf_counter() - began


def read(path: Path) -> pd.DataFrame:
    if path.suffix == ".csv":
        frame = pd.read_csv(path)
    elif path.suffix == ".jsonl":
        frame = pd.read_json(path, lines=True)
    else:
        frame = pd.read_parquet(path)
    frame["time"] = pd.to_datetime(frame["time"], utc=True)
    return frame


def hashed(frame: pd.DataFrame, name: str) -> list[str]:
    """Return the dedupe key of each row as hexadecimal text, computed by a loop over hashlib. name: name
    of the file."""
    columns = (frame["sensor"], frame["time"], frame["type"])
    return [
        hashlib.sha256(f"{sensor}|{ts}|{kind}|{name}".encode()).hexdigest()[:32]
        for sensor, ts, kind in zip(*columns, strict=True)
    ]


def script(engine: sa.Engine, path: Path, number: int) -> None:
    frame = read(path)
    frame["key"] = [uuid.UUID(text) for text in hashed(frame, path.name)]
    frame["line_no"] = range(2, len(frame) + 2)
    frame["file_id"] = number
    with engine.begin() as connection:
        for low in range(0, len(frame), CHUNK):
            records: list[dict[str, Any]] = frame.iloc[low : low + CHUNK].to_dict("records")  # type: ignore[assignment]
            connection.execute(sa.text(INSERT), records)


DRIVERS = {"script": "psycopg2", "script_psycopg3": "psycopg"}


def engine(bench_fleet: BenchmarkFleet, driver: str = "psycopg") -> sa.Engine:
    return sa.create_engine(
        bench_fleet.server.url.replace("postgresql://", f"postgresql+{driver}://")
    )


def scripted(bench_fleet: BenchmarkFleet, paths: list[Path], driver: str) -> float:
    """Run the reference (b), and return its seconds without those for the connection. driver: driver of
    SQLAlchemy."""
    engine_ = engine(bench_fleet, driver)
    with engine_.connect():
        began = time.perf_counter()
        for number, path in enumerate(paths, 1):
            script(engine_, path, number)
        seconds = time.perf_counter() - began
    engine_.dispose()
    return seconds
