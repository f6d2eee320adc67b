"""What the roles owner, loader and reader may do, and what not, as users that log in."""

from __future__ import annotations

import os
import random
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing as closing_
from datetime import timedelta
from pathlib import Path

import gold
import hypertables
import psycopg
import pytest
import warm
from fleet import fleet, rows, text
from patience import PATIENCE
from samples import add, batch, claim, load, state
from servers import ServerFolder

from sensorflow.adapters.postgres import index_mode, inspect, migrate, reading_index, sealing
from sensorflow.adapters.postgres.ledger import PostgresLedger
from sensorflow.adapters.postgres.schema import metadata
from sensorflow.core.states import State
from sensorflow.embedded.postgres import Postgres
from sensorflow.errors import Code, Transient

REFUSED = psycopg.errors.InsufficientPrivilege
READING = (
    "INSERT INTO raw_readings VALUES ('2026-02-01Z', 's', 'k', 1, 'u', 0, 1, 1, gen_random_uuid())"
)
FILE = (
    "INSERT INTO files (source, key, key_text, version, sha256, md5, size, mtime_ns, landing,"
    " sensor_type, discovered_at, landed_at)"
    " VALUES ('s', '', '', 1, '', '', 0, 0, '', '', now(), now())"
)
UPGRADE = ("sensorflow", "db", "upgrade")
TABLES = [table.name for table in metadata.sorted_tables]


def login(url: str, role: str) -> Iterator[str]:
    """The URL of a new user who is in a group role."""
    name = f"user_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'pw' IN ROLE {role}")  # type: ignore[arg-type]
    yield f"postgresql://{name}:pw@" + url.partition("@")[2]
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(f"DROP OWNED BY {name}")  # type: ignore[arg-type]
        admin.execute(f"DROP ROLE {name}")  # type: ignore[arg-type]


@pytest.fixture
def loader(database: str) -> Iterator[str]:
    yield from login(database, "sensorflow_loader")


@pytest.fixture
def reader(database: str) -> Iterator[str]:
    yield from login(database, "sensorflow_reader")


@pytest.fixture
def owner(database: str) -> Iterator[str]:
    yield from login(database, "sensorflow_owner")


def refused(url: str, statement: str) -> None:
    with psycopg.connect(url) as connection, pytest.raises(REFUSED):
        connection.execute(statement)  # type: ignore[arg-type]


def kind_of_owner(url: str, name: str) -> str:
    query = "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = %s::regclass"
    with psycopg.connect(url) as connection:
        return str(connection.execute(query, (name,)).fetchone()[0])  # type: ignore[index]


def test_files_go_through_daemon_and_workers_with_a_loaders_url(
    project: Path, database: str, loader: str, valkey_url: str
) -> None:
    draw = random.Random(5)
    readings = rows(1, 20, draw)
    others = [(t.replace("2026-02", "2031-07"), s, v) for t, s, v in rows(2, 20, draw)]
    with fleet(project, loader, valkey_url, source={"max_rejects": 0}) as f:
        f.start("daemon", "worker", "beat")
        f.put("a.csv", text(readings))
        f.put("b.csv", text(others))
        f.put("bad.csv", b"\x00")
        f.wait(lambda: f.counts()["loaded"] == 2 and f.counts()["quarantined"] == 1)
        # a version that replaces: rows are deleted; bytes again, and back, are aliases
        f.put("a.csv", text([(t, s, v + 1) for t, s, v in readings[:7]]))
        f.wait(lambda: f.ledger.totals()["plant"].rows_replaced == 7)
        f.put("c.csv", text(others))
        f.wait(lambda: any(a.name == "c.csv" for a in f.ledger.arrivals(2)))
        assert f.ledger.totals()["plant"].rows_loaded == 47
        f.wait(lambda: not gold.differences(database))
        assert "rights" not in f.logs()
        assert "permission denied" not in f.logs()
    if not hypertables.GIVEN:
        assert kind_of_owner(database, "raw_readings_2031_07") == "sensorflow_owner"
        assert kind_of_owner(database, "gold_1m_2031_07") == "sensorflow_owner"


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE raw_readings",
        "ALTER TABLE raw_readings ADD COLUMN x int",
        "CREATE INDEX ON raw_readings (ts)",
        "CREATE TABLE mine (x int)",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "TRUNCATE raw_readings",
        "TRUNCATE file_events",
        "DELETE FROM files",
        "DELETE FROM arrivals",
        "UPDATE raw_readings SET value = 0",
        "UPDATE file_events SET why = ''",
        "DELETE FROM file_events",
        "DELETE FROM file_histories",
        "UPDATE file_histories SET events = 0",
        "UPDATE alembic_version SET version_num = '0001'",
        "DROP FUNCTION ensure_reading_partitions",
        "SELECT setval('lease_tokens', 1)",
        "SET ROLE sensorflow_owner",
    ],
)
def test_a_loader_may_not(loader: str, statement: str) -> None:
    refused(loader, statement)


@pytest.mark.plain("months are partitions")
@pytest.mark.parametrize(
    ("low", "high"),
    [
        ("0001-01-01Z", "2026-01-01Z"),
        ("-infinity", "2026-01-01Z"),
        ("2026-01-01Z", "infinity"),
        ("0044-03-15Z BC", "0044-03-15Z BC"),
        ("99999-01-01Z", "99999-01-01Z"),
    ],
)
def test_a_loader_makes_no_absurd_months(loader: str, low: str, high: str) -> None:
    with psycopg.connect(loader) as c, pytest.raises(psycopg.errors.InvalidParameterValue):
        c.execute("SELECT ensure_reading_partitions(%s, %s)", (low, high))


@pytest.mark.plain("months are partitions")
def test_a_loader_may_make_temporary_tables_and_months(loader: str) -> None:
    with psycopg.connect(loader) as connection:
        connection.execute("CREATE TEMPORARY TABLE incoming (LIKE raw_readings) ON COMMIT DROP")
        result = connection.execute("SELECT ensure_reading_partitions('2026-02-01', '2026-02-01')")
        assert result.fetchone() == (1,)
        connection.execute(READING)
        assert connection.execute("SELECT count(*) FROM raw_readings").fetchone() == (1,)


def test_a_loader_ends_its_own_old_sessions_and_names_those_of_others(
    database: str, loader: str
) -> None:
    ledger = PostgresLedger(loader, "test")
    file_id = add(ledger)
    name = f"sensorflow load {file_id}"
    for url, ended in ((database, False), (loader, True)):
        ledger.nack(
            claim(ledger, file_id, -1), Transient(Code.STORAGE, "away"), -1, counts_as_attempt=False
        )
        with closing_(psycopg.connect(url, application_name=name)) as old:
            old.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (name,))
            claimed = claim(ledger, file_id)
            if ended:
                load(ledger, claimed, batch())
                continue
            with pytest.raises(Transient, match="may not end it") as caught:
                load(ledger, claimed, batch())
            assert caught.value.code is Code.DATABASE_RIGHTS
            ledger.nack(claimed, caught.value, -1, counts_as_attempt=False)
    assert state(ledger, file_id) is State.LOADED
    ledger.close()


@pytest.mark.plain("a hypertable has one unique index")
def test_a_loader_closes_months_that_are_over(database: str, loader: str, reader: str) -> None:
    index_mode.set_index_mode(database, True)
    with psycopg.connect(loader) as connection:
        connection.execute("SELECT ensure_reading_partitions('2026-02-01', '2026-02-01')")
        connection.execute(READING)
    (month,) = sealing.partitions(loader, timedelta(days=7))
    assert [done.outcome for done in sealing.seal(loader, [month])] == [sealing.SealOutcome.SEALED]
    assert sealing.partitions(reader, timedelta(days=7))[0].closed
    assert kind_of_owner(database, "raw_readings_2026_02_uq") == "sensorflow_owner"
    refused(reader, "SELECT close_reading_partition('2026-02-01')")
    with pytest.raises(Transient, match="must be owner"):
        index_mode.set_index_mode(loader, False)


@pytest.mark.plain("a hypertable has no months")
def test_a_loader_builds_reading_indexes_and_drops_expired_months(
    database: str, loader: str, reader: str
) -> None:
    with psycopg.connect(loader) as connection:
        connection.execute("SELECT ensure_reading_partitions('2026-02-01', '2026-02-01')")
        connection.execute(READING)
    assert reading_index.index_partitions(loader, smallest=0) == {"2026-02": "indexed"}
    assert kind_of_owner(database, "raw_readings_2026_02_ix") == "sensorflow_owner"
    assert reading_index.index_partitions(loader, smallest=0) == {}
    refused(reader, "SELECT index_reading_partition('2026-02-01Z')")
    drop = "SELECT (drop_expired_reading_partitions(ARRAY['2026-02-01Z'::timestamptz], ARRAY[{}])).outcome"
    refused(reader, drop.format(1))
    with psycopg.connect(loader) as connection:
        done = [connection.execute(drop.format(file)).fetchone() for file in (2, 1)]
    assert done == [("shared",), ("dropped",)]
    assert inspect.partitions(database) == 0


@pytest.mark.plain("a hypertable has one unique index")
def test_an_owner_migrates_a_deferred_index_down_and_settles_it_again(
    owner: str, database: str
) -> None:
    index_mode.set_index_mode(database, True)
    migrate.downgrade(database, "0003")  # whose code knows one way only
    with psycopg.connect(database) as connection:
        connection.execute("SELECT 'uq_raw_dedupe'::regclass")
    migrate.upgrade(database)
    assert index_mode.set_index_mode(owner, True)
    assert index_mode.set_index_mode(owner, False)


@pytest.mark.plain("months are partitions")
def test_a_temporary_table_of_a_loader_does_not_stand_in_for_the_owners(loader: str) -> None:
    """The function runs with the owner's rights: it must not take what its caller puts in the way."""
    with psycopg.connect(loader) as connection:
        connection.execute("CREATE TEMPORARY TABLE raw_readings (x int) PARTITION BY RANGE (x)")
        connection.execute("SELECT ensure_reading_partitions('2026-02-01', '2026-02-01')")
        part = "SELECT inhparent::regclass::text FROM pg_inherits WHERE inhrelid = %s::regclass"
        found = connection.execute(part, ("public.raw_readings_2026_02",)).fetchone()
        assert found == ("public.raw_readings",)


@pytest.mark.parametrize("table", TABLES)
def test_a_reader_reads_every_table_and_writes_none(reader: str, table: str) -> None:
    with psycopg.connect(reader) as connection:
        found = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # type: ignore[arg-type]
        assert found == (int(table in ("file_histories", "project")),)  # where histories begin
    refused(reader, f"DELETE FROM {table}")
    refused(reader, f"INSERT INTO {table} DEFAULT VALUES")
    refused(reader, f"TRUNCATE {table}")


@pytest.mark.parametrize(
    "view", ["readings_1m", "readings_1h", "readings_1d", "readings_latest", "gold_watermark"]
)
def test_a_reader_reads_aggregates(reader: str, view: str) -> None:
    with psycopg.connect(reader) as connection:
        connection.execute(f"SELECT * FROM {view}")  # type: ignore[arg-type]


def test_a_reader_makes_no_months_and_takes_no_tokens(reader: str) -> None:
    refused(reader, "SELECT ensure_reading_partitions('2026-02-01', '2026-02-01')")
    refused(reader, "SELECT nextval('lease_tokens')")
    refused(reader, "CREATE TABLE mine (x int)")


def test_the_ledger_says_that_a_readers_url_is_the_wrong_one(reader: str) -> None:
    ledger = PostgresLedger(reader, "test")
    assert ledger.totals() == {}
    with pytest.raises(Transient, match=r"permission denied .* role") as caught:
        ledger.replay(1)
    assert caught.value.code is Code.DATABASE_RIGHTS
    ledger.close()


@pytest.mark.plain("a hypertable stays with who migrates")
def test_an_owner_migrates_down_and_up_again(owner: str, database: str) -> None:
    name = owner.split("//")[1].split(":")[0]
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute(f"ALTER ROLE {name} SET role TO sensorflow_owner")  # type: ignore[arg-type]
    migrate.downgrade(owner, "0002")
    migrate.upgrade(owner)
    assert {kind_of_owner(database, table) for table in TABLES} == {"sensorflow_owner"}


@pytest.mark.plain("months are partitions")
def test_a_month_made_by_a_loader_and_its_owner_survive_down_and_up(
    database: str, loader: str, reader: str
) -> None:
    with psycopg.connect(loader) as connection:
        connection.execute("SELECT ensure_reading_partitions('2026-02-01', '2026-02-01')")
        connection.execute(READING)
    migrate.downgrade(database, "0002")
    assert kind_of_owner(database, "raw_readings_2026_02") == "sensorflow"
    refused(reader, "SELECT * FROM raw_readings")
    refused(loader, "INSERT INTO files DEFAULT VALUES")
    migrate.upgrade(database)
    assert kind_of_owner(database, "raw_readings_2026_02") == "sensorflow_owner"
    with psycopg.connect(reader) as connection:
        assert connection.execute("SELECT count(*) FROM raw_readings").fetchone() == (1,)


# --- a cluster of their own, for roles are of the whole cluster ---


@pytest.fixture
def cluster(tmp_path: Path, place: ServerFolder) -> Iterator[str]:
    """The URL of an administrator in a cluster without our roles, less the name of the database."""
    root = place.root / f"roles-{uuid.uuid4().hex[:8]}"
    root.mkdir()
    server = Postgres(root, tmp_path)
    server.start()
    yield server.url.rsplit("/", 1)[0]
    server.process.terminate(30)


def test_four_databases_of_one_cluster_migrated_at_once(cluster: str) -> None:
    urls = [f"{cluster}/d{n}" for n in range(4)]
    with psycopg.connect(f"{cluster}/postgres", autocommit=True) as admin:
        for number in range(4):
            admin.execute(f"CREATE DATABASE d{number}")  # type: ignore[arg-type]
        for url in urls:
            migrate.upgrade(url, "0002")
        with psycopg.connect(urls[0]) as first:  # holds the roles' names until all others wait
            first.execute("CREATE ROLE sensorflow_owner NOLOGIN")
            running = [warm.Process(UPGRADE, env_of(url), Path.cwd(), 1, 2) for url in urls]
            waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            until(lambda: admin.execute(waiting).fetchone() == (4,))
            first.commit()
    assert [process.wait(PATIENCE) for process in running] == [0] * 4
    assert [inspect.missing_roles(url) for url in urls] == [[]] * 4


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def env_of(url: str) -> dict[str, str]:
    return {**os.environ, "SENSORFLOW_DATABASE_URL": url, "SENSORFLOW_BROKER_URL": "redis://x"}


def sensorflow(url: str, *words: str) -> str:
    done = warm.run(["sensorflow", *words], env_of(url), Path.cwd())
    return (done.stdout + done.stderr).decode()


def test_where_roles_may_not_be_made_all_goes_on_and_doctor_says_how_to_make_them(
    cluster: str, tmp_path: Path
) -> None:
    with psycopg.connect(f"{cluster}/postgres", autocommit=True) as admin:
        admin.execute("CREATE ROLE plain LOGIN PASSWORD 'pw'")
        admin.execute("CREATE DATABASE d OWNER plain")
    plain = "postgresql://plain:pw@" + cluster.partition("@")[2] + "/d"
    migrate.upgrade(plain)
    assert inspect.missing_roles(plain) == list(inspect.ROLES)
    with psycopg.connect(plain) as connection:
        connection.execute("SELECT ensure_reading_partitions('2026-02-01', '2026-02-01')")
        connection.execute(READING)
    output = sensorflow(plain, "doctor")
    assert "CREATE ROLE sensorflow_loader NOLOGIN;" in output
    with psycopg.connect(f"{cluster}/d", autocommit=True) as admin:
        admin.execute(sensorflow(plain, "db", "roles"))  # type: ignore[arg-type]
    output = sensorflow(plain, "doctor")
    assert "roles: owner, loader and reader" in output, output
    assert kind_of_owner(plain, "files") == "sensorflow_owner"
    with psycopg.connect(plain) as connection:  # who migrated may still do all
        connection.execute("ALTER TABLE files ADD COLUMN x int")
        connection.rollback()
    for url in login(f"{cluster}/d", "sensorflow_loader"):
        with psycopg.connect(url) as connection:
            connection.execute(FILE)
            connection.execute("SELECT ensure_reading_partitions('2026-03-01', '2026-03-01')")
    migrate.downgrade(f"{cluster}/d", "base")


def test_a_role_that_may_make_roles_keeps_its_rights(cluster: str) -> None:
    with psycopg.connect(f"{cluster}/postgres", autocommit=True) as admin:
        admin.execute("CREATE ROLE managed LOGIN PASSWORD 'pw' CREATEROLE")
        admin.execute("CREATE DATABASE d OWNER managed")
    managed = "postgresql://managed:pw@" + cluster.partition("@")[2] + "/d"
    migrate.upgrade(managed)
    assert kind_of_owner(managed, "files") == "sensorflow_owner"
    with psycopg.connect(managed) as connection:
        connection.execute("SELECT ensure_reading_partitions('2026-02-01', '2026-02-01')")
        connection.execute(READING)
    migrate.downgrade(managed, "base")
    migrate.upgrade(managed)
    assert inspect.missing_roles(managed) == []
