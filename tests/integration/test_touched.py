"""What a transaction says that it touched, held against what it changed in the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from samples import add, arrival, batch, claim

from sensorflow.adapters.postgres.ledger import PostgresLedger
from sensorflow.core import touched
from sensorflow.core.keys import keys
from sensorflow.core.touched import Touched
from sensorflow.ports.files import Counts
from sensorflow.ports.intake import OnChange
from sensorflow.ports.loading import Load
from sensorflow.ports.maintenance import Expirable

ROWS = "SELECT ts, sensor_id, value, unit, file_id, line_no, dedupe_key FROM raw_readings"
Change = Callable[[], Touched]


@pytest.fixture
def ledger(indexed: str, index: str) -> Iterator[PostgresLedger]:
    made = PostgresLedger(indexed, "test", deferred=index == "deferred")
    yield made
    made.close()


def at(second: int) -> datetime:
    return datetime.fromtimestamp(1_700_000_000 + second, UTC)


def of(silver: pa.RecordBatch, sensors: str) -> pa.RecordBatch:
    """Readings of these sensors in turn."""
    names = [sensors[n % len(sensors)] for n in range(len(silver))]
    return silver.set_column(1, silver.schema.field(1), pa.array(names, pa.string()))


class Database:
    """Holds what is said against what is so, of each change."""

    def __init__(self, url: str, ledger: PostgresLedger) -> None:
        self._url, self.ledger = url, ledger

    def rows(self) -> set[tuple[Any, ...]]:
        with psycopg.connect(self._url) as connection:
            return set(connection.execute(ROWS).fetchall())

    def after(self, change: Change) -> Touched:
        """What a change says; nothing that it changed is outside of that."""
        before = self.rows()
        said = change()
        changed = before ^ self.rows()
        assert said.source == "plant"
        for ts, sensor, *_ in changed:
            assert said.low is not None
            assert said.high is not None
            assert said.low <= ts <= said.high
            assert said.sensors is None or sensor in said.sensors
        if not changed:
            assert said == Touched("plant")
        return said

    def load(
        self, file_id: int, silver: pa.RecordBatch, on_change: OnChange = OnChange.MERGE
    ) -> Touched:
        plan = Load(Counts(read=len(silver)), on_change, "p", "h", "0", (), "plant/a.csv")
        given = [(part, keys(part, "plant/a.csv")) for part in (silver[:2], silver[2:])]
        held = claim(self.ledger, file_id)
        return self.after(lambda: self.ledger.load(held, given, plan).touched)

    def undo(self, file_id: int) -> Touched:
        def change() -> Touched:
            done = self.ledger.undo(file_id, "")
            assert done is not None
            return done.touched

        return self.after(change)


@pytest.fixture
def held(indexed: str, ledger: PostgresLedger) -> Database:
    return Database(indexed, ledger)


def test_a_load_touches_its_readings(held: Database) -> None:
    said = held.load(add(held.ledger), of(batch(5), "ab"))
    assert said == Touched("plant", at(0), at(4), frozenset("ab"))


def test_a_merge_touches_what_the_newer_version_states(held: Database) -> None:
    first, second = add(held.ledger), add(held.ledger, content=2)
    held.load(first, of(batch(6), "a"))
    said = held.load(second, of(batch(6, start=4, value=2.5), "a"))
    assert said == Touched("plant", at(4), at(9), frozenset("a"))


def test_a_merge_touches_only_what_no_newer_version_states(held: Database) -> None:
    """Of the older one, loaded later, which is left out for the most part."""
    first, second = add(held.ledger), add(held.ledger, content=2)
    held.load(second, of(batch(6, start=2, value=2.5), "a"))
    assert held.load(first, of(batch(6), "a")) == Touched("plant", at(0), at(1), frozenset("a"))
    third, fourth = (add(held.ledger, b"a.csv", content) for content in (3, 4))
    held.load(fourth, of(batch(9, value=3.5), "a"))
    assert held.load(third, of(batch(9, value=4.5), "a")) == Touched("plant")


def test_a_newer_version_touches_what_it_supersedes(held: Database) -> None:
    first, second = add(held.ledger), add(held.ledger, content=2)
    held.load(first, of(batch(6), "a"))
    said = held.load(second, of(batch(3, start=4), "b"), OnChange.SUPERSEDE)
    assert said == Touched("plant", at(0), at(6), None)


def test_a_replay_touches_the_difference(held: Database) -> None:
    file_id, silver = add(held.ledger), of(batch(8), "ab")
    held.load(file_id, silver)
    held.ledger.replay(file_id)
    assert held.load(file_id, silver) == Touched("plant")
    held.ledger.replay(file_id)
    said = held.load(file_id, of(batch(9, start=1), "b"))  # rows of a go, and of b come
    assert said == Touched("plant", at(0), at(9), frozenset("ab"))
    held.ledger.replay(file_id)
    said = held.load(file_id, of(batch(10, start=1), "b"))
    assert said == Touched("plant", at(10), at(10), frozenset("b"))


def test_an_undo_and_an_expiry_touch_the_rows_of_a_file(held: Database) -> None:
    first = add(held.ledger)
    held.load(first, of(batch(4), "a"))
    assert held.undo(first) == Touched("plant", at(0), at(3), None)
    held.ledger.replay(first)
    held.load(first, of(batch(4), "a"))
    said = held.after(lambda: held.ledger.expire("plant", Expirable.ROWS, 60).touched)
    assert said == Touched("plant", at(0), at(3), None)


@pytest.mark.parametrize("index", ["unique"])  # the other is for keys of single files
def test_readings_that_are_there_already_are_not_touched(held: Database) -> None:
    silver = of(batch(4), "a")
    plan = Load(Counts(read=4), OnChange.MERGE, "p", "h", "0", ())
    first, second = (claim(held.ledger, add(held.ledger, b"%d.csv" % n, n)) for n in (1, 2))
    given = [(silver, keys(silver, "plant/"))]
    held.ledger.load(first, given, plan)
    assert held.after(lambda: held.ledger.load(second, given, plan).touched) == Touched("plant")


def test_files_that_are_loaded_together_touch_what_they_hold(held: Database) -> None:
    given = []
    for content in (1, 2, 3):
        file_id = held.ledger.register(
            arrival(b"%d.csv" % content, content), OnChange.MERGE, True
        ).file_id
        silver = of(batch(content - 1, start=10 * content), "abc"[content - 1])
        plan = Load(Counts(len(silver), len(silver)), OnChange.MERGE, "p", "h", "0", ())
        rows = [(silver, keys(silver, f"plant/{content}.csv"))] if len(silver) else []
        given.append((claim(held.ledger, file_id), rows, plan))

    def change() -> Touched:
        (said,) = held.ledger.load_batch(given) or []
        return said

    assert held.after(change) == Touched("plant", at(20), at(31), frozenset("bc"))


def test_of_many_sensors_none_is_named(held: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(touched, "MAX_SENSORS", 2)
    said = held.load(add(held.ledger), of(batch(5), "abc"))
    assert said == Touched("plant", at(0), at(4), None)
