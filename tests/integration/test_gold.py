"""The aggregates and the newest readings equal those of the readings, whatever happened to these."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import gold
import pyarrow as pa
import pytest
from patience import PATIENCE
from samples import arrival, claim

from sensorflow import failpoints
from sensorflow.adapters.postgres.gold import Gold
from sensorflow.adapters.postgres.ledger import PostgresLedger
from sensorflow.core.keys import keys
from sensorflow.core.readings import SILVER
from sensorflow.core.states import State
from sensorflow.failpoints import Failpoint
from sensorflow.ports.files import Counts
from sensorflow.ports.intake import OnChange
from sensorflow.ports.loading import Load
from sensorflow.ports.maintenance import Expirable

STEPS = int(os.environ.get("GOLD_STEPS", "40"))
"""Steps of the random test. `make gold` runs more."""
SEED = int(os.environ.get("GOLD_SEED", "0")) or random.randrange(10**6)
POINTS = (Failpoint.GOLD_TAKEN, Failpoint.GOLD_MINUTES, Failpoint.GOLD_REFRESHED)
STARTS = [
    datetime(2025, 12, 31, 23, 58, 30, tzinfo=UTC),  # into another minute, hour, day and month
    datetime(2026, 1, 10, 5, 0, tzinfo=UTC),
    datetime(2026, 1, 10, 9, 59, 59, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
]
VALUES = [1.0, -1.5, 20.25, 1e9 + 0.1, -0.0, 1e-300]
ODD_VALUES = [float("nan"), float("inf"), float("-inf"), 1e200, -1.7e308, 1e100, 5e-324, 1e-99]


def silver(rows: list[tuple[datetime, str, str, float, str, int]]) -> pa.RecordBatch:
    """Readings as (ts, sensor, type, value, unit, quality), in lines of their own."""
    seen: dict[Any, int] = {}
    ordinals = [seen.setdefault(r[:3], 0) for r in rows]
    for number, row in enumerate(rows):
        ordinals[number] = seen[row[:3]]
        seen[row[:3]] += 1
    columns = [list(column) for column in zip(*rows, strict=True)] or [[]] * 6
    given = [*columns, list(range(1, len(rows) + 1)), ordinals]
    arrays = [pa.array(v, f.type) for v, f in zip(given, SILVER, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=SILVER)


class Plant:
    """A ledger and a refresher, to which a random number generator does things."""

    def __init__(self, url: str, deferred: bool, seed: int) -> None:
        self.url, self.draw = url, random.Random(seed)
        self.ledger = PostgresLedger(url, "test", deferred=deferred)
        self.gold = Gold(url, "test")
        self._contents = 0

    def close(self) -> None:
        self.ledger.close()
        self.gold.close()

    def readings(self, most: int = 12) -> pa.RecordBatch:
        draw, rows = self.draw, []
        start = draw.choice(STARTS[:3] * 5 + STARTS)
        for _ in range(draw.randrange(most + 1)):
            ts = start + timedelta(seconds=draw.choice([0, 1, 1, 59, 60, 90, 3600, 86_400]))
            ts += timedelta(microseconds=draw.choice([0, 0, 1, 999_999]))
            value = draw.choice(VALUES if draw.random() < 0.97 else ODD_VALUES)
            sensor, unit = draw.choice("abc"), draw.choice(["degC", ""])
            rows.append((ts, sensor, "temperature", value, unit, draw.choice([0, 0, 1, 2])))
        return silver(rows)

    def file(self, key: str, content: int | None = None) -> int:
        self._contents += 1
        found = arrival(key.encode(), (content or self._contents) % 256, str(self._contents))
        return self.ledger.register(found, OnChange.MERGE, True).file_id

    def load(self, file_id: int, given: pa.RecordBatch, on_change: OnChange) -> None:
        view = self.ledger.file(file_id)
        assert view is not None
        name = f"plant/{view.name}"
        plan = Load(Counts(read=len(given)), on_change, "p", "h", "0", (), name)
        parts = [(part, keys(part, name)) for part in (given[:3], given[3:]) if len(part)]
        self.ledger.load(claim(self.ledger, file_id), parts, plan)

    def of_state(self, *states: State) -> list[int]:
        return sorted(v.file_id for v in self.ledger.select(states))

    # --- what happens ---

    def new_version(self) -> None:
        key = self.draw.choice(["a.csv", "b.csv", "c.csv"])
        file_id = self.file(key)
        view = self.ledger.file(file_id)
        if view is None or view.state is not State.PENDING:
            return
        on_change = self.draw.choice([OnChange.MERGE, OnChange.SUPERSEDE])
        self.load(file_id, self.readings(), on_change)

    def batch(self) -> None:
        given = []
        for _ in range(2):
            key = f"batch{self._contents}.csv"
            rows, file_id = self.readings(4), self.file(key)
            plan = Load(
                Counts(len(rows), len(rows)), OnChange.MERGE, "p", "h", "0", (), f"plant/{key}"
            )
            parts = [(rows, keys(rows, f"plant/{key}"))] if len(rows) else []
            given.append((claim(self.ledger, file_id), parts, plan))
        assert self.ledger.load_batch(given) is not None

    def undo(self) -> None:
        if found := self.of_state(State.LOADED):
            assert self.ledger.undo(self.draw.choice(found), "")
        self.finish_pending()

    def replay(self) -> None:
        if found := self.of_state(State.LOADED, State.UNDONE):
            self.ledger.replay(self.draw.choice(found))
        self.finish_pending()

    def finish_pending(self) -> None:
        """Files that an undo or a replay has made pending are loaded, with other readings."""
        for file_id in self.of_state(State.PENDING):
            self.load(file_id, self.readings(), OnChange.MERGE)

    def expire(self) -> None:
        self.ledger.expire("plant", Expirable.ROWS, 60, limit=self.draw.choice([1, 3]))

    def fail(self) -> None:
        """A load that inserts rows, and is rolled back."""
        file_id = self.file(f"bad{self._contents}.csv")
        rows = self.readings()

        def batches() -> Iterator[Any]:
            if len(rows):
                yield rows, keys(rows, "x")
            raise InterruptedError

        plan = Load(Counts(read=len(rows)), OnChange.MERGE, "p", "h", "0", (), "x")
        with pytest.raises(InterruptedError):
            self.ledger.load(claim(self.ledger, file_id, 0), batches(), plan)
        self.ledger.undo(file_id, "")

    def refresh(self) -> None:
        self.gold.refresh_once(self.draw.choice([1, 4, 100]))

    def kill(self) -> None:
        if self.gold.is_pending():
            kill_refresher(self.url, self.draw.choice(POINTS), self.draw.choice([1, 4, 100]))

    def quiet(self) -> None:
        until = time.monotonic() + PATIENCE
        while self.gold.is_pending():
            assert time.monotonic() < until
            self.gold.refresh_once(self.draw.choice([1, 7, 100]))

    def check(self) -> None:
        self.quiet()
        assert gold.differences(self.url) == []


def child_of_refresh(url: str, point: str, hours: int) -> int:
    """Fork a process that refreshes once, and that a failpoint ends or suspends. Returns its PID."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.environ |= {failpoints.TESTING: "1", failpoints.VARIABLE: point}
        failpoints._triggers.cache_clear()
        while Gold(url, "child").refresh_once(hours) is None:
            time.sleep(0.01)  # the server has not noticed yet that the one before was killed
    finally:
        os._exit(0)


def kill_refresher(url: str, point: Failpoint, hours: int) -> None:
    _, status = os.waitpid(child_of_refresh(url, str(point), hours), 0)
    assert os.WIFSIGNALED(status) or point is not Failpoint.GOLD_TAKEN


@pytest.fixture
def plant(indexed: str, index: str) -> Iterator[Plant]:
    made = Plant(indexed, index == "deferred", SEED)
    yield made
    made.close()


def test_after_anything_the_aggregates_equal_a_computation_from_the_readings(plant: Plant) -> None:
    print("GOLD_SEED", SEED)
    actions = [plant.new_version] * 5 + [plant.batch, plant.undo, plant.undo, plant.replay]
    actions += [plant.expire, plant.fail, plant.refresh, plant.refresh, plant.kill, plant.check]
    for _ in range(STEPS):
        plant.draw.choice(actions)()
    plant.check()
