"""Measures the rows per second on one core. The references are COPY of ready rows and the usual script
(see `reference`).

All features of sensorflow are active, and PostgreSQL runs on the same core. In each round, the references
and sensorflow run one after the other, each with an empty table and after a checkpoint. After each run, the
rows are counted.
"""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import inputs, machine, reference
from benchmarks.stand import BenchmarkFleet, spread, stand

MILLION = 1_000_000
Case = tuple[str, int, int]
"""(format, number of rows, number of files)."""


def cases(quick: bool, rows: int | None) -> list[Case]:
    if quick:
        return [("csv", rows or MILLION, 1)]
    if rows:
        return [("csv", rows, 1), ("csv", rows, 100), ("jsonl", rows, 1), ("parquet", rows, 1)]
    forms = ("csv", "jsonl", "parquet")
    one = [(form, count, 1) for form in forms for count in (MILLION, 10 * MILLION)]
    return one + [(form, MILLION, 100) for form in forms]


def measure(quick: bool, rows: int | None = None, repeat: int = 5) -> dict[str, Any]:
    core = machine.pin()
    found = []
    with stand() as bench_fleet:
        for form, count, files in cases(quick, rows):
            found.append(case(bench_fleet, form, count, files, repeat, quick))
    return {"core": core, "cases": found}


def case(
    bench_fleet: BenchmarkFleet, form: str, rows: int, files: int, repeat: int, quick: bool
) -> dict[str, Any]:
    paths = inputs.many(bench_fleet.root / "inputs", rows, files, form)
    sample = min(rows, 10_000) if quick else rows
    few = inputs.many(bench_fleet.root / "few", sample, 1, form) if quick else paths
    bench_fleet.reset()
    bench_fleet.take(paths, form)  # warms up, and loads the rows for `ready_rows`
    check(bench_fleet, rows)
    ready = reference.ready_rows(bench_fleet, files)
    times: dict[str, list[float]] = {
        name: [] for name in ("text", "binary", "ours", "arriving", *reference.DRIVERS)
    }
    ours = []
    for _ in range(repeat):
        for name in ("text", "binary"):
            bench_fleet.reset()
            times[name].append(reference.copy(bench_fleet, ready[name], name))
            check(bench_fleet, rows)
        bench_fleet.reset()
        took = bench_fleet.take(paths, form)
        check(bench_fleet, rows)
        ours.append(asdict(took))
        times["ours"].append(took.seconds)
        times["arriving"].append(took.arriving)
        for name, driver in reference.DRIVERS.items():
            bench_fleet.reset()
            times[name].append(reference.scripted(bench_fleet, few, driver))
            check(bench_fleet, sample)
    for path in (*paths, *few, *map(Path, ready["text"]), *map(Path, ready["binary"])):
        path.unlink(missing_ok=True)
    return print_result(form, rows, files, sample, times, ours)


def check(bench_fleet: BenchmarkFleet, rows: int) -> None:
    if (found := bench_fleet.rows()) != rows:
        raise SystemExit(f"{found:,} rows in the table, {rows:,} expected: the results are invalid")


def print_result(
    form: str,
    rows: int,
    files: int,
    script_rows: int,
    times: dict[str, list[float]],
    ours: list[dict[str, Any]],
) -> dict[str, Any]:
    figures = {name: spread(values) for name, values in times.items()}
    like = "binary" if form == "parquet" else "text"
    own, total = (
        figures["ours"]["median"],
        figures["ours"]["median"] + figures["arriving"]["median"],
    )
    copied = figures[like]["median"]
    per_row = {name: figures[name]["median"] / script_rows for name in reference.DRIVERS}
    middle = sorted(ours, key=lambda run: run["seconds"])[len(ours) // 2]
    return {
        "format": form,
        "rows": rows,
        "files": files,
        "script_rows": script_rows,
        "reference": like,
        "rows_per_second": round(rows / own),
        "copy_rows_per_second": round(rows / copied),
        "script_rows_per_second": round(1 / per_row["script"]),
        "script_psycopg3_rows_per_second": round(1 / per_row["script_psycopg3"]),
        "copy_ratio": round(own / copied, 3),
        "copy_ratio_binary": round(own / figures["binary"]["median"], 3),
        "copy_ratio_with_landing": round(total / copied, 3),
        "script_ratio": round(per_row["script"] * rows / own, 2),
        "script_ratio_psycopg3": round(per_row["script_psycopg3"] * rows / own, 2),
        "database_share": round(
            middle["database_cpu"] / (middle["own_cpu"] + middle["database_cpu"]), 3
        ),
        "stages": middle["stages"],
        "seconds": figures,
        "runs": ours,
        "load": round(os.getloadavg()[0], 2),
    }
