"""Measures the peak memory of the daemon with many files in its drop folder. The files either stay there
(`after = "keep"`) or are deleted (`after = "delete"`).

No worker runs. Therefore the daemon registers all files and sends messages for some of them, and all files
stay pending. The memory is measured when the last file is registered, and again after three more scans of
the folder.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from benchmarks import machine
from benchmarks.small_files import empty
from benchmarks.stack import Broker, fleet
from benchmarks.stand import BenchmarkFleet, stand

FILES = 100_000
RESCAN = 5
LINES = "time,sensor,type,value,unit\n2026-02-01T00:00:00Z,s{0},temperature,20.5,degC\n"


def measure(
    files: int | None = None, quick: bool = False, broker: str = "valkey"
) -> dict[str, Any]:
    files = files or (2_000 if quick else FILES)
    cases = []
    for after in ("delete", "keep"):
        with stand(rescan=RESCAN, source={"after": after, "stability_window": 0.2}) as bench_fleet:
            server = Broker(broker, bench_fleet.root)
            try:
                cases.append({"after": after, **grow(bench_fleet, server, files)})
            finally:
                server.stop()
        print(f"  {cases[-1]}", file=sys.stderr, flush=True)
    return {"daemon_rss_mb": max(case["peak_mb"] for case in cases), "files": files, "cases": cases}


def grow(bench_fleet: BenchmarkFleet, server: Broker, files: int) -> dict[str, Any]:
    with fleet(bench_fleet, server, 1) as running_fleet:
        running_fleet.daemon.start()
        first = bench_fleet.project / "drop-csv" / "first.csv"
        first.with_suffix(".part").write_text(LINES.format("first"))
        first.with_suffix(".part").rename(first)
        running_fleet.wait(lambda: sum(running_fleet.counts().values()) == 1)
        idle = machine.peak_mb(running_fleet.daemon.pid)
        running_fleet.daemon.terminate(20)
        empty(bench_fleet)
        first.unlink(missing_ok=True)
        for number in range(files):
            (bench_fleet.project / "drop-csv" / f"{number:06}.csv").write_text(LINES.format(number))
        began, before = time.monotonic(), machine.cpu(running_fleet.daemon.pid)
        running_fleet.daemon.start()
        running_fleet.wait(
            lambda: sum(running_fleet.counts().values()) >= files, seconds=3600, every=1
        )
        seconds, registered = time.monotonic() - began, machine.peak_mb(running_fleet.daemon.pid)
        time.sleep(3 * RESCAN + 1)
        return {
            "idle_mb": idle,
            "registered_mb": registered,
            "peak_mb": machine.peak_mb(running_fleet.daemon.pid),
            "seconds": round(seconds, 1),
            "cpu_ms_per_file": round(
                1000 * (machine.cpu(running_fleet.daemon.pid) - before) / files, 3
            ),
        }
