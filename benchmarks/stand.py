"""A stand for benchmarks: a separate embedded PostgreSQL, and a process that loads files through all
stages."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from benchmarks import inputs, taking
from benchmarks.taking import IntakeProcess, IntakeTimes
from sensorflow import telemetry
from sensorflow.adapters.postgres import migrate
from sensorflow.embedded.postgres import Postgres
from sensorflow.embedded.user import server_user
from sensorflow.testing.project import Table, write_settings

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from servers import place_for_servers

FORMS = ("csv", "jsonl", "parquet")


class BenchmarkFleet:
    """A project for benchmarks, with one source per format. source: settings of each source. keys:
    top-level settings of the project. sql: an autocommitted connection to its database. services: the
    services of the flow."""

    def __init__(
        self, root: Path, server: Postgres, source: Table | None = None, **keys: Any
    ) -> None:
        self.root, self.server = root, server
        self._taker: IntakeProcess | None = None
        self.project = root / "project"
        self.project.mkdir(exist_ok=True)
        self.configure(source, **keys)
        self.exchange = root / "exchange"
        self.exchange.mkdir(exist_ok=True)
        if user := server_user():  # the server writes and reads files there
            os.chown(self.exchange, *user)
        self.sql = psycopg.connect(server.url, autocommit=True)

    def configure(self, source: Table | None = None, **keys: Any) -> None:
        sources = {f: {"path": f"drop-{f}", "profile": f, **(source or {})} for f in FORMS}
        profiles = {form: inputs.profile(form) for form in FORMS}
        write_settings(self.project, sources, profiles, database_url=self.server.url, **keys)
        for form in FORMS:
            (self.project / f"drop-{form}").mkdir(exist_ok=True)
        self._stop_taker()
        self.services = taking.world_of(self.project)

    def reset(self) -> None:
        """Remove all files, rows and stored data, and flush the disks, so that every run begins in the
        same state."""
        self.sql.execute(
            "TRUNCATE raw_readings, files, arrivals, file_events RESTART IDENTITY CASCADE"
        )
        shutil.rmtree(self.project / "data", ignore_errors=True)
        self.settle()

    def settle(self) -> None:
        self.sql.execute("CHECKPOINT")
        os.sync()

    def rows(self) -> int:
        (found,) = self.sql.execute("SELECT count(*) FROM raw_readings").fetchone() or (0,)
        return int(found)

    def arrive(self, path: Path, source: str) -> int:
        """Land and register a file. Returns its id."""
        return taking.arrive(self.services, path, source)

    def take(self, paths: list[Path], source: str) -> IntakeTimes:
        """Load files one after the other, through all stages, in a process that has imported what a worker
        imports."""
        if self._taker is None:
            self._taker = IntakeProcess(self.project, self.server.process.pid or 0)
        return self._taker.take(paths, source)

    def _stop_taker(self) -> None:
        if self._taker is not None:
            self._taker.close()
            self._taker = None

    def close(self) -> None:
        self._stop_taker()
        self.sql.close()
        self.services.ledger.close()  # type: ignore[attr-defined]


@contextmanager
def stand(**settings: Any) -> Iterator[BenchmarkFleet]:
    telemetry.configure("ERROR")
    with place_for_servers() as place:
        server = Postgres(place.root, place.logs)
        server.start()
        try:
            migrate.upgrade(server.url)
            new_stand = BenchmarkFleet(place.root, server, **settings)
            try:
                yield new_stand
            finally:
                new_stand.close()
        finally:
            server.process.terminate(60)


def spread(values: list[float]) -> dict[str, Any]:
    """Return the median, the minimum and the maximum of several measurements, and the measurements
    themselves (`runs`)."""
    ordered = sorted(values)
    middle, is_odd = divmod(len(ordered), 2)
    median = ordered[middle] if is_odd else (ordered[middle - 1] + ordered[middle]) / 2
    return {
        "median": round(median, 4),
        "min": round(ordered[0], 4),
        "max": round(ordered[-1], 4),
        "runs": [round(value, 4) for value in values],
    }
