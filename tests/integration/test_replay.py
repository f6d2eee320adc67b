"""What replay, undo and supersede do to the rows themselves, and what readers see meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import psycopg
import pyarrow as pa
import pytest
from patience import PATIENCE
from samples import add, batch, claim, load, state

from sensorflow.adapters.postgres.ledger import PostgresLedger
from sensorflow.core.keys import keys
from sensorflow.core.states import State
from sensorflow.errors import Transient
from sensorflow.ports.files import Counts
from sensorflow.ports.intake import OnChange
from sensorflow.ports.loading import Load

PLAN = Load(Counts(read=5), OnChange.SUPERSEDE, "p", "h", "0", ())


@pytest.fixture
def database(indexed: str) -> str:
    return indexed


@pytest.fixture
def ledger(database: str, index: str) -> Iterator[PostgresLedger]:
    new_ledger = PostgresLedger(database, "test", deferred=index == "deferred")
    yield new_ledger
    new_ledger.close()


def rows(url: str) -> list[tuple[str, float, str]]:
    """(transaction that wrote it, value, time) of every row."""
    query = "SELECT xmin::text, value, ts::text FROM raw_readings ORDER BY ts, value"
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()  # type: ignore[return-value]


def test_a_replay_writes_only_what_was_missing(database: str, ledger: PostgresLedger) -> None:
    file_id = add(ledger)
    load(ledger, claim(ledger, file_id), batch(3))
    before = rows(database)
    ledger.replay(file_id)
    load(ledger, claim(ledger, file_id), batch(5))
    after = rows(database)
    assert [row for row in after if row in before] == before
    assert len(after) == 5
    assert "2 readings added, 0 removed, 3 untouched" in str(ledger.history(file_id)[-1].why)


def test_a_replay_mends_rows_that_were_changed_or_deleted(
    database: str, ledger: PostgresLedger
) -> None:
    file_id = add(ledger)
    load(ledger, claim(ledger, file_id), batch(5))
    before = [row[1:] for row in rows(database)]
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE raw_readings SET value = 9 WHERE line_no = 1")
        connection.execute("UPDATE raw_readings SET sensor_id = 'x' WHERE line_no = 2")
        connection.execute("DELETE FROM raw_readings WHERE line_no = 3")
    ledger.replay(file_id)
    load(ledger, claim(ledger, file_id), batch(5))
    assert [row[1:] for row in rows(database)] == before
    assert "3 readings added, 2 removed, 2 untouched" in str(ledger.history(file_id)[-1].why)


def test_a_replay_of_readings_that_move_to_another_ordinal_loses_none(
    database: str, ledger: PostgresLedger
) -> None:
    """A mended profile accepts a row before one of the same instant: each needs the other's key."""
    file_id = add(ledger)
    load(ledger, claim(ledger, file_id), batch(1, value=2.0))
    ledger.replay(file_id)
    first, second = batch(1, value=1.0), batch(1, value=2.0).to_pydict()
    second["ordinal"] = [1]
    both = [first, pa.RecordBatch.from_pydict(second, schema=first.schema)]
    given = [(silver, keys(silver, "plant/a.csv")) for silver in both]
    plan = Load(Counts(read=2), OnChange.SUPERSEDE, "p", "h", "0", ())
    assert ledger.load(claim(ledger, file_id), given, plan).counts.loaded == 2
    assert [row[1] for row in rows(database)] == [1.0, 2.0]


def test_undo_is_one_transaction_with_the_ledger(database: str, ledger: PostgresLedger) -> None:
    file_id, other = add(ledger), add(ledger, b"b.csv", 2)
    load(ledger, claim(ledger, file_id), batch(3))
    load(ledger, claim(ledger, other), batch(2), "plant/b.csv")
    with psycopg.connect(database) as blocker:
        blocker.execute("LOCK TABLE file_events IN ACCESS EXCLUSIVE MODE")
        blocked = PostgresLedger(database + "?options=-c%20lock_timeout%3D200ms", "test")
        with pytest.raises(Transient):
            blocked.undo(file_id, "")
        blocked.close()
    assert state(ledger, file_id) is State.LOADED
    assert len(rows(database)) == 5
    assert ledger.undo(file_id, "").rows == 3
    assert len(rows(database)) == 2


@pytest.mark.parametrize("how", ["supersede", "replay"])
def test_readers_see_the_old_rows_or_the_new_ones_never_both_or_neither(
    database: str, ledger: PostgresLedger, how: str
) -> None:
    old = add(ledger)
    load(ledger, claim(ledger, old), batch(4, value=1.0))
    if how == "replay":
        ledger.replay(old)
    new = claim(ledger, old if how == "replay" else add(ledger, content=2))
    seen, stop = set(), threading.Event()

    def look() -> None:
        with psycopg.connect(database, autocommit=True) as connection:
            while not stop.is_set():
                found = connection.execute("SELECT value FROM raw_readings").fetchall()
                seen.add(tuple(sorted(value for (value,) in found)))

    def slowly() -> Iterator[tuple[pa.RecordBatch, pa.Array]]:
        for start in range(5):
            silver = batch(1, start, value=2.0)
            yield silver, keys(silver, "plant/a.csv")
            time.sleep(0.1)

    reader = threading.Thread(target=look)
    reader.start()
    ledger.load(new, slowly(), PLAN)
    time.sleep(0.1)
    stop.set()
    reader.join()
    assert seen == {(1.0,) * 4, (2.0,) * 5}


def test_a_stopped_loader_does_not_keep_the_next_one_waiting(
    database: str, ledger: PostgresLedger, index: str
) -> None:
    """Its transaction is open and holds the keys; its lease has ended."""
    file_id = add(ledger)
    stopped, stop, done = claim(ledger, file_id, 0.01), threading.Event(), threading.Event()
    caught: list[BaseException] = []
    zombie = PostgresLedger(database, "zombie", deferred=index == "deferred")

    def half() -> Iterator[tuple[pa.RecordBatch, pa.Array]]:
        yield batch(3), keys(batch(3), "plant/a.csv")
        stop.set()
        done.wait(PATIENCE)

    def work() -> None:
        try:
            zombie.load(stopped, half(), PLAN)
        except Transient as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert stop.wait(PATIENCE)
    assert load(ledger, claim(ledger, file_id), batch(3)).loaded == 3
    done.set()
    thread.join()
    zombie.close()
    assert len(caught) == 1
    assert len(rows(database)) == 3
