"""Measures what a fleet needs: the connections and the memory of each process, and the bytes on disk per
reading.

    PYTHONPATH=. python benchmarks/sizing.py [--broker rabbitmq] [--children 4] [--real FOLDER]

Daemon, one worker, beat, Flower and the metrics server run with a separate database and broker. While the
worker loads files, the TCP connections of each process are counted several times a second.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from benchmarks import inputs, machine
from benchmarks.stack import Broker
from benchmarks.stand import BenchmarkFleet, stand
from sensorflow.core.heartbeat import Role
from sensorflow.embedded.process import Process, free_port
from sensorflow.embedded.stack import celery

FILES, ROWS = 40, 25_000
SMALL = 2_000
TABLES = """
SELECT CASE WHEN relname LIKE 'raw_readings%' THEN 'readings' ELSE 'ledger' END,
       sum(pg_table_size(oid)), sum(pg_indexes_size(oid))
  FROM pg_class
 WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
 GROUP BY 1
"""


class Sample:
    """Counts the connections of the processes, and measures their memory. most: kind of process -> the
    highest number of connections of one process, by server. together: the highest number of connections of
    all processes, by server."""

    def __init__(self, processes: dict[str, Process], ports: dict[str, int]) -> None:
        self._processes, self._ports = processes, ports
        self.most: dict[str, Counter[str]] = {}
        self.together: Counter[str] = Counter()

    def kinds(self) -> dict[int, str]:
        """Return process id -> kind, for the processes and their descendants. The kind is the name of the
        process, such as "worker", or "worker's child" for its descendants."""
        found = {}
        for name, process in self._processes.items():
            for pid in machine.tree(process.pid or 0):
                found[pid] = name if pid == process.pid else f"{name}'s child"
        return found

    def take(self) -> None:
        total: Counter[str] = Counter()
        for pid, kind in self.kinds().items():
            seen = Counter(self._connections(pid))
            total.update(seen)
            most = self.most.setdefault(kind, Counter())
            most |= seen
            self.most[kind] = most
        self.together |= total

    def _connections(self, pid: int) -> list[str]:
        with suppress(psutil.Error):
            return [
                server
                for connection in psutil.Process(pid).net_connections("tcp")
                for server, port in self._ports.items()
                if connection.raddr and connection.raddr.port == port
            ]
        return []

    def memory(self) -> dict[str, dict[str, float]]:
        """Return kind -> number of processes, and means over these processes in MiB: resident memory,
        memory that is not shared with other processes, and peak of the resident memory (only for
        children)."""
        found: dict[str, list[tuple[float, float, float]]] = {}
        for pid, kind in self.kinds().items():
            with suppress(psutil.Error):
                full = psutil.Process(pid).memory_full_info()
                peak = machine.peak_mb(pid) if kind.endswith("child") else 0.0
                found.setdefault(kind, []).append((full.rss, full.uss, peak * 2**20))
        return {
            kind: {
                "processes": len(of),
                **{
                    name: round(sum(x[n] for x in of) / len(of) / 2**20, 1)
                    for n, name in enumerate(("rss_mb", "own_mb", "peak_mb"))
                },
            }
            for kind, of in found.items()
        }


def fleet(bench_fleet: BenchmarkFleet, kind: str, children: int) -> dict[str, Any]:
    broker = Broker(kind, bench_fleet.root)
    port = free_port()
    env = {
        "SENSORFLOW_DATABASE_URL": bench_fleet.server.url,
        "SENSORFLOW_BROKER_URL": broker.url,
        "SENSORFLOW_CONFIG": str(bench_fleet.project / "sensorflow.toml"),
    }
    commands = {
        "daemon": [sys.executable, "-m", "sensorflow", "watch"],
        "worker": celery("worker", f"--autoscale={children},{children}", "--loglevel=WARNING"),
        "beat": celery("beat", "--loglevel=WARNING", f"--schedule={bench_fleet.root / 'beat'}"),
        "flower": celery("flower", "--address=127.0.0.1", f"--port={port}"),
        "metrics": [sys.executable, "-m", "sensorflow", "metrics", f"--port={free_port()}"],
    }
    processes = {
        name: Process(
            name, command, bench_fleet.project / f"{name}.log", env=env, cwd=bench_fleet.project
        )
        for name, command in commands.items()
    }
    ports = {"database": _port(bench_fleet.server.url), "broker": _port(broker.url)}
    sample = Sample(processes, ports)
    try:
        for process in processes.values():
            process.start()
        until = time.monotonic() + 120
        while _loops(bench_fleet) < len(Role) and time.monotonic() < until:
            time.sleep(0.5)
        time.sleep(10)  # Flower and the metrics send no heartbeats
        sample.take()
        idle, before = {k: dict(v) for k, v in sample.most.items()}, sample.memory()
        paths = inputs.many(bench_fleet.root / "inputs", FILES * ROWS, FILES)
        size = sum(path.stat().st_size for path in paths)
        for path in paths:
            path.rename(bench_fleet.project / "drop-csv" / path.name)
        began = time.monotonic()
        while _loaded(bench_fleet) < FILES:
            sample.take()
            if time.monotonic() - began > 120:
                raise SystemExit((bench_fleet.project / "worker.log").read_text()[-3000:])
            time.sleep(0.1)
        sample.take()
        loaded = disk(bench_fleet, size)
        return {
            "idle": idle,
            "most": {k: dict(v) for k, v in sample.most.items()},
            "together": dict(sample.together),
            "memory_idle": before,
            "memory": sample.memory(),
            "disk": loaded,
            "ledger_bytes_per_file": ledger_of_small_files(bench_fleet, loaded),
        }
    finally:
        for process in processes.values():
            if process.is_alive:
                process.stop = signal.SIGTERM
                process.terminate(20)
        broker.stop()


def ledger_of_small_files(bench_fleet: BenchmarkFleet, before: dict[str, Any]) -> int:
    """Return how many bytes a small file adds to the tables and indexes of the ledger, without those of
    the readings. before: the result of `disk` before the small files are loaded."""
    folder = bench_fleet.root / "small"
    folder.mkdir()
    for number in range(SMALL):
        path = inputs.write(folder / f"small-{number:05}.csv", 10, first=FILES * ROWS + number * 10)
        path.rename(bench_fleet.project / "drop-csv" / path.name)
    _wait(bench_fleet, FILES + SMALL)
    after = disk(bench_fleet, 1)["database"]
    more = sum(size - before["database"][name] for name, size in after.items() if "ledger" in name)
    return round(more / SMALL)


def _wait(bench_fleet: BenchmarkFleet, files: int) -> None:
    began = time.monotonic()
    while _loaded(bench_fleet) < files:
        if time.monotonic() - began > 300:
            raise SystemExit((bench_fleet.project / "worker.log").read_text()[-3000:])
        time.sleep(0.5)


def _port(url: str) -> int:
    return int(url.rpartition(":")[2].partition("/")[0])


def _loops(bench_fleet: BenchmarkFleet) -> int:
    (found,) = bench_fleet.sql.execute("SELECT count(*) FROM heartbeats").fetchone() or (0,)
    return int(found)


def _loaded(bench_fleet: BenchmarkFleet) -> int:
    (found,) = bench_fleet.sql.execute(
        "SELECT count(*) FROM files WHERE state = 'loaded'"
    ).fetchone() or (0,)
    return int(found)


def disk(bench_fleet: BenchmarkFleet, size: int) -> dict[str, Any]:
    """Return the numbers of bytes on disk after all files are loaded: by folder, by kind of table, and per
    reading. size: number of bytes of the loaded files."""
    bench_fleet.sql.execute("CHECKPOINT")
    bench_fleet.sql.execute("VACUUM ANALYZE")
    data = bench_fleet.project / "data"
    folders = {
        name: sum(p.stat().st_size for p in (data / name).rglob("*") if p.is_file())
        for name in ("landing", "bronze", "silver", "rejects")
    }
    tables = {name: (int(a), int(b)) for name, a, b in bench_fleet.sql.execute(TABLES).fetchall()}
    rows, files = bench_fleet.rows(), _loaded(bench_fleet)
    database = {
        f"{name} {what}": of[n]
        for name, of in tables.items()
        for n, what in enumerate(("table", "indexes"))
    }
    return {
        "csv_bytes": size,
        "readings": rows,
        "files": files,
        "folders": folders,
        "database": database,
        "per_reading": {
            k: round(v / rows, 1)
            for k, v in {"csv": size, **folders, **database}.items()
            if "ledger" not in k
        },
    }


def real(folder: Path) -> dict[str, Any]:
    """Load files of real loggers one after the other, and return the result of `disk` for them. folder:
    the folder with the files."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "real_data"))
    from run import Pipeline, profile_of

    with stand() as result, tempfile.TemporaryDirectory() as home:
        pipeline = Pipeline(Path(home), result.server.url)
        size = 0
        for path in sorted((folder / "files").iterdir()):
            try:
                profile = profile_of(path.name)
            except Exception as error:  # noqa: BLE001 - a file for another test
                print(path.name, error, file=sys.stderr)
                continue
            pipeline.load(path, profile)
            size += path.stat().st_size
        (result.project / "data").symlink_to(Path(home) / "data")
        return disk(result, size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--broker", choices=("valkey", "rabbitmq"), default="valkey")
    parser.add_argument("--children", type=int, default=4)
    parser.add_argument("--real", type=Path, help="folder with files of real loggers")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with stand() as result:
        found = {"children": given.children, **fleet(result, given.broker, given.children)}
    if given.real:
        found["real"] = real(given.real)
    text = json.dumps({given.broker: found}, indent=1)
    print(text)
    if given.json:
        original = json.loads(given.json.read_text()) if given.json.exists() else {}
        given.json.write_text(json.dumps({**original, given.broker: found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
