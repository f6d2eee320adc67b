"""Measures the peak memory of a worker for files of different sizes.

A process that has imported everything that a worker imports loads one file into PostgreSQL, through all
stages. Its peak resident set is read at the end. There are five kinds of files. `ordered`: the readings of
all sensors, second by second. `grouped`: all readings of one sensor, then those of the next. `shuffled`: in
arbitrary order, with many duplicates. `wide`: a hundred readings of one digit in each row. `line`: a single
line without an end, in a sparse file.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, BinaryIO

ROOT = Path(__file__).resolve().parents[1]
HEAD = b"time,sensor,type,value,unit\n"
START = 1_700_000_000
SENSORS = 50
KINDS = ["ordered", "grouped", "shuffled", "wide"]
WIDE = [f"c{number}" for number in range(100)]


def write(path: Path, kind: str, size: int) -> None:
    with path.open("wb", buffering=1 << 20) as out:
        if kind == "line":
            out.truncate(size)
            return
        if kind == "wide":
            _write_wide(out, size)
            return
        out.write(HEAD)
        draw, number = random.Random(1), 0
        count = max(size // 46 // SENSORS, 1)
        while out.tell() < size:
            block = []
            for _ in range(20_000):
                second, sensor = divmod(number, SENSORS)
                if kind == "grouped":
                    sensor, second = divmod(number, count)
                if kind == "shuffled":
                    second = draw.randrange(count) if number % 10 else 0
                block.append(
                    f"{START + second},s{sensor:03},temperature,{number % 977 / 10},degC\n"
                )
                number += 1
            out.write("".join(block).encode())


def _write_wide(out: BinaryIO, size: int) -> None:
    out.write(",".join(["time", *WIDE]).encode() + b"\n")
    second = START
    while out.tell() < size:
        digits = ",".join(str((second + number) % 10) for number in range(len(WIDE)))
        out.write(f"{second},{digits}\n".encode())
        second += 1


def peak_of(kind: str, size: int, url: str, home: Path) -> dict[str, Any]:
    path = home / f"{kind}-{size}.csv"
    write(path, kind, size)
    began = time.perf_counter()
    command = [sys.executable, __file__, "--one", str(path), "--url", url, "--home", str(home)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    path.unlink()
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    found.update(kind=kind, mb=size >> 20, seconds=round(time.perf_counter() - began, 1))
    return found


def one(path: Path, url: str, home: Path) -> None:
    """Load the file `path` in this process, which is the one that is measured, and print the result as
    JSON."""
    sys.path.insert(0, str(ROOT / "tests"))
    import workers.tasks  # noqa: F401, I001 - first, because it keeps modules out of memory
    from real_data.run import Pipeline

    from sensorflow import telemetry
    from sensorflow.core.profile import Profile

    telemetry.configure("ERROR")
    table: dict[str, Any] = {"format": "csv", "time": {"column": "time", "format": "epoch_s"}}
    table |= {key: key for key in ("sensor", "type", "value", "unit")}
    if path.name.startswith("wide"):
        del table["type"], table["value"], table["unit"]
        table |= {"sensor": {"constant": "station"}, "columns": WIDE}
    profile = Profile.model_validate(table)
    pipeline = Pipeline(home, url)
    file_id, _ = pipeline.load(path, profile)
    view = pipeline.ledger.file(file_id)
    assert view is not None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    counts = view.counts
    print(
        json.dumps(
            {
                "peak_mb": peak,
                "state": str(view.state),
                "error": view.error_code,
                "read": counts.read,
                "loaded": counts.loaded,
                "duplicates": counts.duplicate,
            }
        )
    )


def measure(quick: bool = False) -> dict[str, Any]:
    """Run the benchmark for `python -m benchmarks`: all kinds except `line`, with up to 2 GB. `wide` is
    measured only with up to 100 MB, because it has ten times as many readings per byte."""
    sizes = [10, 100] if quick else [10, 100, 500, 2048]
    found = all_of([(kind, mb) for mb in sizes for kind in KINDS if kind != "wide" or mb <= 100])
    return {"worker_rss_mb": max(case["peak_mb"] for case in found), "cases": found}


def all_of(plan: list[tuple[str, int]]) -> list[dict[str, Any]]:
    sys.path.insert(0, str(ROOT / "tests"))
    from servers import place_for_servers

    from sensorflow.adapters.postgres import migrate
    from sensorflow.embedded.postgres import Postgres

    results = []
    with place_for_servers() as place:
        server = Postgres(place.root, place.logs)
        server.start()
        migrate.upgrade(server.url)
        try:
            for kind, mb in plan:
                with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as home:
                    found = peak_of(kind, mb << 20, server.url, Path(home))
                results.append(found)
                print(json.dumps(found), flush=True)
        finally:
            server.process.terminate(30)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mb", type=int, nargs="*", default=[10, 100, 500, 2048])
    parser.add_argument("--kinds", nargs="*", default=KINDS)
    parser.add_argument("--line-mb", type=int, default=10_240)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", type=Path)
    parser.add_argument("--url")
    parser.add_argument("--home", type=Path)
    given = parser.parse_args()
    if given.one:
        one(given.one, given.url, given.home)
        return
    plan = [(kind, mb) for mb in given.mb for kind in given.kinds]
    plan += [("line", given.line_mb)] if given.line_mb else []
    results = all_of(plan)
    if given.json:
        given.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
