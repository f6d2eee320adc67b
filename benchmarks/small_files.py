"""Measures the files per second and the CPU time per file when the fleet loads many small files.

In each round, the worker is suspended while files are dropped and the daemon registers them and sends
messages. Then the worker continues. The time from the first claim to the last commit is read from the
ledger. Each round is measured in four ways: with one task per file, which is the default; with several
files per message (`group_small_files = true`); with a chain of three tasks per file (`inline_below = 0`);
and with the usual script instead of sensorflow (see `reference`). In a last measurement, files are dropped
while all processes run, and the time from the first rename to the last commit is measured.

The CPU time is that of the daemon and the worker with all their children. It is measured from the time when
they have loaded a few files until the broker has no messages, although the last messages have no effect,
because their files are already loaded.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from benchmarks import inputs, machine, reference
from benchmarks.stack import Broker, Fleet, cpu_seconds, fleet
from benchmarks.stand import BenchmarkFleet, spread, stand
from sensorflow.flow.publish import MIN_WINDOW

ROWS = 100
SETTINGS = {
    "grouped": {"SENSORFLOW_GROUP_SMALL_FILES": "true"},
    "chain": {"SENSORFLOW_INLINE_BELOW": "0"},
}
"""Environment variables of the daemon, which decides what a message contains, for two of the ways."""
WARM = 20


def measure(
    quick: bool, files: int | None = None, repeat: int = 5, broker: str = "valkey"
) -> dict[str, Any]:
    files = files or (800 if quick else 2000)
    few = files // 8 if quick else files
    ways = ("one", "grouped", "chain", *reference.DRIVERS, "running")
    runs: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
    with stand() as bench_fleet:
        server = Broker(broker, bench_fleet.root)
        try:
            with fleet(bench_fleet, server, os.cpu_count() or 1) as running_fleet:
                drops = FileDropper(bench_fleet, files)
                running_fleet.worker.start()
                for _ in range(repeat):
                    runs["one"].append(waiting(running_fleet, drops, "one", files))
                    runs["grouped"].append(waiting(running_fleet, drops, "grouped", files))
                    runs["chain"].append(waiting(running_fleet, drops, "chain", few))
                    for way, driver in reference.DRIVERS.items():
                        runs[way].append(script(bench_fleet, drops, driver, few))
                    if not quick:
                        runs["running"].append(running(running_fleet, drops))
                rss = peak(running_fleet, drops, 300_000 if quick else 1_000_000)
        finally:
            server.stop()
    return print_result(files, broker, runs, rss)


class FileDropper:
    """Generates files, of which no two have the same bytes, and drops them as a logger does."""

    def __init__(self, bench_fleet: BenchmarkFleet, files: int) -> None:
        self.files = files
        self._rows, self._batch = 0, 0
        self._dropped = bench_fleet.root / "made"
        self._dropped.mkdir()
        self.drop = bench_fleet.project / "drop-csv"

    def make(self, files: int, rows: int = ROWS) -> list[Path]:
        self._batch += 1
        names = [self._dropped / f"{self._batch:03}-{n:05}.csv" for n in range(files)]
        for path in names:
            inputs.write(path, rows, "csv", self._rows)
            self._rows += rows
        return names

    def put(self, paths: list[Path]) -> None:
        for path in paths:
            part = self.drop / f"{path.name}.part"
            path.rename(part)
            part.rename(self.drop / path.name)


def begin(running_fleet: Fleet, drops: FileDropper, way: str) -> None:
    """Start the daemon for a round, let the fleet load a few files, and then empty the ledger."""
    running_fleet.daemon.env = {**running_fleet.env, **SETTINGS.get(way, {})}
    running_fleet.daemon.start()
    warm = drops.make(WARM)
    before = sum(running_fleet.counts().values())
    drops.put(warm)
    running_fleet.wait(lambda: running_fleet.drained(before + WARM) and running_fleet.is_idle())
    empty(running_fleet.stand)


def empty(bench_fleet: BenchmarkFleet) -> None:
    bench_fleet.sql.execute("TRUNCATE raw_readings, files, arrivals, file_events CASCADE")
    bench_fleet.settle()


def waiting(running_fleet: Fleet, drops: FileDropper, way: str, files: int) -> dict[str, Any]:
    begin(running_fleet, drops, way)
    paths = drops.make(files)
    before = running_fleet.cpu()
    running_fleet.hold()
    drops.put(paths)
    running_fleet.wait(lambda: sum(running_fleet.counts().values()) == files)
    running_fleet.wait(lambda: running_fleet.published() >= min(files, MIN_WINDOW))
    arrived = running_fleet.cpu()
    running_fleet.resume()
    running_fleet.wait(lambda: running_fleet.drained(files) and running_fleet.is_idle())
    seconds, rows = running_fleet.span()
    found = counted(files, rows, seconds, cpu_seconds(before, running_fleet.cpu()))
    running_fleet.daemon.terminate(20)
    empty(running_fleet.stand)
    return found | {"daemon_before_worker": round(arrived["daemon"] - before["daemon"], 2)}


def running(running_fleet: Fleet, drops: FileDropper) -> dict[str, Any]:
    begin(running_fleet, drops, "one")
    paths = drops.make(drops.files)
    before, began = running_fleet.cpu(), time.time()
    drops.put(paths)
    running_fleet.wait(lambda: running_fleet.drained(drops.files) and running_fleet.is_idle())
    last = running_fleet.stand.sql.execute(
        "SELECT extract(epoch FROM max(finished_at)) FROM files"
    ).fetchone()
    seconds = float(last[0]) - began  # type: ignore[index]
    found = counted(
        drops.files, running_fleet.span()[1], seconds, cpu_seconds(before, running_fleet.cpu())
    )
    running_fleet.daemon.terminate(20)
    empty(running_fleet.stand)
    return found


def counted(files: int, rows: int, seconds: float, cpu: dict[str, float]) -> dict[str, Any]:
    if rows != files * ROWS:
        raise SystemExit(f"{rows:,} rows loaded, {files * ROWS:,} expected")
    own = cpu["daemon"] + cpu["worker"]
    return {
        "seconds": round(seconds, 3),
        "files_per_second": round(files / seconds, 1),
        "cpu_ms": round(1000 * own / files, 3),
        **{f"{part}_cpu_ms": round(1000 * value / files, 3) for part, value in cpu.items()},
    }


def script(
    bench_fleet: BenchmarkFleet, drops: FileDropper, driver: str, files: int
) -> dict[str, Any]:
    paths = drops.make(files)
    own, database = time.process_time(), machine.cpu(bench_fleet.server.process.pid)
    seconds = reference.scripted(bench_fleet, paths, driver)
    own, database = (
        time.process_time() - own,
        machine.cpu(bench_fleet.server.process.pid) - database,
    )
    found = counted(
        files, bench_fleet.rows(), seconds, {"daemon": 0.0, "worker": own, "database": database}
    )
    for path in paths:
        path.unlink()
    empty(bench_fleet)
    return found


def peak(running_fleet: Fleet, drops: FileDropper, rows: int) -> float:
    """Let the worker load a file of `rows` rows. Return the peak memory of its largest process in MiB."""
    begin(running_fleet, drops, "one")
    drops.put(drops.make(1, rows))
    running_fleet.wait(lambda: running_fleet.drained(1))
    found = machine.peak_mb(running_fleet.worker.pid)
    running_fleet.daemon.terminate(20)
    return found


def print_result(
    files: int, broker: str, runs: dict[str, list[dict[str, Any]]], rss: float
) -> dict[str, Any]:
    figures = {
        way: {key: spread([run[key] for run in found]) for key in ("files_per_second", "cpu_ms")}
        for way, found in runs.items()
        if found
    }
    speed = {way: figure["files_per_second"]["median"] for way, figure in figures.items()}
    middle = sorted(runs["one"], key=lambda run: run["cpu_ms"])[len(runs["one"]) // 2]
    return {
        "files": files,
        "rows_each": ROWS,
        "broker": broker,
        "small_file_cpu_ms": figures["one"]["cpu_ms"]["median"],
        "small_file_cpu_ms_grouped": figures["grouped"]["cpu_ms"]["median"],
        "small_file_cpu_vs_grouped": round(
            figures["one"]["cpu_ms"]["median"] / figures["grouped"]["cpu_ms"]["median"], 2
        ),
        "small_file_vs_chain": round(speed["one"] / speed["chain"], 2),
        "small_file_vs_script": round(speed["one"] / speed["script"], 2),
        "small_file_vs_script_psycopg3": round(speed["one"] / speed["script_psycopg3"], 2),
        "worker_rss_mb": rss,
        "parts": {key: value for key, value in middle.items() if key.endswith("_cpu_ms")},
        "figures": figures,
        "runs": runs,
    }
