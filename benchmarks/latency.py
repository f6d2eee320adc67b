"""From a file's rename into the drop folder to the commit of its rows, on an idle stack.

200 files of 100 rows, one after the other, each dropped when the one before is loaded and the stack
is idle again. The end is the database's own time of the ledger row that the load's transaction
wrote, read back over the same clock. Prints median and 95th percentile, and JSON to --json.
"""

from __future__ import annotations

import argparse
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
import time
from datetime import UTC, datetime
from pathlib import Path

from sensorflow import bootstrap
from sensorflow.cli.init import write
from sensorflow.embedded import state

HEAD = "time,sensor,type,value,unit\n"


def content(number: int, rows: int) -> str:
    draw = random.Random(number)
    lines = [
        f"2026-02-{number % 28 + 1:02}T{number // 28:02}:{n // 60:02}:{n % 60:02}Z,"
        f"s{number},temperature,{draw.uniform(0, 40):.3f},degC\n"
        for n in range(rows)
    ]
    return HEAD + "".join(lines)


def measure(folder: Path, files: int, rows: int, warm: int = 10) -> list[float]:
    """Seconds of each file."""
    ledger = bootstrap.ledger(bootstrap.settings(folder), "benchmark")
    drop = folder / "drop" / "readings"
    spent = []
    for number in range(files + warm):
        part = drop / f"{number}.csv.part"
        part.write_text(content(number, rows))
        os.sync()  # what earlier files left behind is not this one's time
        time.sleep(random.Random(number).uniform(0.05, 0.25))
        began = datetime.now(UTC)
        part.rename(drop / f"{number}.csv")
        while True:
            view = next((v for v in ledger.files(limit=1) if v.name == f"{number}.csv"), None)
            if view is not None and view.state == "loaded":
                break
            time.sleep(0.005)
        loaded = [e for e in ledger.history(view.file_id) if e["what"] == "loaded"]
        spent.append((loaded[0]["at"] - began).total_seconds())
    return spent[warm:]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--files", type=int, default=200)
    options.add_argument("--rows", type=int, default=100)
    options.add_argument("--json", type=Path)
    given = options.parse_args()
    target = given.json.absolute() if given.json else None
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        write(folder)
        os.chdir(folder)
        with (folder / "up.log").open("wb") as log:
            stack = subprocess.Popen([sys.executable, "-m", "sensorflow", "up"], stdout=log)
        data = bootstrap.settings(folder).data_folder
        try:
            while state.running(data) is None:
                time.sleep(0.1)
            time.sleep(8)  # until workers are up and the machine is quiet
            spent = measure(folder, given.files, given.rows)
        finally:
            stack.send_signal(signal.SIGINT)
            stack.wait(60)
            os.chdir("/")
            shutil.rmtree(state.home(data), ignore_errors=True)
    report(spent, given, target)


def report(spent: list[float], given: argparse.Namespace, target: Path | None) -> None:
    cuts = statistics.quantiles(spent, n=20)
    result = {
        "benchmark": "latency",
        "files": given.files,
        "rows": given.rows,
        "median_ms": round(1000 * statistics.median(spent), 1),
        "p95_ms": round(1000 * cuts[18], 1),
        "min_ms": round(1000 * min(spent), 1),
        "max_ms": round(1000 * max(spent), 1),
        "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
    }
    print(
        f"rename to commit, {given.files} files of {given.rows} rows: "
        f"median {result['median_ms']} ms, p95 {result['p95_ms']} ms, "
        f"min {result['min_ms']} ms, max {result['max_ms']} ms"
    )
    if target:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
