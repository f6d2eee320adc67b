"""Measures the rows per second with `dedupe_index = "deferred"`. The reference is the server's COPY of
ready rows into the same table without an index.

Also measures the seconds for building the unique index afterwards, which proves that no reading exists
twice. Uses all cores: a worker computes rows while the server inserts other rows.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import asdict
from typing import Any

from benchmarks import inputs, reference
from benchmarks.reference import COLUMNS
from benchmarks.stand import BenchmarkFleet, spread, stand
from benchmarks.throughput import MILLION, check
from sensorflow.settings import Settings

MONTH = "2026-02"
PLAIN = (
    "CREATE TABLE plain (LIKE raw_readings) PARTITION BY RANGE (ts)",
    "CREATE TABLE plain_part PARTITION OF plain DEFAULT",
)


def measure(quick: bool = False, rows: int | None = None, repeat: int = 5) -> dict[str, Any]:
    if "dedupe_index" not in Settings.model_fields:
        return {"reason": 'this version has no dedupe_index = "deferred"'}
    rows = rows or (MILLION // 4 if quick else MILLION)
    with stand(dedupe_index="deferred") as bench_fleet:
        command(bench_fleet, "db", "upgrade")  # the database is made to fit the setting
        for statement in PLAIN:
            bench_fleet.sql.execute(statement)
        return compare(bench_fleet, rows, repeat)


def compare(bench_fleet: BenchmarkFleet, rows: int, repeat: int) -> dict[str, Any]:
    paths = inputs.many(bench_fleet.root / "inputs", rows, 1)
    bench_fleet.reset()
    bench_fleet.take(paths, "csv")
    check(bench_fleet, rows)
    ready = reference.ready_rows(bench_fleet, 1)
    copies: dict[str, list[float]] = {"text": [], "binary": []}
    ours = []
    for _ in range(repeat):
        for form in copies:
            copies[form].append(plain(bench_fleet, ready[form][0], form))
        bench_fleet.reset()
        ours.append(bench_fleet.take(paths, "csv"))
        check(bench_fleet, rows)
    build = built(bench_fleet)
    copied, binary = (spread(copies[form]) for form in ("text", "binary"))
    own = spread([took.seconds for took in ours])
    return {
        "rows": rows,
        "deferred_ratio": round(own["median"] / copied["median"], 3),
        "deferred_ratio_binary": round(own["median"] / binary["median"], 3),
        "rows_per_second": round(rows / own["median"]),
        "copy_rows_per_second": round(rows / copied["median"]),
        "index_seconds": build,
        "rows_per_second_with_index": round(rows / (own["median"] + build)) if build else None,
        "seconds": {"ours": own, **{form: spread(times) for form, times in copies.items()}},
        "runs": [asdict(took) for took in ours],
    }


def plain(bench_fleet: BenchmarkFleet, path: str, form: str) -> float:
    bench_fleet.sql.execute("TRUNCATE plain")
    bench_fleet.settle()
    began = time.perf_counter()
    bench_fleet.sql.execute(f"COPY plain ({COLUMNS}) FROM '{path}' (FORMAT {form})")  # type: ignore[arg-type]
    return time.perf_counter() - began


def built(bench_fleet: BenchmarkFleet) -> float | None:
    """Seal the month. Return the seconds for building its index, as the command prints them; None if the
    command prints none."""
    found = re.search(
        r"closed in ([0-9.]+) s", command(bench_fleet, "db", "close", "--month", MONTH)
    )
    return float(found[1]) if found else None


def command(bench_fleet: BenchmarkFleet, *arguments: str) -> str:
    env = {**os.environ, "SENSORFLOW_CONFIG": str(bench_fleet.project / "sensorflow.toml")}
    program = [sys.executable, "-m", "sensorflow", *arguments]
    done = subprocess.run(program, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"sensorflow {' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done.stdout
