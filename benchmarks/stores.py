"""Measures how fast files are loaded if all zones are in a bucket, relative to the local disk.

The bucket is on a real S3 server on this host (SeaweedFS), which shares cores and disk with everything
else. In each round, the disk and the bucket are measured one after the other: many small files, and one
large file. The time from the first rename to the last commit counts, with all processes running from the
start.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.small_files import FileDropper, begin, empty
from benchmarks.stack import Broker, Fleet, cpu_seconds, fleet
from benchmarks.stand import BenchmarkFleet, spread, stand

WAYS = ("disk", "bucket")
ROWS = 1_000_000


def measure(
    quick: bool, files: int | None = None, rows: int = ROWS, repeat: int = 5, broker: str = "valkey"
) -> dict[str, Any]:
    from object_servers import ADMIN, BUCKET, Seaweed

    files = files or (200 if quick else 1000)
    repeat = 2 if quick else repeat
    runs: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    with stand() as bench_fleet:
        server, store = Broker(broker, bench_fleet.root), Seaweed(bench_fleet.root)
        try:
            store.start()
            drops = FileDropper(bench_fleet, files)
            zones = {
                "SENSORFLOW_STORAGE__DATA": f"s3://{BUCKET}/bench",
                "SENSORFLOW_STORAGE__ENDPOINT": store.endpoint,
                "AWS_ACCESS_KEY_ID": ADMIN[0],
                "AWS_SECRET_ACCESS_KEY": ADMIN[1],
            }
            for _ in range(repeat):
                for way in WAYS:
                    runs[way].append(
                        _round(bench_fleet, server, drops, zones if way == "bucket" else {}, rows)
                    )
        finally:
            store.stop()
            server.stop()
    return _result(files, rows, broker, runs)


def _round(
    bench_fleet: BenchmarkFleet,
    server: Broker,
    drops: FileDropper,
    zones: dict[str, str],
    rows: int,
) -> dict[str, Any]:
    with fleet(bench_fleet, server, os.cpu_count() or 1) as running_fleet:
        running_fleet.env.update(zones)
        running_fleet.worker.env = dict(running_fleet.env)
        running_fleet.worker.start()
        small = _timed(running_fleet, drops, drops.make(drops.files))
        large = _timed(running_fleet, drops, drops.make(1, rows))
        rss = machine.peak_mb(running_fleet.worker.pid)
    return {
        "files_per_second": round(drops.files / small["seconds"], 1),
        "rows_per_second": round(rows / large["seconds"]),
        "small_cpu_ms": round(1000 * small["cpu"] / drops.files, 3),
        "worker_rss_mb": rss,
    }


def _timed(running_fleet: Fleet, drops: FileDropper, paths: list[Path]) -> dict[str, float]:
    """Drop files and wait until they are loaded. Return the seconds from the first rename to the last
    commit, within 20 ms, and the CPU seconds of daemon and worker."""
    begin(running_fleet, drops, "one")
    before, began = running_fleet.cpu(), time.monotonic()
    drops.put(paths)
    running_fleet.wait(lambda: running_fleet.drained(len(paths)), every=0.02)
    seconds = time.monotonic() - began
    running_fleet.wait(running_fleet.is_idle)
    used = cpu_seconds(before, running_fleet.cpu())
    running_fleet.daemon.terminate(20)
    empty(running_fleet.stand)
    return {"seconds": seconds, "cpu": used["daemon"] + used["worker"]}


def _result(
    files: int, rows: int, broker: str, runs: dict[str, list[dict[str, Any]]]
) -> dict[str, Any]:
    keys = ("files_per_second", "rows_per_second", "small_cpu_ms", "worker_rss_mb")
    figures = {way: {k: spread([run[k] for run in runs[way]]) for k in keys} for way in WAYS}
    disk, bucket = figures["disk"], figures["bucket"]

    def ratio(key: str) -> float:
        return round(bucket[key]["median"] / disk[key]["median"], 2)

    return {
        "files": files,
        "rows": rows,
        "broker": broker,
        "small_files_vs_disk": ratio("files_per_second"),
        "rows_vs_disk": ratio("rows_per_second"),
        **figures,
    }
