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
    new_ledger = PostgresLedger(indexed, "test", deferred=index == "deferred")
    yield new_ledger
    new_ledger.close()


def at(second: int) -> datetime:
    return datetime.fromtimestamp(1_700_000_000 + second, UTC)


def of(silver: pa.RecordBatch, sensors: str) -> pa.RecordBatch:
    """Readings of these sensors in turn."""
    names = [sensors[n % len(sensors)] for n in range(len(silver))]
    return silver.set_column(1, silver.schema.field(1), pa.array(names, pa.string()))


class LedgerDatabase:
    """Holds what is said against what is so, of each change."""

    def __init__(self, url: str, ledger: PostgresLedger) -> None:
        self._url, self.ledger = url, ledger

    def rows(self) -> set[tuple[Any, ...]]:
        with psycopg.connect(self._url) as connection:
            return set(connection.execute(ROWS).fetchall())

    def after(self, change: Change) -> Touched:
        """What a change says; nothing that it changed is outside of that."""
        before = self.rows()
        touched = change()
        changed = before ^ self.rows()
        assert touched.source == "plant"
        for ts, sensor, *_ in changed:
            assert touched.low is not None
            assert touched.high is not None
            assert touched.low <= ts <= touched.high
            assert touched.sensors is None or sensor in touched.sensors
        if not changed:
            assert touched == Touched("plant")
        return touched

    def load(
        self, file_id: int, silver: pa.RecordBatch, on_change: OnChange = OnChange.MERGE
    ) -> Touched:
        plan = Load(Counts(read=len(silver)), on_change, "p", "h", "0", (), "plant/a.csv")
        given = [(part, keys(part, "plant/a.csv")) for part in (silver[:2], silver[2:])]
        claimed = claim(self.ledger, file_id)
        return self.after(lambda: self.ledger.load(claimed, given, plan).touched)

    def undo(self, file_id: int) -> Touched:
        def change() -> Touched:
            done = self.ledger.undo(file_id, "")
            assert done is not None
            return done.touched

        return self.after(change)


@pytest.fixture
def ledger_database(indexed: str, ledger: PostgresLedger) -> LedgerDatabase:
    return LedgerDatabase(indexed, ledger)


def test_a_load_touches_its_readings(ledger_database: LedgerDatabase) -> None:
    loaded = ledger_database.load(add(ledger_database.ledger), of(batch(5), "ab"))
    assert loaded == Touched("plant", at(0), at(4), frozenset("ab"))


def test_a_merge_touches_what_the_newer_version_states(ledger_database: LedgerDatabase) -> None:
    first, second = add(ledger_database.ledger), add(ledger_database.ledger, content=2)
    ledger_database.load(first, of(batch(6), "a"))
    loaded = ledger_database.load(second, of(batch(6, start=4, value=2.5), "a"))
    assert loaded == Touched("plant", at(4), at(9), frozenset("a"))


def test_a_merge_touches_only_what_no_newer_version_states(ledger_database: LedgerDatabase) -> None:
    """Of the older one, loaded later, which is left out for the most part."""
    first, second = add(ledger_database.ledger), add(ledger_database.ledger, content=2)
    ledger_database.load(second, of(batch(6, start=2, value=2.5), "a"))
    assert ledger_database.load(first, of(batch(6), "a")) == Touched(
        "plant", at(0), at(1), frozenset("a")
    )
    third, fourth = (add(ledger_database.ledger, b"a.csv", content) for content in (3, 4))
    ledger_database.load(fourth, of(batch(9, value=3.5), "a"))
    assert ledger_database.load(third, of(batch(9, value=4.5), "a")) == Touched("plant")


def test_a_newer_version_touches_what_it_supersedes(ledger_database: LedgerDatabase) -> None:
    first, second = add(ledger_database.ledger), add(ledger_database.ledger, content=2)
    ledger_database.load(first, of(batch(6), "a"))
    loaded = ledger_database.load(second, of(batch(3, start=4), "b"), OnChange.SUPERSEDE)
    assert loaded == Touched("plant", at(0), at(6), None)


def test_a_replay_touches_the_difference(ledger_database: LedgerDatabase) -> None:
    file_id, silver = add(ledger_database.ledger), of(batch(8), "ab")
    ledger_database.load(file_id, silver)
    ledger_database.ledger.replay(file_id)
    assert ledger_database.load(file_id, silver) == Touched("plant")
    ledger_database.ledger.replay(file_id)
    loaded = ledger_database.load(
        file_id, of(batch(9, start=1), "b")
    )  # rows of a go, and of b come
    assert loaded == Touched("plant", at(0), at(9), frozenset("ab"))
    ledger_database.ledger.replay(file_id)
    loaded = ledger_database.load(file_id, of(batch(10, start=1), "b"))
    assert loaded == Touched("plant", at(10), at(10), frozenset("b"))


def test_an_undo_and_an_expiry_touch_the_rows_of_a_file(ledger_database: LedgerDatabase) -> None:
    first = add(ledger_database.ledger)
    ledger_database.load(first, of(batch(4), "a"))
    assert ledger_database.undo(first) == Touched("plant", at(0), at(3), None)
    ledger_database.ledger.replay(first)
    ledger_database.load(first, of(batch(4), "a"))
    loaded = ledger_database.after(
        lambda: ledger_database.ledger.expire("plant", Expirable.ROWS, 60).touched
    )
    assert loaded == Touched("plant", at(0), at(3), None)


@pytest.mark.parametrize("index", ["unique"])  # the other is for keys of single files
def test_readings_that_are_there_already_are_not_touched(ledger_database: LedgerDatabase) -> None:
    silver = of(batch(4), "a")
    plan = Load(Counts(read=4), OnChange.MERGE, "p", "h", "0", ())
    first, second = (
        claim(ledger_database.ledger, add(ledger_database.ledger, b"%d.csv" % n, n)) for n in (1, 2)
    )
    given = [(silver, keys(silver, "plant/"))]
    ledger_database.ledger.load(first, given, plan)
    assert ledger_database.after(
        lambda: ledger_database.ledger.load(second, given, plan).touched
    ) == Touched("plant")


def test_files_that_are_loaded_together_touch_what_they_hold(
    ledger_database: LedgerDatabase,
) -> None:
    given = []
    for content in (1, 2, 3):
        file_id = ledger_database.ledger.register(
            arrival(b"%d.csv" % content, content), OnChange.MERGE, True
        ).file_id
        silver = of(batch(content - 1, start=10 * content), "abc"[content - 1])
        plan = Load(Counts(len(silver), len(silver)), OnChange.MERGE, "p", "h", "0", ())
        rows = [(silver, keys(silver, f"plant/{content}.csv"))] if len(silver) else []
        given.append((claim(ledger_database.ledger, file_id), rows, plan))

    def change() -> Touched:
        (loaded,) = ledger_database.ledger.load_batch(given) or []
        return loaded

    assert ledger_database.after(change) == Touched("plant", at(20), at(31), frozenset("bc"))


def test_of_many_sensors_none_is_named(
    ledger_database: LedgerDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(touched, "MAX_SENSORS", 2)
    loaded = ledger_database.load(add(ledger_database.ledger), of(batch(5), "abc"))
    assert loaded == Touched("plant", at(0), at(4), None)
