"""Measures how the speed of the fleet depends on the number of workers, of pending files, and of rows in
the table.

Workers: a worker with 1, 2 and 4 child processes loads files smaller than `inline_below`. Backlog: the
fleet loads the oldest of 1,000 to 100,000 pending files; in all cases, the time for the same number of
files is measured. These files have the same bytes and different names. Table: a file of a million rows is
loaded into a table that contains 0, 1, 10 and 50 million rows of the same month.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import inputs
from benchmarks.small_files import empty
from benchmarks.stack import Broker, Fleet, cpu_seconds, fleet
from benchmarks.stand import BenchmarkFleet, spread, stand
from benchmarks.throughput import MILLION

WORKERS = (1, 2, 4)
BACKLOGS = (1_000, 10_000, 100_000)
TABLES = (0, 1 * MILLION, 10 * MILLION, 50 * MILLION)
FILES, ROWS = 48, 50_000
"""Number of files in the measurement of workers, and rows per file. Each file has 2.3 MB."""
TIMED = 800
"""Number of files of a backlog for which the time is measured."""

WAITING = """
INSERT INTO files (source, key, key_text, version, sha256, md5, size, mtime_ns, landing, sensor_type,
                   discovered_at, landed_at)
SELECT source, CAST(name AS bytea), name, 1, sha256, md5, size, mtime_ns, landing, sensor_type,
       discovered_at, landed_at
  FROM (SELECT f.*, 'more/' || n || '.csv' AS name
          FROM files f, generate_series(1, %s) n WHERE f.id = %s) made
"""
OLD = """
INSERT INTO raw_readings
SELECT make_timestamptz(2026, 2, 1, 0, 0, 0, 'UTC') + n * make_interval(secs => 2400000.0 / %(rows)s),
       's' || n %% 50, 'temperature', n %% 100, 'degC', 0, -1, n, gen_random_uuid()
  FROM generate_series(%(low)s::bigint, %(high)s::bigint) n
"""


def measure(
    quick: bool = False, repeat: int = 5, broker: str = "valkey", rows: int | None = None
) -> dict[str, Any]:
    """Run the benchmark. rows: number of rows of the file that is loaded into tables of different sizes;
    with less than a million rows, the other sizes are reduced too."""
    small = quick or (rows or MILLION) < MILLION
    with stand() as bench_fleet:
        server = Broker(broker, bench_fleet.root)
        try:
            by_workers = [
                workers(bench_fleet, server, n, repeat, FILES // (4 if small else 1))
                for n in WORKERS
            ]
            backlogs = [
                backlog(bench_fleet, server, n, repeat) for n in BACKLOGS[: 2 if small else 3]
            ]
        finally:
            server.stop()
        tables = [
            table(bench_fleet, n, rows or MILLION, repeat) for n in TABLES[: 2 if small else 4]
        ]
    one = by_workers[0]["rows_per_second"]
    for found in by_workers:
        found["times_one"] = round(found["rows_per_second"]["median"] / one["median"], 2)
    for found in tables:
        ratio = found["rows_per_second"]["median"] / tables[0]["rows_per_second"]["median"]
        found["of_an_empty_one"] = round(ratio, 3)
    return {"workers": by_workers, "backlog": backlogs, "table": tables}


def progress(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


def workers(
    bench_fleet: BenchmarkFleet, server: Broker, pool: int, repeat: int, files: int
) -> dict[str, Any]:
    rates, parts = [], []
    with fleet(bench_fleet, server, pool) as running_fleet:
        running_fleet.worker.start()
        running_fleet.daemon.start()
        for number in range(repeat + 1):
            folder = bench_fleet.root / "made"
            paths = inputs.many(folder, files * ROWS, files)
            for path in paths:  # the bytes must be different in each round
                path.write_text(path.read_text().replace(",s0", f",w{pool}r{number}s0"))
            before = running_fleet.cpu()
            running_fleet.hold()
            for path in paths:
                shutil.move(
                    path, bench_fleet.project / f"drop-csv/{pool}-{number}-{path.name}.part"
                )
                part = bench_fleet.project / f"drop-csv/{pool}-{number}-{path.name}.part"
                part.rename(part.with_suffix(""))
            running_fleet.wait(lambda: running_fleet.published() == files)
            running_fleet.resume()
            running_fleet.wait(lambda: running_fleet.drained(files))
            seconds, rows = running_fleet.span()
            if rows != files * ROWS:
                raise SystemExit(f"{rows:,} rows loaded, {files * ROWS:,} expected")
            if number:  # the first round only warms up
                rates.append(rows / seconds)
                parts.append(cpu_seconds(before, running_fleet.cpu()))
            empty(bench_fleet)
    progress(f"{pool} workers: {max(rates):,.0f} rows/s at best")
    return {"workers": pool, "files": files, "rows_per_second": spread(rates), "cpu_seconds": parts}


def backlog(
    bench_fleet: BenchmarkFleet, server: Broker, waiting: int, repeat: int
) -> dict[str, Any]:
    """Measure how many files per second the daemon and a worker with two child processes load while
    `waiting` files are pending."""
    rates = []
    timed = min(TIMED, waiting)
    for number in range(repeat):
        empty(bench_fleet)
        one = inputs.write(bench_fleet.root / "one.csv", 100, "csv", number * 100)
        first = bench_fleet.arrive(one, "csv")
        bench_fleet.sql.execute(WAITING, (waiting - 1, first))
        bench_fleet.sql.execute("ANALYZE files")
        with fleet(bench_fleet, server, 2) as running_fleet:
            running_fleet.worker.start()
            running_fleet.daemon.start()
            running_fleet.wait(lambda: running_fleet.drained(timed), every=0.02)
            rates.append(rate(running_fleet, timed))
        flush(server)
    empty(bench_fleet)
    progress(f"{waiting:,} waiting: {max(rates):,.0f} files/s at best")
    return {"waiting": waiting, "timed": timed, "files_per_second": spread(rates)}


def rate(running_fleet: Fleet, timed: int) -> float:
    """Return the files per second, without the first tenth of the `timed` files."""
    query = "SELECT extract(epoch FROM finished_at) FROM files WHERE state = 'loaded' ORDER BY 1 LIMIT %s"
    ends = [float(row[0]) for row in running_fleet.stand.sql.execute(query, (timed,)).fetchall()]
    low = timed // 10
    return (len(ends) - 1 - low) / (ends[-1] - ends[low])


def flush(server: Broker) -> None:
    """Delete the messages that are still queued in the broker, because their files no longer exist."""
    if server.url.startswith("redis"):
        import redis

        with redis.Redis.from_url(server.url) as client:
            client.flushall()


def table(bench_fleet: BenchmarkFleet, full: int, rows: int, repeat: int) -> dict[str, Any]:
    """Measure the rows per second for loading one file into a table that already contains `full` readings
    of the same weeks."""
    path = inputs.write(bench_fleet.root / "table.csv", rows)
    bench_fleet.reset()
    bench_fleet.take([path], "csv")
    bench_fleet.reset()
    began = time.perf_counter()
    for low in range(1, full + 1, 5 * MILLION):
        high = min(low + 5 * MILLION - 1, full)
        bench_fleet.sql.execute(OLD, {"rows": full, "low": low, "high": high})
    bench_fleet.sql.execute("VACUUM (ANALYZE) raw_readings")
    bench_fleet.settle()
    progress(f"{full:,} rows made in {time.perf_counter() - began:.0f} s")
    rates = []
    for number in range(repeat):
        named = path.rename(Path(bench_fleet.root / f"table-{number}.csv"))
        before = f",r{number - 1}s0" if number else ",s0"
        named.write_text(named.read_text().replace(before, f",r{number}s0"))
        took = bench_fleet.take([named], "csv")
        rates.append(rows / took.seconds)
        path = named
        bench_fleet.sql.execute("DELETE FROM raw_readings WHERE file_id > 0")
        bench_fleet.sql.execute("VACUUM raw_readings")
        bench_fleet.settle()
    path.unlink()
    return {"rows_before": full, "rows": rows, "rows_per_second": spread(rates)}
