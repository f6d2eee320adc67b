"""Measures the duration of `sensorflow audit` with many readings, at all levels except --deep.

Generates files of readings as loggers send them (a few sensors, second by second), and loads each of them
with the ledger's own method. Landed bytes, silver and rows are real; only the parsing is left out. Prints,
for each level, the duration of the command including its start, the CPU time of its process (without the
database server), and its peak memory. Writes JSON to the file of --json.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from servers import place_for_servers  # noqa: E402

from sensorflow import bootstrap  # noqa: E402
from sensorflow.adapters.feeds.folder.feed import file_of  # noqa: E402
from sensorflow.adapters.postgres import migrate  # noqa: E402
from sensorflow.adapters.postgres.ledger import PostgresLedger  # noqa: E402
from sensorflow.core.keys import keys  # noqa: E402
from sensorflow.core.partitions import Layer  # noqa: E402
from sensorflow.core.readings import SILVER  # noqa: E402
from sensorflow.core.stability import Stat  # noqa: E402
from sensorflow.core.states import WORK  # noqa: E402
from sensorflow.embedded.postgres import Postgres  # noqa: E402
from sensorflow.flow.file_task import FileTask, Services  # noqa: E402
from sensorflow.flow.register import Found, register  # noqa: E402
from sensorflow.ports.files import Counts  # noqa: E402
from sensorflow.ports.intake import OnChange  # noqa: E402
from sensorflow.ports.loading import Load  # noqa: E402
from sensorflow.testing.project import write_settings  # noqa: E402

SENSORS = 10
START = 1_767_225_600  # 2026-01-01


def silver(number: int, rows: int) -> pa.RecordBatch:
    """Return the readings of the file `number`, in the schema `SILVER`. The time span of each file begins
    where that of the previous file ends."""
    place = np.arange(rows)
    each = rows // SENSORS + 1
    ts = (START + number * each + place // SENSORS) * 10**9
    columns = [
        pa.array(ts).cast(SILVER.field("ts").type),
        pa.array([f"tank-{n % SENSORS}" for n in range(rows)]),
        pa.array(["temperature"] * rows),
        pa.array(np.random.default_rng(number).normal(20, 5, rows).round(3)),
        pa.array(["degC"] * rows),
        pa.array(np.zeros(rows, np.int16)),
        pa.array(place + 2),
        pa.array(np.zeros(rows, np.int32)),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SILVER)


def load(services: Services, number: int, rows: int) -> None:
    landed = services.landing.put(io.BytesIO(b"number %d\n" % number))
    stat, now = Stat(1, number, landed.size, 0, 0), datetime.now(UTC)
    file = file_of("plant", b"2026/logger-%05d.csv" % number, stat)
    registration = register(services.ledger, services.settings, Found(file, landed, now, now))
    claim = services.ledger.claim(registration.file_id, WORK, "benchmark", 60)
    assert claim is not None
    file_task, batch = FileTask(services, claim), silver(number, rows)
    with services.lake.writer(Layer.SILVER, file_task.layer_file, SILVER) as writer:
        writer.write(batch)
    plan = Load(
        counts=Counts(read=rows),
        on_change=OnChange.SUPERSEDE,
        profile="long",
        profile_hash=file_task.profile.hash,
        code_version="benchmark",
        reports=(),
        identity=file_task.identity,
    )
    services.ledger.load(claim, [(batch, keys(batch, file_task.identity))], plan)


def audited(level: str, folder: Path, url: str) -> dict[str, Any]:
    """Run the command `sensorflow audit` at a level, and return its measurements. level: an option such as
    --fast; "" for the default level. folder: the project. url: the database."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "SENSORFLOW_DATABASE_URL": url}
    watch = (
        "import resource, subprocess, sys; done = subprocess.run(sys.argv[1:]); "
        "used = resource.getrusage(resource.RUSAGE_CHILDREN); "
        "print(used.ru_utime + used.ru_stime, used.ru_maxrss, file=sys.stderr); "
        "sys.exit(done.returncode)"
    )
    command = [sys.executable, "-m", "sensorflow", "audit", "--json", *([level] if level else [])]
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", watch, *command],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(done.stdout[-2000:] + done.stderr[-2000:])
    cpu, peak = (float(text) for text in done.stderr.split()[-2:])
    name = level.strip("-") or "default"
    print(f"{name:<9} {seconds:6.1f} s, {cpu:5.1f} s of CPU, {peak / 1024:5.0f} MB", flush=True)
    figures = {"seconds": seconds, "cpu_seconds": cpu, "peak_mb": peak / 1024}
    return {"level": name, **{key: round(value, 1) for key, value in figures.items()}}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--files", type=int, default=2000)
    options.add_argument("--rows", type=int, default=5000, help="number of readings in each file")
    options.add_argument("--json", type=Path)
    given = options.parse_args()
    result = measure(given.files, given.rows)
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(result, indent=2) + "\n")


def measure(files: int = 2000, rows: int = 5000) -> dict[str, Any]:
    load = os.getloadavg()[0]
    with place_for_servers() as place:
        server = Postgres(place.root, place.logs)
        server.start()
        try:
            found = run(place.root / "project", server.url, files, rows)
        finally:
            server.process.terminate(60)
    return {
        "benchmark": "audit",
        "files": files,
        "rows": files * rows,
        "levels": found,
        "machine": {
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "load_before": round(
                load, 1
            ),  # other work on the same cores makes seconds, not CPU, worse
        },
    }


def run(folder: Path, url: str, files: int, rows: int) -> list[dict[str, Any]]:
    (folder / "drop").mkdir(parents=True)
    write_settings(folder, {"plant": {"path": "drop"}})
    migrate.upgrade(url)
    ledger = PostgresLedger(url, "benchmark")
    services = bootstrap.services(bootstrap.settings(folder), "benchmark", ledger)
    began = time.perf_counter()
    for number in range(files):
        load(services, number, rows)
    print(f"{files:,} files, {files * rows:,} readings in {time.perf_counter() - began:.0f} s")
    ledger.close()
    if os.environ.get("BENCHMARK_WAIT"):
        print(folder, url, flush=True)
        sys.stdin.read()
    return [audited(level, folder, url) for level in ("--fast", "", "--checksum")]


if __name__ == "__main__":
    main()
