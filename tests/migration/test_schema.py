"""What the migrations make is what `schema.py` declares, up and down and up again."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from dataclasses import fields
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from alembic import command
from patience import PATIENCE

from sensorflow.adapters.postgres import migrate
from sensorflow.adapters.postgres.connect import engine_of
from sensorflow.adapters.postgres.schema import EVENTS, STAGES, STATES, STEPS, metadata
from sensorflow.cli.files import COLUMNS
from sensorflow.core.events import FileEvent
from sensorflow.embedded.postgres import Postgres, binaries
from sensorflow.errors import UsageError
from sensorflow.ports.files import FileView

READING = (
    "INSERT INTO raw_readings VALUES "
    "(%s, 's', 'temperature', 1.5, 'degC', 0, 1, 1, '00000000-0000-0000-0000-000000000001')"
)


def tables(url: str) -> set[str]:
    query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    with psycopg.connect(url) as connection:
        return {name for (name,) in connection.execute(query).fetchall()}


def dump(url: str) -> str:
    """The schema as pg_dump tells it, without what is not compared: functions and Alembic's table."""
    done = subprocess.run(
        [
            binaries() / "pg_dump",
            "--schema-only",
            "--no-owner",
            "--no-privileges",
            "--exclude-table=alembic_version",
            url,
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    text = re.sub(r"CREATE FUNCTION .*?\$\$;\n", "", done.stdout, flags=re.DOTALL)
    return "\n".join(
        line for line in text.splitlines() if line and not line.startswith(("--", "\\", "SET "))
    )


def test_a_file_is_shown_with_every_column_of_the_ledger_in_its_order(database: str) -> None:
    query = """SELECT column_name FROM information_schema.columns
                WHERE table_name = 'files' ORDER BY ordinal_position"""
    with psycopg.connect(database) as connection:
        columns = [name for (name,) in connection.execute(query).fetchall()]
    shown = [COLUMNS.get(field.name, field.name) for field in fields(FileView)]
    assert [name for name in shown if name != "counts"] == [
        name for name in columns if not name.startswith("rows_")
    ]


def test_up_down_and_up_again(empty_database: str) -> None:
    assert migrate.current(empty_database) is None
    migrate.upgrade(empty_database)
    assert migrate.current(empty_database) == migrate.head()
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute("SELECT ensure_reading_partitions('2026-01-15', '2026-03-01')")
        connection.execute(READING, ("2026-02-01T00:00:00Z",))
    migrate.downgrade(empty_database, "base")
    assert tables(empty_database) == {"alembic_version"}
    migrate.upgrade(empty_database)
    assert {"files", "arrivals", "file_events", "raw_readings"} <= tables(empty_database)


@pytest.mark.plain("metadata declares the tables of plain PostgreSQL")
def test_the_migrated_schema_equals_the_declared_one(
    database: str, empty_database: str, postgres: Postgres
) -> None:
    engine = engine_of(empty_database, poolclass=sa.pool.NullPool)
    metadata.create_all(engine)
    assert dump(database) == dump(empty_database)


def test_autogenerate_finds_no_difference(database: str) -> None:
    command.check(migrate.config(database))


def test_the_states_of_the_migration_are_those_of_the_core() -> None:
    words = [
        re.sub(r'"\s*\n\s*"', "", next((migrate.folder() / "versions").glob(name)).read_text())
        for name in ("0001_*.py", "0006_*.py", "0014_*.py")
    ]
    assert STATES in words[0]
    assert STAGES in words[0]
    assert STEPS in words[1]
    assert EVENTS in words[2]


@pytest.mark.plain("months are partitions")
def test_months_are_made_once_and_take_rows(database: str) -> None:
    ensure = "SELECT ensure_reading_partitions(%s, %s)"
    with psycopg.connect(database, autocommit=True) as connection:
        first = connection.execute(ensure, ("2026-01-31T23:59Z", "2026-02-01T00:00Z")).fetchone()
        again = connection.execute(ensure, ("2026-01-01T00:00Z", "2026-02-28T23:59Z")).fetchone()
        assert (first, again) == ((2,), (0,))
        connection.execute(READING, ("2026-01-31T23:59:59.999999Z",))
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute(READING, ("2026-03-01T00:00:00Z",))


def test_a_month_is_made_while_a_loader_holds_rows_of_another(database: str) -> None:
    with psycopg.connect(database) as loader, psycopg.connect(database) as other:
        loader.execute("SELECT ensure_reading_partitions('2026-01-01', '2026-01-01')")
        loader.commit()
        loader.execute(READING, ("2026-01-05T00:00:00Z",))
        other.execute("SET lock_timeout = '2s'")
        other.execute("SELECT ensure_reading_partitions('2026-02-01', '2026-02-01')")
        other.commit()
        loader.execute(READING, ("2026-02-05T00:00:00Z",))


def test_the_database_refuses_an_account_that_does_not_balance(database: str) -> None:
    file = (
        "INSERT INTO files (source, key, key_text, version, sha256, md5, size, mtime_ns, landing,"
        " sensor_type, discovered_at, landed_at, state, rows_read, rows_loaded, checksum, finished_at)"
        " VALUES ('s', '', '', 1, '', '', 0, 0, '', '', now(), now(), 'loaded', 3, %s, 0, now())"
    )
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(file, (3,))
        with pytest.raises(psycopg.errors.CheckViolation, match="ck_files_balance"):
            connection.execute(file.replace("'s', ''", "'t', ''"), (2,))


def test_nobody_who_writes_files_waits_for_the_index_of_turns(empty_database: str) -> None:
    migrate.upgrade(empty_database, "0009")
    with psycopg.connect(empty_database) as long, psycopg.connect(empty_database) as short:
        long.execute("UPDATE files SET lane = lane")
        migration = threading.Thread(target=migrate.upgrade, args=(empty_database, "0010"))
        migration.start()
        migration.join(3)
        assert migration.is_alive()
        short.execute("SET lock_timeout = '50ms'")
        short.execute("UPDATE files SET lane = lane")
        short.commit()
        long.commit()
        migration.join(60)
    assert migrate.current(empty_database) == "0010"


def test_what_a_migration_that_was_killed_left_of_the_index_is_made_anew(
    empty_database: str,
) -> None:
    migrate.upgrade(empty_database, "0009")
    index = "'ix_files_turn'::regclass"
    with psycopg.connect(empty_database, autocommit=True) as c:
        c.execute("CREATE INDEX ix_files_turn ON files (lane)")
        c.execute(f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = {index}")
        migrate.upgrade(empty_database, "0010")
        definition = c.execute(f"SELECT pg_get_indexdef({index})").fetchone()
        assert definition is not None
        assert "(lane, source, id, size)" in definition[0]


def test_what_gates_said_goes_with_a_downgrade_and_files_stay(empty_database: str) -> None:
    migrate.upgrade(empty_database)
    file = (
        "INSERT INTO files (source, key, key_text, version, sha256, md5, size, mtime_ns, landing,"
        " sensor_type, discovered_at, landed_at) VALUES"
        " ('s', '', '', 1, '', '', 0, 0, '', '', now(), now()) RETURNING id"
    )
    insert = "INSERT INTO announcements VALUES ('s', '', 'm', '', %s, '{}')"
    with psycopg.connect(empty_database, autocommit=True) as c:
        found = c.execute(file).fetchone()
        assert found is not None
        c.execute(insert, found)
        migrate.downgrade(empty_database, "0011")
        assert "announcements" not in tables(empty_database)
        migrate.upgrade(empty_database)
        assert c.execute("SELECT count(*) FROM files").fetchone() == (1,)
        assert c.execute("SELECT count(*) FROM announcements").fetchone() == (0,)


FILE = (
    "INSERT INTO files (source, key, key_text, version, sha256, md5, size, mtime_ns, landing,"
    " sensor_type, discovered_at, landed_at) VALUES"
    " ('s', '', '', 1, '', '', 0, 0, '', '', now(), now()) RETURNING id"
)
EVENT = (
    "INSERT INTO file_events (file_id, what, stage, attempt, who)"
    " SELECT max(id), %s, 'validate', 0, 'w' FROM files"
)
KNOWN = "SELECT convalidated FROM pg_constraint WHERE conname = 'ck_events_what'"


def test_the_database_takes_the_events_of_the_list_and_no_others(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as c:
        c.execute(FILE)
        for event in FileEvent:
            c.execute(EVENT, (str(event),))
        with pytest.raises(psycopg.errors.CheckViolation, match="ck_events_what"):
            c.execute(EVENT, ("invented",))


def test_a_schema_of_a_newer_version_is_left_to_it(database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(UsageError, match="a newer version has upgraded it"):
        migrate.upgrade(database)
    assert migrate.current(database) == "9999"


def test_histories_of_before_are_checked_by_the_upgrade_and_keep_their_hashes(
    empty_database: str,
) -> None:
    migrate.upgrade(empty_database, "0013")
    heads = "SELECT file_id, events, head FROM file_histories ORDER BY file_id"
    with psycopg.connect(empty_database, autocommit=True) as c:
        c.execute(FILE)
        for event in FileEvent:
            c.execute(EVENT, (str(event),))
        before = c.execute(heads).fetchall()
        migrate.upgrade(empty_database, "0014")
        assert c.execute(KNOWN).fetchone() == (True,)
        migrate.downgrade(empty_database, "0013")
        assert c.execute(KNOWN).fetchone() is None
        migrate.upgrade(empty_database, "0014")
        assert c.execute(heads).fetchall() == before


def test_an_event_that_somebody_wrote_by_hand_stays_and_no_second_one_comes(
    empty_database: str,
) -> None:
    migrate.upgrade(empty_database, "0013")
    with psycopg.connect(empty_database, autocommit=True) as c:
        c.execute(FILE)
        c.execute(EVENT, ("a note",))
        migrate.upgrade(empty_database, "0014")
        assert c.execute(KNOWN).fetchone() == (False,)
        assert c.execute("SELECT what FROM file_events").fetchall() == [("a note",)]
        with pytest.raises(psycopg.errors.CheckViolation, match="ck_events_what"):
            c.execute(EVENT, ("a note",))


def test_a_migration_that_was_killed_before_it_read_old_events_goes_on(
    empty_database: str,
) -> None:
    migrate.upgrade(empty_database, "0013")
    begun = "ALTER TABLE file_events ADD CONSTRAINT ck_events_what CHECK (what IN ('x')) NOT VALID"
    with psycopg.connect(empty_database, autocommit=True) as c:
        c.execute(begun)
        migrate.upgrade(empty_database, "0014")
        assert c.execute(KNOWN).fetchone() == (True,)
        c.execute(FILE)
        c.execute(EVENT, ("registered",))


LOCKS = """
SELECT count(*) FROM pg_locks
 WHERE database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND relation = %s::regclass AND mode = %s AND granted = %s
"""


def locked(database: str, mode: str, granted: bool, table: str = "file_events") -> None:
    """Wait until somebody has a lock of the table, or waits for it."""
    until = time.monotonic() + PATIENCE
    with psycopg.connect(database, autocommit=True) as c:
        while c.execute(LOCKS, (table, mode, granted)).fetchone() == (0,):
            assert time.monotonic() < until
            time.sleep(0.01)


@pytest.fixture
def eventful(empty_database: str) -> str:
    """A database of revision 0013 with two files, and an event of the second."""
    migrate.upgrade(empty_database, "0013")
    with psycopg.connect(empty_database, autocommit=True) as c:
        c.execute(FILE.replace("('s'", "('first'"))
        c.execute(FILE)
        c.execute(EVENT, ("registered",))
    return empty_database


def test_whoever_writes_events_waits_for_the_upgrade_no_longer_than_its_patience(
    eventful: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One long transaction keeps the upgrade out: others get in between its tries."""
    monkeypatch.setattr(migrate, "LOCKS", "200ms")
    migration = threading.Thread(target=migrate.upgrade, args=(eventful, "0014"))
    with psycopg.connect(eventful) as long, psycopg.connect(eventful) as short:
        long.execute(EVENT.replace("max", "min"), ("claimed",))
        migration.start()
        for _ in range(2):
            locked(eventful, "AccessExclusiveLock", granted=False)
            short.execute("SET lock_timeout = '30s'")
            short.execute(EVENT, ("loaded",))
            short.commit()
        assert migration.is_alive()
        long.commit()
        migration.join(PATIENCE)
        assert long.execute(KNOWN).fetchone() == (True,)


def test_nobody_who_writes_events_waits_while_old_ones_are_read(
    eventful: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "LOCKS", f"{PATIENCE}s")
    migration = threading.Thread(target=migrate.upgrade, args=(eventful, "0014"))
    lock = "LOCK file_events IN SHARE UPDATE EXCLUSIVE MODE"
    with (
        psycopg.connect(eventful) as long,
        psycopg.connect(eventful) as reader,
        psycopg.connect(eventful) as short,
    ):
        long.execute(EVENT.replace("max", "min"), ("claimed",))
        migration.start()
        locked(eventful, "AccessExclusiveLock", granted=False)
        # as a vacuum: next in the queue, it comes in between the upgrade's two statements
        vacuum = threading.Thread(target=reader.execute, args=(lock,))
        vacuum.start()
        locked(eventful, "ShareUpdateExclusiveLock", granted=False)
        long.commit()
        vacuum.join(PATIENCE)
        locked(eventful, "ShareUpdateExclusiveLock", granted=False)
        short.execute("SET lock_timeout = '50ms'")
        short.execute(EVENT, ("loaded",))
        short.commit()
        assert migration.is_alive()
        assert short.execute(KNOWN).fetchone() == (False,)
        reader.commit()
        migration.join(PATIENCE)
        assert reader.execute(KNOWN).fetchone() == (True,)


def test_the_columns_of_progress_wait_for_a_long_load_only_as_long_as_their_patience(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction that reads `files` keeps the upgrade out. Others write in between its tries."""
    monkeypatch.setattr(migrate, "LOCKS", "100ms")
    migrate.upgrade(empty_database, "0014")
    migration = threading.Thread(target=migrate.upgrade, args=(empty_database, "0015"))
    with psycopg.connect(empty_database) as long, psycopg.connect(empty_database) as short:
        long.execute("SELECT count(*) FROM files")
        migration.start()
        for source in "ab":
            locked(empty_database, "AccessExclusiveLock", granted=False, table="files")
            short.execute("SET lock_timeout = '30s'")
            short.execute(FILE.replace("('s'", f"('{source}'"))
            short.commit()
        assert migration.is_alive()
        long.commit()
        migration.join(PATIENCE)
        assert short.execute("SELECT count(*), count(trace_id) FROM files").fetchone() == (2, 0)


def test_files_stay_when_the_controls_of_sources_go_with_a_downgrade(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as c:
        c.execute(FILE)
        c.execute("UPDATE files SET progress_bytes = 1, trace_id = 'x'")
        c.execute("INSERT INTO source_controls (source, mode, actor) VALUES ('s', 'paused', 'a')")
        with pytest.raises(psycopg.errors.CheckViolation, match="ck_controls_mode"):
            c.execute("UPDATE source_controls SET mode = 'asleep'")
        migrate.downgrade(database, "0014")
        assert "source_controls" not in tables(database)
        migrate.upgrade(database)
        progress = "SELECT progress_bytes, progress_rows, trace_id FROM files"
        assert c.execute(progress).fetchall() == [(None, None, None)]
        assert c.execute("SELECT count(*) FROM source_controls").fetchone() == (0,)


def test_a_project_keeps_its_id_in_a_downgrade(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as c:
        before = c.execute("SELECT id FROM project").fetchall()
        assert len(before) == 1
        with pytest.raises(psycopg.errors.UniqueViolation):
            c.execute("INSERT INTO project DEFAULT VALUES")
        with pytest.raises(psycopg.errors.CheckViolation, match="ck_project_one_row"):
            c.execute("INSERT INTO project (is_only_row) VALUES (false)")
        migrate.downgrade(database, "0021")
        assert "project" not in tables(database)
        migrate.upgrade(database)
        assert c.execute("SELECT id FROM project").fetchall() == before
        assert c.execute("SELECT obj_description('files'::regclass)").fetchone() == (None,)


@pytest.mark.plain("months are partitions")
def test_an_upgrade_requests_the_aggregates_of_the_months_that_exist(empty_database: str) -> None:
    migrate.upgrade(empty_database, "0015")
    months = "SELECT reading_months('2025-12-31T23:59Z', %s)"
    with psycopg.connect(empty_database, autocommit=True) as c:
        c.execute("SET timezone = 'Asia/Kolkata'")
        c.execute("SELECT ensure_reading_partitions('2025-11-15Z', '2026-01-01Z')")
        migrate.upgrade(empty_database)
        found = c.execute("SELECT low, high, sensors FROM readings_touched ORDER BY low").fetchall()
        assert [(f"{low:%m}", f"{high:%m-%d %H:%M:%S.%f}") for low, high, _ in found] == [
            ("11", "12-01 05:29:59.999999"),
            ("12", "01-01 05:29:59.999999"),
            ("01", "02-01 05:29:59.999999"),
        ]
        c.execute("SELECT ensure_gold_partitions(ARRAY['2026-03-09Z']::timestamptz[])")
        names = [f"{row[0]:%m-%d %H}" for row in c.execute(months, ("2026-03-01Z",))]
        assert sorted(names) == ["01-01 05", "03-01 05", "12-01 05"]
        assert c.execute(months, ("2026-02-28Z",)).fetchall() != []
        assert c.execute("SELECT drop_empty_gold_partitions('{2026-03-01Z}')").fetchone() == (1,)


def test_plain_alembic_works_in_a_checkout(empty_database: str) -> None:
    root = Path(__file__).parents[2]
    env = {**os.environ, "SENSORFLOW_DATABASE_URL": empty_database}
    for words in (["upgrade", "head"], ["downgrade", "base"], ["upgrade", "head"]):
        subprocess.run([sys.executable, "-m", "alembic", *words], cwd=root, env=env, check=True)
    assert "raw_readings" in tables(empty_database)
