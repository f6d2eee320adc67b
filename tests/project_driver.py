"""A project whose files are taken through the flow by hand, and audited by the command itself."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import typer
import zones
from fleet import rows, text
from typer.testing import CliRunner

from sensorflow import bootstrap
from sensorflow.adapters.feeds.folder.feed import file_of
from sensorflow.adapters.postgres.ledger import PostgresLedger
from sensorflow.cli.audit import audit as command
from sensorflow.core.stability import Stat
from sensorflow.core.states import Stage
from sensorflow.flow.file_task import Services
from sensorflow.flow.outcomes import Outcome
from sensorflow.flow.process import process
from sensorflow.flow.register import Found, register
from sensorflow.ports.queue import Task
from sensorflow.testing.project import Table, write_settings


@dataclass(frozen=True)
class AuditOutput:
    """What the command said."""

    code: int
    report: dict[str, Any]

    @property
    def faults(self) -> list[str]:
        return sorted(f["code"].split()[0] for f in self.report["findings"])

    @property
    def kinds(self) -> dict[str, int]:
        return {kind: n for kind, n in self.report["counts"].items() if n}


class ProjectDriver:
    """Loads files as the fleet does, but when it is told to. The settings are as in `configure`."""

    def __init__(
        self, project: Path, database: str, source: Table | None = None, **settings: Any
    ) -> None:
        self.project, self.database = project, database
        self.config = self.configure(source, **settings)
        self.settings = bootstrap.settings(project)
        self.data: Any = zones.data_of(self.settings)
        self.ledger = PostgresLedger(
            database,
            "test",
            deferred=self.settings.deferred,
            partition_width=self.settings.partition_width,
        )
        self.services: Services = bootstrap.services(self.settings, "test", self.ledger)
        self._marks = 0

    def configure(
        self,
        source: Table | None = None,
        profiles: Mapping[str, Table] | None = None,
        **keys: Any,
    ) -> Path:
        """Write the settings, for whoever reads them next. source: keys of the source `plant`."""
        keys = {"database_url": self.database, "rescan": 2, "reconcile": 2, "lease": 30, **keys}
        plant = {"path": "drop", "stability_window": 0, **(source or {})}
        return write_settings(self.project, {"plant": plant}, profiles, **keys)

    def close(self) -> None:
        self.ledger.close()

    def arrive(self, name: str, content: bytes) -> int:
        """Landed and registered."""
        landed = self.services.landing.put(io.BytesIO(content))
        self._marks += 1
        stat, now = Stat(1, self._marks, len(content), 0, self._marks), datetime.now(UTC)
        found = Found(file_of("plant", name.encode(), stat), landed, now, now)
        return register(self.ledger, self.settings, found).file_id

    def work(self, file_id: int) -> Outcome:
        return process(self.services, Task([file_id]), lambda _: nullcontext())[0].outcome

    def load(self, name: str, content: bytes) -> int:
        file_id = self.arrive(name, content)
        assert self.work(file_id) is Outcome.LOADED
        return file_id

    def quarantine(self, name: str = "bad.csv.gz", content: bytes = b"\x1f\x8bno gzip") -> int:
        file_id = self.arrive(name, content)
        assert self.work(file_id) is Outcome.DEAD_LETTERED
        self.quarantine_by_hand(file_id)
        return file_id

    def quarantine_by_hand(self, file_id: int) -> None:
        [done] = process(self.services, Task([file_id], Stage.QUARANTINE), lambda _: nullcontext())
        assert done.outcome is Outcome.QUARANTINED

    def fact(self, file_id: int, name: str) -> Any:
        view = self.ledger.file(file_id)
        assert view is not None
        of = view.counts if name.startswith("rows_") else view
        return getattr(of, name.removeprefix("rows_"))

    def landed(self, file_id: int) -> Any:
        return self.data / "landing" / str(self.fact(file_id, "landing"))

    def silver(self, file_id: int) -> Any:
        return next((self.data / "silver").rglob(f"file-{file_id}-*.parquet"))

    def sql(self, statement: str, *values: Any) -> int:
        """Behind the ledger's back; returns how many rows were touched."""
        with psycopg.connect(self.database, options="-c timezone=UTC") as connection:
            return connection.execute(statement, values).rowcount  # type: ignore[arg-type]

    def audit(self, *options: str) -> AuditOutput:
        done = self.run(*options, "--json")
        return AuditOutput(done.exit_code, json.loads(done.stdout))

    def run(self, *options: str) -> Any:
        app = typer.Typer(pretty_exceptions_enable=False)
        app.command()(command)
        return self.invoke(app, *options)

    def invoke(self, app: typer.Typer, *words: str) -> Any:
        env = {"SENSORFLOW_CONFIG": str(self.config)}
        return CliRunner().invoke(app, words, env=env, catch_exceptions=False)


Act = Callable[[ProjectDriver, int], object]


def content(number: int, count: int = 20) -> bytes:
    return text(rows(number, count, random.Random(number)))
