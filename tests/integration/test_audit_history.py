"""What is named of a history that was changed, and what cannot be said of a folder that was replaced."""

from __future__ import annotations

import runpy
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from project_driver import ProjectDriver, content

from sensorflow.adapters.postgres import index_mode, migrate
from sensorflow.adapters.postgres.history import add_event
from sensorflow.adapters.postgres.ledger import PostgresLedger
from sensorflow.core.events import FileEvent
from sensorflow.flow.undo import undo

MIGRATION = "0011_histories_and_months.py"
BEGINNING = runpy.run_path(str(migrate.folder() / "versions" / MIGRATION))["BEGINNING"]


@pytest.fixture
def driver(project: Path, database: str) -> Iterator[ProjectDriver]:
    project_driver = ProjectDriver(project, database)
    yield project_driver
    project_driver.close()


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
def test_an_event_that_was_changed_removed_or_added_is_named(
    driver: ProjectDriver, how: str
) -> None:
    driver.load("a.csv", content(1))
    file_id = driver.load("b.csv", content(2))
    before = driver.audit()
    assert (before.code, before.report["history"]["events"]) == (0, 10)
    driver.sql(TAMPERING[how].format(of=f"file_id = {file_id}", id=file_id))
    result = driver.audit()
    named = [f for f in result.report["findings"] if f["code"].startswith("A414")]
    assert [f["file_id"] for f in named] == [file_id]
    assert result.code == 1


def test_the_digest_of_all_histories_changes_with_each_event(driver: ProjectDriver) -> None:
    file_id = driver.load("a.csv", content(1))
    first = driver.audit().report["history"]
    assert driver.audit().report["history"] == first
    driver.ledger.undo(file_id, "wrong sensor")
    assert driver.audit().report["history"] != first


def test_events_of_one_file_by_several_writers_at_once_stay_one_chain(
    driver: ProjectDriver, database: str
) -> None:
    """Also where the one that got its number first is the last to write."""
    file_id = driver.load("a.csv", content(1))
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
    assert driver.audit().code == 0


def test_what_retention_removes_of_a_history_leaves_the_rest_provable(
    driver: ProjectDriver, ledger: PostgresLedger
) -> None:
    file_id = driver.load("a.csv", content(1))
    while removed := ledger.delete_history("plant", 0, limit=2):
        assert removed >= 2
        assert driver.audit().code == 0
    assert [e.what for e in ledger.history(file_id)] == ["loaded"]
    driver.sql("UPDATE file_events SET who = 'me'")
    assert driver.audit().faults == ["A414"]


def test_a_file_of_before_the_hashes_counts_from_then_on(
    driver: ProjectDriver, database: str
) -> None:
    file_id = driver.load("a.csv", content(1))
    with psycopg.connect(database) as c:  # as the migration leaves it
        c.execute("DELETE FROM file_histories")
        c.execute(BEGINNING)
    assert driver.audit().code == 0
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
    services = driver.services
    undo(driver.ledger, services.lake, services.landing, file_id, "wrong sensor")
    assert (driver.audit().code, driver.audit().report["history"]["events"]) == (0, 3)
    driver.sql("DELETE FROM file_events WHERE what = 'undone'")
    assert driver.audit().faults == ["A414"]
    driver.sql(f"DELETE FROM file_histories WHERE file_id = {file_id}")
    assert driver.audit().faults == ["A414"]


REJECTED = b"time,sensor,type,value,unit\n2026-01-01T00:00:00Z,s,temperature,warm,degC\n"


@pytest.mark.parametrize(
    ("layer", "fault"), [("bronze", "A108"), ("rejects", "A107"), ("silver", "A105")]
)
def test_a_layer_that_is_gone_is_lost_and_comes_back(
    driver: ProjectDriver, layer: str, fault: str
) -> None:
    file_id = driver.load("a.csv", REJECTED + content(1).split(b"\n", 1)[1])
    driver.load("b.csv", REJECTED + content(2).split(b"\n", 1)[1])
    assert driver.audit().code == 0
    next((driver.data / layer).rglob(f"file-{file_id}-*.parquet")).unlink()
    result = driver.audit()
    assert (result.code, result.faults, result.kinds) == (1, [fault], {"lost": 1})
    driver.audit("--repair", "--apply")
    driver.work(file_id)
    assert driver.audit("--deep").code == 0


def test_a_flipped_bit_of_a_quarantined_file_is_named(driver: ProjectDriver) -> None:
    driver.quarantine()
    assert driver.audit("--fast").code == 0
    original = next(p for p in (driver.data / "quarantine").rglob("file/*") if p.is_file())
    original.write_bytes(bytes([original.read_bytes()[0] ^ 1]) + original.read_bytes()[1:])
    assert driver.audit("--fast").faults == ["A412"]


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_data_folder_that_was_moved_away_is_not_thirty_losses(
    driver: ProjectDriver, goes_on: bool
) -> None:
    for number in range(3):
        driver.load(f"{number}.csv", content(number))
    driver.quarantine()
    driver.data.rename(driver.project / "elsewhere")
    if goes_on:  # the fleet makes the folders anew
        driver.load("late.csv", content(9))
    result = driver.audit()
    assert (result.code, result.kinds) == (2, {})
    assert result.report["not_looked_at"]
    if goes_on:
        late = driver.load("later.csv", content(10))
        driver.landed(late).unlink()  # that one was there
        assert driver.audit().faults == ["A101"]


@pytest.mark.plain("a hypertable has one unique index")
def test_an_old_month_that_was_loaded_a_moment_ago_is_not_overdue(
    project: Path, database: str
) -> None:
    index_mode.set_index_mode(database, True)
    driver = ProjectDriver(project, database, dedupe_index="deferred", seal_after="1h")
    try:
        driver.load("a.csv", content(1))
        assert driver.audit().code == 0
        driver.sql("UPDATE files SET finished_at = finished_at - interval '26 hours'")
        assert driver.audit().faults == ["A504"]
    finally:
        driver.close()


def test_events_are_hashed_within_the_transaction_that_writes_them(
    driver: ProjectDriver, ledger: PostgresLedger
) -> None:
    file_id = driver.load("a.csv", content(1))
    with pytest.raises(RuntimeError), ledger._transaction() as c:
        add_event(c, "me", file_id, FileEvent.EXPIRED, "load")
        raise RuntimeError
    assert driver.audit().code == 0
