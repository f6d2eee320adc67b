"""A test stand: an embedded PostgreSQL of its own, and files taken through the flow within this process."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from benchmarks import inputs, machine
from sensorflow import bootstrap, telemetry
from sensorflow.adapters.feeds.folder import stat_of
from sensorflow.adapters.postgres import migrate
from sensorflow.embedded.postgres import Postgres
from sensorflow.embedded.user import server_user
from sensorflow.flow.handle import Outcome, handle
from sensorflow.flow.land import land
from sensorflow.flow.register import register

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from servers import place_for_servers

SETTINGS = """\
data = "data"
database_url = "{url}"
{extra}
"""
SOURCE = """\
[sources.{name}]
path = "drop-{name}"
profile = "{name}"
{extra}
"""
FORMS = ("csv", "jsonl", "parquet")


@dataclass
class Took:
    """Files taken in: seconds of landing and registering, then of all stages; CPU of both sides of
    the stages; of each stage, what the ledger says."""

    files: int
    arriving: float
    seconds: float
    own_cpu: float
    database_cpu: float
    stages: dict[str, float] = field(default_factory=dict)


class Stand:
    """extra: more settings; source: more settings of each source."""

    def __init__(self, root: Path, server: Postgres, extra: str = "", source: str = "") -> None:
        self.root, self.server = root, server
        self.project = root / "project"
        self.project.mkdir(exist_ok=True)
        self.configure(extra, source)
        self.exchange = root / "exchange"
        self.exchange.mkdir(exist_ok=True)
        if user := server_user():  # the server writes and reads files there
            os.chown(self.exchange, *user)
        self.sql = psycopg.connect(server.url, autocommit=True)

    def configure(self, extra: str = "", source: str = "") -> None:
        sources = "".join(SOURCE.format(name=form, extra=source) for form in FORMS)
        profiles = "".join(inputs.profile(form, form) for form in FORMS)
        path = self.project / "sensorflow.toml"
        path.write_text(SETTINGS.format(url=self.server.url, extra=extra) + sources + profiles)
        for form in FORMS:
            (self.project / f"drop-{form}").mkdir(exist_ok=True)
        settings = bootstrap.settings(self.project)
        ledger = bootstrap.ledger(settings, "benchmark")
        self.world = bootstrap.world(settings, "benchmark", ledger)

    def reset(self) -> None:
        """No file, no row, nothing left to write: every run begins alike."""
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
        """Land and register a file; returns its number."""
        with path.open("rb") as stream:
            taken = land(self.world.landing, stream, lambda: stat_of(stream))
        assert taken is not None
        now = datetime.now(UTC)
        key = os.fsencode(path.name)
        made = register(
            self.world.ledger,
            self.world.settings,
            source,
            key,
            *taken,
            discovered_at=now,
            landed_at=now,
        )
        return made.file_id

    def take(self, paths: list[Path], source: str) -> Took:
        """Files all the way, one after the other, as a worker takes them."""
        began = time.perf_counter()
        numbers = [self.arrive(path, source) for path in paths]
        arrived = time.perf_counter()
        own, database = time.process_time(), machine.cpu(self.server.process.pid)
        for number in numbers:
            [done] = handle(self.world, [number], None, lambda _claim: nullcontext())
            assert done.outcome is Outcome.LOADED, done
        ended = time.perf_counter()
        return Took(
            files=len(paths),
            arriving=arrived - began,
            seconds=ended - arrived,
            own_cpu=time.process_time() - own,
            database_cpu=machine.cpu(self.server.process.pid) - database,
            stages=self._stages(numbers),
        )

    def _stages(self, numbers: list[int]) -> dict[str, float]:
        spent: dict[str, float] = {}
        for event in (e for n in numbers for e in self.world.ledger.history(n) if e["seconds"]):
            spent[event["stage"]] = spent.get(event["stage"], 0.0) + event["seconds"]
        return {stage: round(seconds, 4) for stage, seconds in spent.items()}

    def close(self) -> None:
        self.sql.close()
        self.world.ledger.close()  # type: ignore[attr-defined]


@contextmanager
def stand(**settings: str) -> Iterator[Stand]:
    telemetry.configure("ERROR")
    with place_for_servers() as place:
        server = Postgres(place.root, place.logs)
        server.start()
        try:
            migrate.upgrade(server.url)
            made = Stand(place.root, server, **settings)
            try:
                yield made
            finally:
                made.close()
        finally:
            server.process.end(60)


def spread(values: list[float]) -> dict[str, Any]:
    """Of the same thing measured several times: the median, and between what it lay."""
    ordered = sorted(values)
    middle, odd = divmod(len(ordered), 2)
    median = ordered[middle] if odd else (ordered[middle - 1] + ordered[middle]) / 2
    return {
        "median": round(median, 4),
        "min": round(ordered[0], 4),
        "max": round(ordered[-1], 4),
        "runs": [round(value, 4) for value in values],
    }
