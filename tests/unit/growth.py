"""A source of growing files in a real folder and a real ledger, with a clock that the test moves."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psycopg
import pyarrow as pa
from fresh_database import FreshDatabaseWithClock
from looks import Inspections
from psycopg.rows import dict_row
from samples import chained, received

from sensorflow.adapters.feeds.folder.drop import DropFolder
from sensorflow.adapters.feeds.folder.growing import GrowingFolder
from sensorflow.adapters.postgres.ledger import PostgresLedger
from sensorflow.core.partitions import Layer
from sensorflow.core.states import State
from sensorflow.flow.file_task import Services
from sensorflow.flow.intake.look import InspectedState
from sensorflow.flow.landing import Landing
from sensorflow.flow.outcomes import Result
from sensorflow.flow.process import process
from sensorflow.flow.publish import publish
from sensorflow.flow.quarantine_zone import QuarantineZone
from sensorflow.ports.claims import Claim
from sensorflow.ports.feed import GrowingFeed
from sensorflow.settings import Limits, Settings
from sensorflow.testing.layers import MemoryLayers
from sensorflow.testing.objects import MemoryObjects
from sensorflow.testing.queue import MemoryQueue

HEAD = "time,sensor,type,value,unit\n"
LONG = {
    "format": "csv",
    "time": "time",
    "sensor": "sensor",
    "type": "type",
    "value": "value",
    "unit": "unit",
}
RULES = {"after": "keep", "on_change": "merge", "growing": True, "grow_every": 10}


def line(second: int, value: float = 1.5, sensor: str = "s") -> str:
    time = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=second)
    return f"{time:%Y-%m-%dT%H:%M:%SZ},{sensor},temperature,{value},degC\n"


@contextlib.contextmanager
def keep(_claims: Sequence[Claim]) -> Iterator[None]:
    yield


class GrowingSite:
    """profile: all of it, or what is not as in `LONG`. drop: the folder. Each `inspect` is one of the
    daemon's, eleven seconds after the last. To be closed."""

    def __init__(
        self,
        root: Path,
        database: FreshDatabaseWithClock,
        profile: Mapping[str, Any] = MappingProxyType({}),
        inline: bool = True,
        **source: Any,
    ) -> None:
        self.drop = root / "drop"
        self.drop.mkdir()
        self.database = database
        self.ledger = PostgresLedger(database.url, "test")
        self.queue = MemoryQueue()
        self.inline = inline
        self.settings = Settings.model_validate(
            {
                "sources": {"plant": {"path": "drop", "profile": "long", **RULES, **source}},
                "profiles": {"long": profile if "format" in profile else {**LONG, **profile}},
                "home": root,
            }
        )
        self.landing, self.lake = Landing(MemoryObjects()), MemoryLayers()
        self.services = Services(
            ledger=self.ledger,
            landing=self.landing,
            lake=self.lake,
            quarantine=QuarantineZone(MemoryObjects()),
            settings=self.settings,
            owner="me",
        )
        self.restart()

    def close(self) -> None:
        self.ledger.close()

    def restart(self) -> None:
        """As a new daemon, which has nothing in memory."""
        rules = self.settings.sources["plant"]
        self.feed = GrowingFolder(DropFolder("plant", self.drop, rules, self.drop))
        self.take_from(self.feed)

    def take_from(self, feed: GrowingFeed) -> None:
        """Of a feed, as a new daemon does."""
        self.looks = Inspections(self.settings, [feed], self.landing, self.ledger)

    @property
    def inspected(self) -> dict[bytes, InspectedState]:
        return self.looks.parts("plant").inspected

    def write(self, text: str | bytes, name: str = "a.csv", how: str = "ab") -> None:
        data = text.encode() if isinstance(text, str) else text
        with (self.drop / name).open(how) as stream:
            stream.write(data)

    def inspect(self, seconds: float = 11) -> bool:
        self.database.advance(seconds)
        for key, rest in self.inspected.items():  # what it believes runs by the real clock
            self.inspected[key] = replace(rest, until=rest.until - seconds)
        return self.looks.run_once()

    def work(self) -> list[Result]:
        """What is due, until nothing is."""
        results: list[Result] = []
        limit = 10**9 if self.inline else 0
        while publish(self.ledger, self.queue, Limits(limit, 1000, 8)):
            for message in received(self.queue):
                for task in chained(message):
                    results += process(self.services, task, keep)
        return results

    def take(self, seconds: float = 11) -> list[Result]:
        self.inspect(seconds)
        return self.work()

    @property
    def ids(self) -> list[int]:
        return [view.file_id for view in reversed(self.ledger.files(limit=10_000))]

    @property
    def states(self) -> list[State]:
        return [view.state for view in reversed(self.ledger.files(limit=10_000))]

    @property
    def values(self) -> list[float]:
        return sorted(row["value"] for row in self.rows)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The readings, those of each growth in the order of their lines."""
        statement = "SELECT * FROM raw_readings ORDER BY file_id, line_no"
        with psycopg.connect(self.database.url, row_factory=dict_row) as connection:
            return connection.execute(statement).fetchall()

    def account(self) -> tuple[int, int, int, int]:
        """(read, loaded, rejected, duplicate) over all growths of the newest file."""
        counts = self.ledger.chains([self.ids[-1]])[self.ids[-1]].counts
        assert counts.balanced
        return counts.read, counts.loaded, counts.rejected, counts.duplicate

    def rejects(self) -> list[dict[str, Any]]:
        """Of all growths, in the order of their ids."""
        found = [self.layer(Layer.REJECTS, file_id) for file_id in sorted(self.ids)]
        return [row for batches in found for batch in batches for row in batch.to_pylist()]

    def layer(self, layer: Layer, file_id: int) -> list[pa.RecordBatch]:
        """What is there of one growth."""
        view = self.ledger.file(file_id)
        assert view is not None
        if self.lake.count(layer, view.layer_file) is None:
            return []
        return list(self.lake.read(layer, view.layer_file))

    def lines(self) -> list[int]:
        return sorted(row["line_no"] for row in self.rows)
