"""Run benchmarks, each in a separate process, so that the pinned core and the imported modules of one
benchmark do not affect another."""

from __future__ import annotations

import argparse
import inspect
import json
import os
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
QUICK = ("throughput", "small_files", "deferred")
ALL = (
    *QUICK,
    "peers",
    "scale",
    "ledger",
    "latency",
    "memory",
    "daemon_memory",
    "audit",
    "formats",
    "reading",
    "stores",
    "reading_candidates",
    "partition_load",
)


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    options.add_argument("names", nargs="*", metavar="NAME", help=", ".join(ALL))
    options.add_argument(
        "--quick", action="store_true", help="small sizes; takes less than four minutes"
    )
    options.add_argument("--rows", type=int, help="number of rows of a large file")
    options.add_argument("--files", type=int, help="number of small files")
    options.add_argument("--repeat", type=int, help="number of measurements; the median counts")
    options.add_argument("--broker", choices=("valkey", "rabbitmq"))
    options.add_argument(
        "--json", type=Path, help="file for the results; default: benchmarks/results/latest.json"
    )
    options.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args()
    if unknown := set(given.names) - set(ALL):
        options.error(f"no benchmark {', '.join(sorted(unknown))}; choose from {', '.join(ALL)}")
    if given.one:
        given.one.write_text(json.dumps(one(given.names[0], given)))
        return
    run(given.names or (QUICK if given.quick else ALL), given)


def one(name: str, given: argparse.Namespace) -> dict[str, Any]:
    """Run the benchmark `name` in this process, with the options that its function `measure` accepts.
    Returns its result."""
    measure = import_module(f"benchmarks.{name}").measure
    known = inspect.signature(measure).parameters
    chosen = {k: v for k, v in vars(given).items() if k in known and v is not None}
    found: dict[str, Any] = measure(**chosen)
    return found


def run(names: tuple[str, ...], given: argparse.Namespace) -> None:
    from benchmarks import machine, results

    path = (given.json or results.LATEST).absolute()
    for name in names:
        began, load = time.monotonic(), os.getloadavg()[0]
        print(f"{name} ...", flush=True)
        found = run_in_subprocess(name, given)
        found |= {"load_before": round(load, 2), "took": round(time.monotonic() - began, 1)}
        document = results.write({name: found}, machine.facts(), given.quick, path)
        print(f"{name}: {found['took']} s", flush=True)
    shown = {key: document[key] for key in results.HEADLINES}
    print(json.dumps(shown, indent=2))


def run_in_subprocess(name: str, given: argparse.Namespace) -> dict[str, Any]:
    """Run a benchmark in a separate process, and return its result."""
    options = ["--quick"] if given.quick else []
    for key in ("rows", "files", "repeat", "broker"):
        if (value := getattr(given, key)) is not None:
            options += [f"--{key}", str(value)]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "found.json"
        command = [sys.executable, "-m", "benchmarks", name, *options, "--one", str(out)]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests")))}
        if subprocess.run(command, env=env, cwd=ROOT, check=False).returncode:
            raise SystemExit(f"{name} failed")
        found: dict[str, Any] = json.loads(out.read_text())
        return found


if __name__ == "__main__":
    main()
