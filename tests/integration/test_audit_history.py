"""What is named of a history that was changed, and what cannot be said of a folder that was replaced."""

from __future__ import annotations

import runpy
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from yard import Yard, content

from sensorflow.adapters.postgres import migrate, settle
from sensorflow.adapters.postgres.history import add_event
from sensorflow.adapters.postgres.ledger import PostgresLedger
from sensorflow.core.events import FileEvent

MIGRATION = "0011_histories_and_months.py"
BEGINNING = runpy.run_path(str(migrate.folder() / "versions" / MIGRATION))["BEGINNING"]


@pytest.fixture
def yard(project: Path, database: str) -> Iterator[Yard]:
    made = Yard(project, database)
    yield made
    made.close()


TAMPERING = {
    "the reason changes": "UPDATE file_events SET why = 'nothing' WHERE {of} AND what = 'loaded'",
    "the person changes": "UPDATE file_events SET who = 'me' WHERE {of} AND what = 'claimed'",
    "the time changes": "UPDATE file_events SET at = at - interval '1 us' WHERE {of} AND what = 'loaded'",
    "two events change places": """UPDATE file_events e SET what = CASE what WHEN 'claimed'
        THEN 'registered' ELSE 'claimed' END WHERE {of} AND what IN ('claimed', 'registered')""",
    "the first is removed": "DELETE FROM file_events WHERE {of} AND what = 'registered'",
    "the last is removed": "DELETE FROM file_events WHERE {of} AND what = 'loaded'",
    "all are removed": "DELETE FROM file_events WHERE {of}",
    "one is added past the ledger": """ALTER TABLE file_events DISABLE TRIGGER USER;
        INSERT INTO file_events (file_id, what, stage, attempt, who)
        VALUES ({id}, 'loaded', 'load', 1, 'boss')""",
    "the hash is removed": "DELETE FROM file_histories WHERE {of}",
    "the file and its events are removed": """DELETE FROM file_events WHERE {of};
        DELETE FROM arrivals WHERE {of}; DELETE FROM raw_readings WHERE {of};
        DELETE FROM files WHERE id = {id}""",
}


@pytest.mark.parametrize("how", TAMPERING)
def test_an_event_that_was_changed_removed_or_added_is_named(yard: Yard, how: str) -> None:
    yard.load("a.csv", content(1))
    file_id = yard.load("b.csv", content(2))
    before = yard.audit()
    assert (before.code, before.report["history"]["events"]) == (0, 10)
    yard.sql(TAMPERING[how].format(of=f"file_id = {file_id}", id=file_id))
    told = yard.audit()
    named = [f for f in told.report["findings"] if f["code"].startswith("A414")]
    assert [f["file_id"] for f in named] == [file_id]
    assert told.code == 1


def test_the_digest_of_all_histories_changes_with_each_event(yard: Yard) -> None:
    file_id = yard.load("a.csv", content(1))
    first = yard.audit().report["history"]
    assert yard.audit().report["history"] == first
    yard.ledger.undo(file_id, "wrong sensor")
    assert yard.audit().report["history"] != first


def test_events_of_one_file_by_several_writers_at_once_stay_one_chain(
    yard: Yard, database: str
) -> None:
    """Also where the one that got its number first is the last to write."""
    file_id = yard.load("a.csv", content(1))
    with psycopg.connect(database) as first, psycopg.connect(database) as second:
        low = first.execute("SELECT nextval('file_events_id_seq')").fetchone()
        assert low is not None
        write = """INSERT INTO file_events (id, file_id, what, stage, attempt, who)
                   OVERRIDING SYSTEM VALUE VALUES (%s, %s, 'expired', 'load', 1, 'me')"""
        second.execute(write, (low[0] + 1, file_id))
        waiting = threading.Thread(target=first.execute, args=(write, (low[0], file_id)))
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
        second.commit()
        waiting.join(10)
        first.commit()
    assert yard.audit().code == 0


def test_what_retention_removes_of_a_history_leaves_the_rest_provable(
    yard: Yard, ledger: PostgresLedger
) -> None:
    file_id = yard.load("a.csv", content(1))
    while removed := ledger.forget("plant", 0, limit=2):
        assert removed >= 2
        assert yard.audit().code == 0
    assert [e.what for e in ledger.history(file_id)] == ["loaded"]
    yard.sql("UPDATE file_events SET who = 'me'")
    assert yard.audit().faults == ["A414"]


def test_a_file_of_before_the_hashes_counts_from_then_on(yard: Yard, database: str) -> None:
    file_id = yard.load("a.csv", content(1))
    with psycopg.connect(database) as c:  # as the migration leaves it
        c.execute("DELETE FROM file_histories")
        c.execute(BEGINNING)
    assert yard.audit().code == 0
    with psycopg.connect(database) as first, psycopg.connect(database) as second:
        for c in (first, second):  # neither sees the other's
            c.execute("SET lock_timeout = '5s'")
        write = """INSERT INTO file_events (file_id, what, stage, attempt, who)
                   VALUES (%s, 'expired', 'load', 1, 'me')"""
        first.execute(write, (file_id,))
        waiting = threading.Thread(target=second.execute, args=(write, (file_id,)))
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
        first.commit()
        waiting.join(10)
        second.commit()
    yard.ledger.undo(file_id, "wrong sensor")
    assert (yard.audit().code, yard.audit().report["history"]["events"]) == (0, 3)
    yard.sql("DELETE FROM file_events WHERE what = 'undone'")
    assert yard.audit().faults == ["A414"]
    yard.sql(f"DELETE FROM file_histories WHERE file_id = {file_id}")
    assert yard.audit().faults == ["A414"]


REJECTED = b"time,sensor,type,value,unit\n2026-01-01T00:00:00Z,s,temperature,warm,degC\n"


@pytest.mark.parametrize(
    ("layer", "fault"), [("bronze", "A108"), ("rejects", "A107"), ("silver", "A105")]
)
def test_a_layer_that_is_gone_is_lost_and_comes_back(yard: Yard, layer: str, fault: str) -> None:
    file_id = yard.load("a.csv", REJECTED + content(1).split(b"\n", 1)[1])
    yard.load("b.csv", REJECTED + content(2).split(b"\n", 1)[1])
    assert yard.audit().code == 0
    next((yard.data / layer).rglob(f"file-{file_id}-*.parquet")).unlink()
    told = yard.audit()
    assert (told.code, told.faults, told.kinds) == (1, [fault], {"lost": 1})
    yard.audit("--repair", "--apply")
    yard.work(file_id)
    assert yard.audit("--deep").code == 0


def test_a_flipped_bit_of_a_quarantined_file_is_named(yard: Yard) -> None:
    yard.quarantine()
    assert yard.audit("--fast").code == 0
    kept = next(p for p in (yard.data / "quarantine").rglob("file/*") if p.is_file())
    kept.write_bytes(bytes([kept.read_bytes()[0] ^ 1]) + kept.read_bytes()[1:])
    assert yard.audit("--fast").faults == ["A412"]


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_data_folder_that_was_moved_away_is_not_thirty_losses(yard: Yard, goes_on: bool) -> None:
    for number in range(3):
        yard.load(f"{number}.csv", content(number))
    yard.quarantine()
    yard.data.rename(yard.project / "elsewhere")
    if goes_on:  # the fleet makes the folders anew
        yard.load("late.csv", content(9))
    told = yard.audit()
    assert (told.code, told.kinds) == (2, {})
    assert told.report["not_looked_at"]
    if goes_on:
        late = yard.load("later.csv", content(10))
        yard.landed(late).unlink()  # that one was there
        assert yard.audit().faults == ["A101"]


def test_an_old_month_that_was_loaded_a_moment_ago_is_not_overdue(
    project: Path, database: str
) -> None:
    settle.settle(database, True)
    yard = Yard(project, database, dedupe_index="deferred", deferred_close="1h")
    try:
        yard.load("a.csv", content(1))
        assert yard.audit().code == 0
        yard.sql("UPDATE files SET finished_at = finished_at - interval '26 hours'")
        assert yard.audit().faults == ["A504"]
    finally:
        yard.close()


def test_events_are_hashed_within_the_transaction_that_writes_them(
    yard: Yard, ledger: PostgresLedger
) -> None:
    file_id = yard.load("a.csv", content(1))
    with pytest.raises(RuntimeError), ledger._transaction() as c:
        add_event(c, "me", file_id, FileEvent.EXPIRED, "load")
        raise RuntimeError
    assert yard.audit().code == 0
