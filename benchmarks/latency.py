"""Measures the time from the rename of a file into the drop folder to the commit of its rows.

200 files of 100 rows are dropped one after the other, each when the previous one is loaded. There are two
measurements: on an idle stack, and under load, while twenty other files per second arrive. The time of the
commit is the time of the event `loaded`, which the transaction of the load writes by the database's clock.
The database runs on the same machine.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sensorflow import bootstrap
from sensorflow.cli.init import write
from sensorflow.embedded import state

HEAD = "time,sensor,type,value,unit\n"
LOAD = 20.0
"""Number of other files per second in the measurement under load."""


def content(number: int, rows: int) -> str:
    draw = random.Random(number)
    lines = [
        f"2026-02-{number % 28 + 1:02}T{number // 28 % 24:02}:{n // 60:02}:{n % 60:02}Z,"
        f"s{number},temperature,{draw.uniform(0, 40):.3f},degC\n"
        for n in range(rows)
    ]
    return HEAD + "".join(lines)


def drop(folder: Path, name: str, text: str) -> datetime:
    """Drop a file as a logger does: write it under another name, then rename it. Returns the time of the
    rename."""
    part = folder / f"{name}.part"
    part.write_text(text)
    began = datetime.now(UTC)
    part.rename(folder / name)
    return began


@contextmanager
def busy(folder: Path, rows: int) -> Iterator[None]:
    """Drop `LOAD` other files per second from a thread while the context lasts."""
    stop = threading.Event()

    def run() -> None:
        for number in itertools.count(100_000):
            drop(folder, f"other-{number}.csv", content(number, rows))
            if stop.wait(1 / LOAD):
                return

    thread = threading.Thread(target=run)
    thread.start()
    try:
        time.sleep(2)
        yield
    finally:
        stop.set()
        thread.join()


def times(folder: Path, files: int, rows: int, name: str, idle: bool) -> list[float]:
    """Drop files one after the other, and return the latency of each in seconds. idle: whether to wait for
    the disk before each file."""
    ledger = bootstrap.ledger(bootstrap.settings(folder), "benchmark")
    target = folder / "drop" / "readings"
    durations, warm = [], 10
    for number in range(files + warm):
        if idle:
            os.sync()  # writes of earlier files must not delay this one
        time.sleep(random.Random(number).uniform(0.05, 0.25))
        began = drop(target, f"{name}-{number}.csv", content(number + 50_000 * (not idle), rows))
        while not (loaded := loaded_at(ledger, f"{name}-{number}.csv")):
            time.sleep(0.005)
        durations.append((loaded - began).total_seconds())
    ledger.close()
    return durations[warm:]


def loaded_at(ledger: Any, name: str) -> datetime | None:
    view = next((v for v in ledger.files(limit=50) if v.name == name), None)
    if view is None or view.state != "loaded":
        return None
    at: datetime = next(e.at for e in ledger.history(view.file_id) if e.what == "loaded")
    return at


def measure(files: int = 200, rows: int = 100, quick: bool = False) -> dict[str, Any]:
    files = 20 if quick else files
    with tempfile.TemporaryDirectory() as tmp:
        folder = Path(tmp)
        write(folder)
        os.chdir(folder)
        with (folder / "up.log").open("wb") as log:
            stack = subprocess.Popen([sys.executable, "-m", "sensorflow", "up"], stdout=log)
        data = bootstrap.settings(folder).data_folder
        try:
            while state.running(data) is None:
                time.sleep(0.1)
            time.sleep(8)  # until the workers run and the machine is idle
            found = {}
            for name in ("idle", "load"):
                around = (
                    nullcontext() if name == "idle" else busy(folder / "drop" / "readings", rows)
                )
                with around:
                    found[name] = percentiles(times(folder, files, rows, name, name == "idle"))
        finally:
            stack.send_signal(signal.SIGINT)
            stack.wait(60)
            os.chdir("/")
            shutil.rmtree(state.home(data), ignore_errors=True)
    return {
        "benchmark": "latency",
        "files": files,
        "rows": rows,
        **found["idle"],
        "under_load": {"files_per_second": LOAD, **found["load"]},
        "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
    }


def percentiles(durations: list[float]) -> dict[str, float]:
    return {
        "median_ms": round(1000 * statistics.median(durations), 1),
        "p95_ms": round(1000 * statistics.quantiles(durations, n=20)[18], 1),
        "min_ms": round(1000 * min(durations), 1),
        "max_ms": round(1000 * max(durations), 1),
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--files", type=int, default=200)
    options.add_argument("--rows", type=int, default=100)
    options.add_argument("--json", type=Path)
    given = options.parse_args()
    target = given.json.absolute() if given.json else None
    result = measure(given.files, given.rows)
    for name, figures in (("idle", result), ("under load", result["under_load"])):
        print(
            f"rename to commit, {name}: median {figures['median_ms']} ms, p95 {figures['p95_ms']} ms"
        )
    if target:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
