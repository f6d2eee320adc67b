"""Measures the rows per second of other programs that load a CSV file into PostgreSQL, and of sensorflow,
on one core.

sensorflow runs in a process that has imported what a worker imports. All programs do the same: they load a
file of 1M readings into a table with the same columns and the same unique index, with a SHA-256 key for
each reading. The key is computed by a loop over hashlib if the program has no faster way. None of the other
programs validates readings, stores rejects or writes a ledger.

There are three exceptions. `adbc, ready rows` does less: it gets the finished rows, including the keys, as
an Arrow table in memory. dlt creates its own table, which has two additional columns, no partitions, and
the unique index. Slow programs load fewer rows; only the rows per second are compared.
"""

from __future__ import annotations

import importlib.util
import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from benchmarks import inputs, machine, reference
from benchmarks.reference import COLUMNS
from benchmarks.stand import BenchmarkFleet, spread, stand
from benchmarks.throughput import MILLION, check

FEW = 100_000
Peer = Callable[[BenchmarkFleet, Path], float]
"""A function that loads a file with one of the programs. It returns the seconds, or raises
CouldNotRun."""


class CouldNotRun(Exception):
    """Raised if a program cannot be measured on this machine. The message is the reason."""


def measure(quick: bool = False, rows: int | None = None, repeat: int = 5) -> dict[str, Any]:
    core = machine.pin()
    rows = rows or (FEW if quick else MILLION)
    with stand() as bench_fleet:
        large = inputs.write(bench_fleet.root / "large.csv", rows)
        small = inputs.write(bench_fleet.root / "small.csv", min(rows, FEW))
        bench_fleet.reset()
        bench_fleet.take([large], "csv")  # warms up, and creates the partition of the month
        found = compare(bench_fleet, large, small, rows, repeat)
    own = found["sensorflow"]["rows_per_second"]
    for peer in found.values():
        if "rows_per_second" in peer:
            peer["ours_is_faster_by"] = round(own / peer["rows_per_second"], 2)
    return {"core": core, "rows": rows, "peers": found}


def compare(
    bench_fleet: BenchmarkFleet, large: Path, small: Path, rows: int, repeat: int
) -> dict[str, Any]:
    few = min(rows, FEW)
    chosen: dict[str, tuple[Peer, Path, int]] = {
        "sensorflow": (ours, large, rows),
        "adbc_ingest": (adbc, large, rows),
        "adbc, ready rows": (adbc_ready, large, rows),
        "dlt": (dlt_filesystem, small, few),
        "duckdb": (duckdb_postgres, large, rows),
        "pandas.to_sql": (to_sql, small, few),
    }
    found: dict[str, Any] = {name: {"rows": count} for name, (_, _, count) in chosen.items()}
    times: dict[str, list[float]] = {name: [] for name in chosen}
    for _ in range(repeat):
        for name, (peer, path, count) in chosen.items():
            if "could_not_run" in found[name]:
                continue
            bench_fleet.reset()
            try:
                times[name].append(peer(bench_fleet, path))
            except CouldNotRun as error:
                found[name]["could_not_run"] = " ".join(str(error).split())[:300]
                continue
            if name != "dlt":  # it has a separate table, and counts the rows itself
                check(bench_fleet, count)
    for name, seconds in times.items():
        if seconds:
            found[name] |= {"seconds": spread(seconds)}
            found[name]["rows_per_second"] = round(found[name]["rows"] / spread(seconds)["median"])
    return found


def ours(bench_fleet: BenchmarkFleet, path: Path) -> float:
    took = bench_fleet.take([path], "csv")
    return took.arriving + took.seconds


def arrow(path: Path, text_key: bool = False) -> Any:
    """Read a CSV file, compute the keys, and return an Arrow table with the columns of raw_readings.
    text_key: whether the keys are hexadecimal text and not bytes, because dlt cannot write bytes into its
    CSV."""
    import hashlib

    import pyarrow as pa
    import pyarrow.csv as csv

    table = csv.read_csv(path)
    columns = [table[name].to_pylist() for name in ("sensor", "time", "type")]
    keys = [
        hashlib.sha256(f"{s}|{t}|{k}|{path.name}".encode()).hexdigest()[:32]
        for s, t, k in zip(*columns, strict=True)
    ]
    rows = len(table)
    return pa.table(
        {
            "ts": table["time"].cast(pa.timestamp("us", "UTC")),
            "sensor_id": table["sensor"],
            "reading_type": table["type"],
            "value": table["value"].cast(pa.float64()),
            "unit": table["unit"],
            "quality": pa.nulls(rows, pa.int16()).fill_null(0),
            "file_id": pa.nulls(rows, pa.int64()).fill_null(1),
            "line_no": pa.array(range(2, rows + 2), pa.int64()),
            "dedupe_key": keys if text_key else pa.array(map(bytes.fromhex, keys), pa.binary(16)),
        }
    )


INTO = f"""
INSERT INTO raw_readings ({COLUMNS})
SELECT {COLUMNS.replace("dedupe_key", "CAST(encode(dedupe_key, 'hex') AS uuid)")} FROM arrived
"""


def adbc(bench_fleet: BenchmarkFleet, path: Path) -> float:
    began = time.perf_counter()
    _ingest(bench_fleet, arrow(path))
    return time.perf_counter() - began


def adbc_ready(bench_fleet: BenchmarkFleet, path: Path) -> float:
    table = arrow(path)
    began = time.perf_counter()
    _ingest(bench_fleet, table)
    return time.perf_counter() - began


def _ingest(bench_fleet: BenchmarkFleet, table: Any) -> None:
    """Insert the rows into a temporary table, from which the server copies them to raw_readings and
    converts the keys to uuid. The driver itself cannot write values of the type uuid."""
    import adbc_driver_postgresql.dbapi as driver

    with driver.connect(bench_fleet.server.url) as connection:
        with connection.cursor() as cursor:
            cursor.adbc_ingest("arrived", table, mode="create", temporary=True)
            cursor.execute(INTO)
        connection.commit()


def to_sql(bench_fleet: BenchmarkFleet, path: Path) -> float:
    engine = reference.engine(bench_fleet)
    with engine.connect():
        began = time.perf_counter()
        frame = reference.read(path)
        frame["dedupe_key"] = [uuid.UUID(text) for text in reference.hashed(frame, path.name)]
        frame = frame.rename(columns={"time": "ts", "sensor": "sensor_id", "type": "reading_type"})
        frame = frame.assign(quality=0, file_id=1, line_no=range(2, len(frame) + 2))
        options = {"dtype": {"dedupe_key": sa.Uuid()}, "chunksize": 10_000}
        frame.to_sql("raw_readings", engine, if_exists="append", index=False, **options)
        seconds = time.perf_counter() - began
    engine.dispose()
    return seconds


def duckdb_postgres(bench_fleet: BenchmarkFleet, path: Path) -> float:
    import duckdb

    connection = duckdb.connect(config={"threads": 1})
    extension = _extension()
    try:
        if extension is None:
            connection.execute("INSTALL postgres")
        connection.execute(f"LOAD '{extension or 'postgres'}'")
    except duckdb.Error as error:
        raise CouldNotRun(str(error)) from error
    connection.execute(f"ATTACH '{bench_fleet.server.url}' AS server (TYPE postgres)")
    text = "sensor || '|' || CAST(time AS VARCHAR) || '|' || type || '|' || '" + path.name + "'"
    began = time.perf_counter()
    connection.execute(
        "INSERT INTO server.raw_readings SELECT time, sensor, type, value, unit, 0, 1, "
        f"row_number() OVER () + 1, CAST(substr(sha256({text}), 1, 32) AS UUID) "
        f"FROM read_csv('{path}', types={{'time': 'TIMESTAMPTZ'}})"
    )
    seconds = time.perf_counter() - began
    connection.close()
    return seconds


def _extension() -> Path | None:
    """Return the path of DuckDB's PostgreSQL extension if an installed package contains it; None if DuckDB
    has to download it."""
    spec = importlib.util.find_spec("duckdb_ext")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for path in Path(folder).rglob("postgres_scanner.duckdb_extension"):
            return path
    return None


def dlt_filesystem(bench_fleet: BenchmarkFleet, path: Path) -> float:
    """Load the file twice with dlt, and return the seconds of the second run. The first run creates the
    table, on which this function then creates the unique index."""
    os.environ.update(RUNTIME__DLTHUB_TELEMETRY="false", RUNTIME__LOG_LEVEL="ERROR")
    import dlt
    from dlt.sources.filesystem import filesystem

    @dlt.transformer
    def readings(items: Any) -> Any:
        for item in items:
            yield arrow(Path(item["file_url"].removeprefix("file://")), text_key=True)

    def run() -> None:
        files = filesystem(bucket_url=path.parent.as_uri(), file_glob=path.name)
        source = (files | readings()).with_name("readings")
        pipeline.run(source, write_disposition="append", loader_file_format="csv")

    pipeline = dlt.pipeline(
        "readings",
        destination=dlt.destinations.postgres(bench_fleet.server.url),
        dataset_name="peer",
        pipelines_dir=str(bench_fleet.root / "dlt"),
    )
    bench_fleet.sql.execute("DROP SCHEMA IF EXISTS peer CASCADE")
    pipeline.drop()
    run()
    count_query = "SELECT count(*) FROM peer.readings"
    (rows,) = bench_fleet.sql.execute(count_query).fetchone() or (0,)
    bench_fleet.sql.execute("TRUNCATE peer.readings")
    bench_fleet.sql.execute("CREATE UNIQUE INDEX ON peer.readings (ts, dedupe_key)")
    bench_fleet.settle()
    began = time.perf_counter()
    run()
    seconds = time.perf_counter() - began
    if bench_fleet.sql.execute(count_query).fetchone() != (rows,) or not rows:
        raise SystemExit("dlt: the second run loaded other rows than the first")
    return seconds
