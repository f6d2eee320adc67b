"""`dedupe_index = "deferred"`: months without a unique index, how they get it, and who is told of what."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
import typer
import warm
from patience import PATIENCE
from project_driver import ProjectDriver, content
from samples import add, batch, claim, load, state

from sensorflow.adapters.postgres import index_mode, sealing
from sensorflow.adapters.postgres.ledger import PostgresLedger
from sensorflow.adapters.postgres.sealing import SealOutcome
from sensorflow.cli.doctor import doctor
from sensorflow.core.keys import keys
from sensorflow.core.states import State
from sensorflow.engine import periodic
from sensorflow.errors import Code, Transient, UsageError
from sensorflow.ports.files import Counts
from sensorflow.ports.intake import OnChange
from sensorflow.ports.loading import Load

pytestmark = pytest.mark.plain("a hypertable has one unique index")
PART = "raw_readings_2023_11"  # where the rows of `samples.batch` go
DOUBLE = "INSERT INTO raw_readings SELECT * FROM raw_readings WHERE line_no = 1"
WEEK = timedelta(days=7)


@pytest.fixture
def deferred(database: str) -> str:
    """The URL of a database that is for it."""
    assert "dropped" in str(index_mode.set_index_mode(database, True))
    return database


@pytest.fixture
def ledger(deferred: str) -> Iterator[PostgresLedger]:
    new_ledger = PostgresLedger(deferred, "test", deferred=True)
    yield new_ledger
    new_ledger.close()


def sql(url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True, options="-c timezone=UTC") as connection:
        done = connection.execute(statement)  # type: ignore[arg-type]
        return done.fetchall() if done.description else []


def indexes(url: str, table: str = PART) -> set[str]:
    query = f"SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = '{table}'::regclass"
    return {text.partition(" USING ")[2] for (text,) in sql(url, query + " AND indisvalid")}


def count(url: str) -> int:
    return int(sql(url, "SELECT count(*) FROM raw_readings")[0][0])


def close(url: str) -> list[sealing.SealResult]:
    return list(sealing.seal(url, [m for m in sealing.partitions(url, WEEK) if m.due]))


BRIN, UNIQUE = "brin (file_id, ts)", "btree (ts, dedupe_key)"
READING = "btree (sensor_id, reading_type, ts)"


def test_a_month_has_a_coarse_index_until_it_is_closed(
    deferred: str, ledger: PostgresLedger
) -> None:
    load(ledger, claim(ledger, add(ledger)), batch(3))
    assert {text.partition(" WITH")[0] for text in indexes(deferred)} == {BRIN}
    assert [done.outcome for done in close(deferred)] == [SealOutcome.SEALED]
    assert {text.partition(" WITH")[0] for text in indexes(deferred)} == {BRIN, UNIQUE, READING}
    assert [done.outcome for done in close(deferred)] == [SealOutcome.SEALED]
    assert [m.closed for m in sealing.partitions(deferred, WEEK)] == [True]


def test_a_late_file_goes_into_a_closed_month_and_new_months_stay_open(
    deferred: str, ledger: PostgresLedger
) -> None:
    load(ledger, claim(ledger, add(ledger)), batch(3))
    close(deferred)
    both = batch(6, start=86_400 * 14)  # the middle of the month
    december = batch(3, start=86_400 * 30)
    late = add(ledger, b"b.csv", 2)
    given = [(silver, keys(silver, "plant/b.csv")) for silver in (both, december)]
    plan = Load(Counts(read=9), OnChange.SUPERSEDE, "p", "h", "0", ())
    assert ledger.load(claim(ledger, late), given, plan).counts.loaded == 9
    assert [m.closed for m in sealing.partitions(deferred, WEEK)] == [True, False]


def test_a_closed_month_keeps_out_what_is_there_already(
    deferred: str, ledger: PostgresLedger
) -> None:
    """It cannot be, for keys hold the file's name; if it is all the same, the account is right."""
    load(ledger, claim(ledger, add(ledger)), batch(3))
    close(deferred)
    again = claim(ledger, add(ledger, b"b.csv", 2))
    counts = load(ledger, again, batch(5), "plant/a.csv")
    assert (counts.loaded, counts.duplicate) == (2, 3)
    assert count(deferred) == 5
    ledger.replay(again.file_id)
    counts = load(ledger, claim(ledger, again.file_id), batch(5), "plant/a.csv")
    assert (counts.loaded, counts.duplicate) == (2, 3)


def test_a_replay_removes_the_surplus_of_a_files_own_rows(
    deferred: str, ledger: PostgresLedger
) -> None:
    file_id = add(ledger)
    load(ledger, claim(ledger, file_id), batch(5))
    sql(deferred, DOUBLE)
    ledger.replay(file_id)
    assert load(ledger, claim(ledger, file_id), batch(5)).loaded == 5
    assert count(deferred) == 5
    assert "0 readings added, 1 removed, 5 untouched" in str(ledger.history(file_id)[-1].why)


def test_a_doubled_row_is_named_and_left_there(deferred: str, ledger: PostgresLedger) -> None:
    file_id = add(ledger)
    load(ledger, claim(ledger, file_id), batch(3))
    sql(deferred, DOUBLE)
    (done,) = close(deferred)
    assert (done.outcome, done.total) == (SealOutcome.DUPLICATES, 1)
    assert str(done.rows[0]) == (
        f"2023-11-14T22:13:21+00:00 s temperature: file {file_id} line 1, file {file_id} line 1"
    )
    assert count(deferred) == 4
    assert UNIQUE not in indexes(deferred)
    assert sealing.partitions(deferred, WEEK)[0].doubled_at is not None


def test_of_many_doubled_rows_twenty_are_named_and_all_are_counted(
    deferred: str, ledger: PostgresLedger
) -> None:
    load(ledger, claim(ledger, add(ledger)), batch(30))
    sql(deferred, "INSERT INTO raw_readings SELECT * FROM raw_readings")
    (done,) = close(deferred)
    assert (len(done.rows), done.total) == (20, 30)


def test_a_month_that_is_being_loaded_is_left_for_later(
    deferred: str, ledger: PostgresLedger
) -> None:
    load(ledger, claim(ledger, add(ledger)), batch(3))
    with psycopg.connect(deferred) as loader:
        loader.execute(DOUBLE)  # type: ignore[arg-type]
        assert [done.outcome for done in close(deferred)] == [SealOutcome.LOADING]
        loader.rollback()
    assert [done.outcome for done in close(deferred)] == [SealOutcome.SEALED]


def test_two_closers_do_not_collide(deferred: str, ledger: PostgresLedger) -> None:
    load(ledger, claim(ledger, add(ledger)), batch(3))
    with psycopg.connect(deferred) as other:
        other.execute("SELECT close_reading_partition('2023-11-01Z')")
        assert [done.outcome for done in close(deferred)] == [SealOutcome.BUSY]
        other.commit()
    assert [done.outcome for done in close(deferred)] == [SealOutcome.SEALED]
    assert len(indexes(deferred)) == 3


def test_a_broken_index_is_built_again(deferred: str, ledger: PostgresLedger) -> None:
    """As CREATE INDEX CONCURRENTLY leaves it behind, by hand or killed."""
    load(ledger, claim(ledger, add(ledger)), batch(3))
    sql(deferred, DOUBLE)
    with pytest.raises(psycopg.errors.UniqueViolation):
        sql(deferred, f"CREATE UNIQUE INDEX CONCURRENTLY {PART}_uq ON {PART} (ts, dedupe_key)")
    sql(deferred, "DELETE FROM raw_readings WHERE ctid = '(0,4)'")
    assert [m.closed for m in sealing.partitions(deferred, WEEK)] == [False]
    assert [done.outcome for done in close(deferred)] == [SealOutcome.SEALED]
    assert [m.closed for m in sealing.partitions(deferred, WEEK)] == [True]


def test_a_closer_that_is_killed_leaves_nothing_behind(
    deferred: str, ledger: PostgresLedger
) -> None:
    load(ledger, claim(ledger, add(ledger)), batch(3))
    with pytest.raises(psycopg.errors.AdminShutdown), psycopg.connect(deferred) as killed:
        killed.execute("SELECT close_reading_partition('2023-11-01Z')")
        killed.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    assert len(indexes(deferred)) == 1
    assert [done.outcome for done in close(deferred)] == [SealOutcome.SEALED]


def test_beat_closes_what_is_over_and_quiet(deferred: str, ledger: PostgresLedger) -> None:
    load(ledger, claim(ledger, add(ledger)), batch(3))
    now = datetime.now(UTC)
    this = f"SELECT ensure_reading_partitions('{now:%Y-%m-%d}', '{now:%Y-%m-%d}')"
    sql(deferred, this)

    def sealable(after: timedelta = WEEK) -> list[str]:
        return [m.name for m in sealing.sealable(sealing.partitions(deferred, after), now)]

    assert sealable() == []  # a file was loaded into it just now
    sql(deferred, "UPDATE files SET finished_at = now() - interval '2 hours'")
    assert sealable() == ["2023-11"]
    assert sealable(timedelta(days=36500)) == []
    sql(deferred, DOUBLE)
    close(deferred)
    assert sealable() == []  # told a moment ago
    sql(deferred, f"COMMENT ON TABLE {PART} IS 'sensorflow: rows doubled, 2024-01-01Z'")
    assert sealable() == ["2023-11"]


def test_a_month_that_is_not_over_is_not_closed(deferred: str, ledger: PostgresLedger) -> None:
    now = f"{datetime.now(UTC):%Y-%m}-01Z"
    sql(deferred, f"SELECT ensure_reading_partitions('{now}', '{now}')")
    assert sql(deferred, f"SELECT close_reading_partition('{now}')") == [("open",)]


# --- settings and database ---


def refused(ledger: PostgresLedger, file_id: int) -> None:
    with pytest.raises(Transient, match="sensorflow db upgrade") as caught:
        load(ledger, claim(ledger, file_id), batch(3))
    assert caught.value.code is Code.INDEX_DIFFERS


@pytest.mark.parametrize("is_reported", [False, True])
def test_a_worker_whose_settings_differ_from_the_database_loads_nothing(
    database: str, is_reported: bool
) -> None:
    index_mode.set_index_mode(database, not is_reported)
    wrong = PostgresLedger(database, "test", deferred=is_reported)
    refused(wrong, add(wrong))
    assert count(database) == 0
    index_mode.set_index_mode(database, is_reported)
    load(wrong, claim(wrong, add(wrong, b"b.csv", 2)), batch(3))
    wrong.close()


@pytest.mark.parametrize("is_reported", [False, True])
def test_a_worker_that_had_loaded_before_the_switch_loads_nothing_after_it(
    database: str, is_reported: bool
) -> None:
    index_mode.set_index_mode(database, is_reported)
    stale = PostgresLedger(database, "test", deferred=is_reported)
    load(stale, claim(stale, add(stale)), batch(3))
    index_mode.set_index_mode(database, not is_reported)
    other = add(stale, b"b.csv", 2)
    refused(stale, other)
    assert state(stale, other) is State.RUNNING
    assert count(database) == 3
    stale.close()


def test_the_switch_waits_for_who_is_loading(database: str) -> None:
    ledger = PostgresLedger(database, "test")
    file_id, began, go = add(ledger), threading.Event(), threading.Event()

    def slowly() -> Iterator[tuple[pa.RecordBatch, pa.Array]]:
        yield batch(3), keys(batch(3), "plant/a.csv")
        began.set()
        go.wait(PATIENCE)

    plan = Load(Counts(read=3), OnChange.SUPERSEDE, "p", "h", "0", ())
    claimed = claim(ledger, file_id)
    thread = threading.Thread(target=lambda: ledger.load(claimed, slowly(), plan))
    thread.start()
    assert began.wait(PATIENCE)
    switch = threading.Thread(target=lambda: index_mode.set_index_mode(database, True))
    switch.start()
    switch.join(0.5)
    assert switch.is_alive()
    go.set()
    thread.join()
    switch.join()
    assert state(ledger, file_id) is State.LOADED
    ledger.close()


def test_to_deferred_and_back_again(deferred: str, ledger: PostgresLedger) -> None:
    assert index_mode.set_index_mode(deferred, True) is None
    load(ledger, claim(ledger, add(ledger)), batch(3))
    close(deferred)
    assert "built" in str(index_mode.set_index_mode(deferred, False))
    assert index_mode.set_index_mode(deferred, False) is None
    query = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'uq_raw_dedupe'::regclass"
    assert sql(deferred, query) == [(f"{PART}_uq",)]  # taken over, not built once more
    assert indexes(deferred) == {UNIQUE, READING}


def test_back_to_unique_is_refused_while_rows_are_doubled(
    deferred: str, ledger: PostgresLedger
) -> None:
    load(ledger, claim(ledger, add(ledger)), batch(3))
    sql(deferred, DOUBLE)
    with pytest.raises(UsageError, match="duplicate readings exist"):
        index_mode.set_index_mode(deferred, False)
    assert index_mode.set_index_mode(deferred, True) is None


def test_a_hypertable_is_refused(database: str) -> None:
    sql(database, "ALTER TABLE raw_readings RENAME TO old")
    sql(database, "CREATE TABLE raw_readings (LIKE old)")  # as plain a table as a hypertable is
    with pytest.raises(UsageError, match="hypertable") as caught:
        index_mode.set_index_mode(database, True)
    assert caught.value.code is Code.SETTINGS


# --- what people are told ---


@pytest.fixture
def driver(project: Path, deferred: str) -> Iterator[ProjectDriver]:
    project_driver = ProjectDriver(project, deferred, dedupe_index="deferred")
    yield project_driver
    project_driver.close()


def database_command(driver: ProjectDriver, *words: str) -> tuple[int, str]:
    """As a process, for it sets up the logs: the exit code, and what it prints."""
    env = {**os.environ, "SENSORFLOW_CONFIG": str(driver.config)}
    done = warm.run(["sensorflow", "db", *words], env, driver.project)
    assert b"Traceback" not in done.stderr
    return done.returncode, (done.stdout + done.stderr).decode()


def told_by_doctor(driver: ProjectDriver) -> dict[str, str]:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(doctor)
    found = json.loads(driver.invoke(app, "--json").stdout)
    return next(check for check in found if check["what"] == "dedupe index")


def test_doubled_rows_are_told_by_close_doctor_and_audit_until_a_replay_mends_them(
    driver: ProjectDriver,
) -> None:
    file_id = driver.load("a.csv", content(1))
    driver.sql("INSERT INTO raw_readings SELECT * FROM raw_readings WHERE line_no = 5")
    code, output = database_command(driver, "seal", "--month", "2026-02")
    assert code == 1
    assert "2026-02: not sealed, 1 reading is stored more than once" in output
    assert output.count(f"file {file_id} line 5, file {file_id} line 5") == 2  # and in the log
    assert '"event": "partition.duplicates_found", "level": "error"' in output
    assert told_by_doctor(driver)["verdict"] == "fail"
    assert driver.audit().faults == ["A201", "A202"]
    driver.ledger.replay(file_id)
    driver.work(file_id)
    code, output = database_command(driver, "seal", "--month", "2026-02")
    assert (code, "no reading is stored twice" in output) == (0, True)
    assert told_by_doctor(driver)["verdict"] == "ok"
    assert driver.audit("--deep").faults == []


def test_a_month_that_stays_open_is_told(driver: ProjectDriver) -> None:
    driver.load("a.csv", content(1))
    assert told_by_doctor(driver)["verdict"] == "ok"  # it was loaded a moment ago
    driver.sql("UPDATE files SET finished_at = finished_at - interval '100 days'")
    assert told_by_doctor(driver)["verdict"] == "warn"
    assert driver.audit().faults == ["A504"]
    assert "2026-02" in database_command(driver, "seal")[1]
    assert driver.audit().faults == []
    assert "no partition to seal" in database_command(driver, "close")[1]  # its former name


def test_the_hourly_task_closes_months(driver: ProjectDriver) -> None:
    driver.load("a.csv", content(1))
    assert periodic.seal_partitions(driver.settings) == []
    driver.sql("UPDATE files SET finished_at = now() - interval '2 hours'")
    assert [done.outcome for done in periodic.seal_partitions(driver.settings)] == [
        SealOutcome.SEALED
    ]


def test_doctor_tells_where_settings_and_database_differ(driver: ProjectDriver) -> None:
    index_mode.set_index_mode(driver.database, False)
    assert told_by_doctor(driver)["verdict"] == "fail"


def test_upgrade_says_what_it_did(driver: ProjectDriver) -> None:
    index_mode.set_index_mode(driver.database, False)
    assert "uq_raw_dedupe was dropped" in database_command(driver, "upgrade")[1]
    assert "dropped" not in database_command(driver, "upgrade")[1]
