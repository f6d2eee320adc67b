"""PostgreSQL ends sessions, restarts, loses answers, is away, refuses, is migrated under the workers."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pyarrow as pa
import pytest
import sqlalchemy as sa
from dropped_files import DroppedFiles, assert_exact, events
from fleet import LONG_LEASE, Fleet, fleet
from proxy import Proxy
from samples import add, batch, claim, state
from servers import ServerFolder

from sensorflow.adapters.postgres import migrate
from sensorflow.adapters.postgres.connect import engine_of, translated
from sensorflow.adapters.postgres.ledger import PostgresLedger
from sensorflow.core.keys import keys
from sensorflow.core.states import WORK, State
from sensorflow.embedded.postgres import Postgres
from sensorflow.errors import Code, Fenced, Transient
from sensorflow.ports.files import Counts
from sensorflow.ports.intake import OnChange
from sensorflow.ports.loading import Load


def by_way_of(database: str) -> Proxy:
    parts = sa.make_url(database)
    assert parts.host is not None
    assert parts.port is not None
    return Proxy(parts.host, parts.port)


def test_fault_09_a_load_whose_commit_was_not_answered_is_read_from_the_ledger(
    database: str, ledger: PostgresLedger
) -> None:
    file = add(ledger)
    with by_way_of(database) as proxy:
        distant = PostgresLedger(proxy.url(database), "distant")
        claimed = claim(distant, file)

        def rows() -> Iterator[tuple[pa.RecordBatch, pa.Array]]:
            yield batch(5), keys(batch(5), "plant/a.csv")
            proxy.cut_commits(1)  # the rows are sent; what comes next is the commit

        plan = Load(Counts(read=5), OnChange.SUPERSEDE, "p", "h", "0", ())
        with pytest.raises(Transient) as caught:
            distant.load(claimed, rows(), plan)
        assert proxy.cuts == 1
        assert state(ledger, file) is State.LOADED
        with pytest.raises(Fenced):  # the failure is not believed
            distant.nack(claimed, caught.value, 0, counts_as_attempt=False)
        distant.close()
    assert ledger.claim(file, WORK, "me", 60) is None
    assert ledger.totals()["plant"].rows_loaded == 5


def test_fault_09_answers_to_commit_lost_all_the_time(
    project: Path, database: str, valkey_url: str
) -> None:
    with by_way_of(database) as proxy, fleet(project, proxy.url(database), valkey_url) as f:
        f.database = database
        drops = DroppedFiles(f)
        f.start("daemon", "worker", "beat")
        for number in range(15):
            drops.put(f"{number}.csv")

        def lose() -> bool:
            if proxy.cuts < 12:
                proxy.cut_commits(1)
                time.sleep(0.2)
            with psycopg.connect(database) as admin:
                query = "SELECT count(*) FROM files WHERE state = 'loaded'"
                return admin.execute(query).fetchone() == (15,) and proxy.cuts >= 12

        f.wait = waits(f, database)  # type: ignore[method-assign]
        f.wait(lose)
        proxy.pass_all()
        assert_exact(f, drops.manifest)


def waits(f: Fleet, database: str):  # type: ignore[no-untyped-def]
    """The fleet's own look at the ledger does not go through the proxy."""
    f.ledger.close()
    f.ledger = PostgresLedger(database, "test")
    return Fleet.wait.__get__(f)


@pytest.fixture
def own_postgres(place: ServerFolder, tmp_path: Path) -> Iterator[Postgres]:
    """A server that a test may kill."""
    root = place.root / tmp_path.name
    root.mkdir(mode=0o755)
    server = Postgres(root, place.logs / tmp_path.name)
    server.start()
    migrate.upgrade(server.url)
    yield server
    server.process.terminate(30)


WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'COPY%%'"
)


def test_fault_09_and_38_an_outage_in_the_middle_of_loads_burns_no_attempt(
    project: Path, own_postgres: Postgres, valkey_url: str
) -> None:
    """Sessions are ended, and then the server is killed and stays away for longer than a lease."""
    url = own_postgres.url
    with fleet(project, url, valkey_url) as f:
        drops = DroppedFiles(f)
        f.start("daemon", "worker", "beat")
        drops.put("first.csv")
        f.wait(lambda: f.counts()["loaded"] == 1)
        admin = psycopg.connect(url)
        admin.execute("LOCK TABLE raw_readings IN ACCESS EXCLUSIVE MODE")
        for number in range(10):
            drops.put(f"{number}.csv")
        with psycopg.connect(url, autocommit=True) as watch:
            f.wait(lambda: watch.execute(WAITING).fetchone() != (0,))
            watch.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY%'"
            )
            f.wait(lambda: watch.execute(RETRIED).fetchone() != (0,))
            f.wait(lambda: watch.execute(WAITING).fetchone() != (0,))
        own_postgres.process.stop = signal.SIGQUIT  # at once, as after a loss of power
        own_postgres.process.terminate(10)
        time.sleep(5)
        own_postgres.process.stop = signal.SIGINT
        own_postgres.start()
        f.wait(lambda: f.counts()["loaded"] == 11)
        assert_exact(f, drops.manifest)
        for view in f.ledger.files():
            assert len(f.ledger.history(view.file_id)) < 20
        assert_no_attempt_burned(f)


def test_fault_38_after_a_start_a_lease_is_not_taken_before_its_holder_can_be_back(
    own_postgres: Postgres,
) -> None:
    ledger = PostgresLedger(own_postgres.url, "here")
    file = add(ledger)
    claimed = claim(ledger, file, lease=0.1)
    own_postgres.process.terminate(10)
    own_postgres.start()
    assert ledger.reconcile(60, None, grace=3600).expired == 0
    ledger.nack(claimed, Transient(Code.DATABASE, "away"), 0, counts_as_attempt=False)
    assert claim(ledger, file, lease=-1).attempt == 1
    assert (
        ledger.reconcile(60, None).expired == 1
    )  # of a worker that is gone, when the grace is over
    ledger.close()


RETRIED = "SELECT count(*) FROM file_events WHERE what = 'will be tried again'"


def test_fault_38_a_storm_of_retries_is_spread_capped_and_burns_nothing(
    project: Path, database: str, valkey_url: str
) -> None:
    """The ledger answers, but no file can be loaded."""
    signature = "make_reading_partition(timestamptz, text)"
    with (
        fleet(project, database, valkey_url, environment=LONG_LEASE) as f,
        psycopg.connect(database, autocommit=True) as admin,
    ):
        admin.execute(f"ALTER FUNCTION {signature} RENAME TO gone")  # type: ignore[arg-type]
        drops = DroppedFiles(f)
        for number in range(20):
            drops.put(f"{number}.csv")
        f.start("daemon", "worker", "beat")
        query = RETRIED.replace("*", "DISTINCT file_id")
        f.wait(lambda: admin.execute(query).fetchone() == (20,))
        f.wait(lambda: max(v.retries for v in f.ledger.files()) >= 3)
        delays = [e["delay"] for e in events(f, "worker", "file.retried")]
        assert len(set(delays)) > 10  # they do not come all at once
        assert 2 <= max(delays) <= 60  # and later each time
        assert {v.error_code for v in f.ledger.files()} == {"I511 schema-outdated"}
        admin.execute("ALTER FUNCTION gone RENAME TO make_reading_partition")
        f.wait(lambda: f.counts()["loaded"] == 20)
        assert_exact(f, drops.manifest)
        assert_no_attempt_burned(f)


def assert_no_attempt_burned(f: Fleet) -> None:
    for view in f.ledger.files():
        history = [(e.what, e.attempt, e.why) for e in f.ledger.history(view.file_id)]
        assert view.attempts == 1, history


@pytest.mark.parametrize(
    ("sqlstate", "code"),
    [
        ("40P01", Code.DATABASE),  # 10: deadlock
        ("40001", Code.DATABASE),  # 10: serialization failure
        ("53300", Code.DATABASE),  # 11: too many connections
        ("53100", Code.DATABASE_FULL),  # 12
        ("57P01", Code.DATABASE),  # 9: terminated by an administrator
        ("55P03", Code.DATABASE),  # 37: lock not available
        ("25006", Code.DATABASE),  # read-only: a standby
        ("25P04", Code.DATABASE),  # transaction_timeout
        ("55000", Code.DATABASE),  # not in the state that it takes
        ("55006", Code.DATABASE),  # a table that is in use
        ("24000", Code.DATABASE),  # of no class that is listed: by the driver's own
        ("08006", Code.DATABASE),
        ("57P03", Code.DATABASE),  # it starts up
        ("25P03", Code.DATABASE),  # idle in a transaction for too long
        ("42501", Code.DATABASE_RIGHTS),  # a privilege that was taken away
        ("42883", Code.SCHEMA),  # a function that a migration is to bring
        ("42P01", Code.SCHEMA),
        ("3F000", Code.SCHEMA),
        ("3D000", Code.DATABASE_LOGIN),
        ("28P01", Code.DATABASE_LOGIN),
        ("53400", Code.DATABASE_LIMIT),  # TimescaleDB's limit of decompressed rows
        ("54000", Code.DATABASE_LIMIT),
    ],
)
def test_faults_09_to_12_and_37_what_the_database_says_is_no_files_fault(
    database: str, sqlstate: str, code: Code
) -> None:
    engine = engine_of(database)
    raising = f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{sqlstate}'; END $$"
    with pytest.raises(Transient) as caught, translated(), engine.begin() as connection:
        connection.execute(sa.text(raising))
    assert caught.value.code is code
    driver = psycopg.connect(database)
    with pytest.raises(Transient) as caught, translated(), driver:  # as a COPY raises it
        driver.execute(raising)
    assert caught.value.code is code
    engine.dispose()


@pytest.mark.parametrize("sqlstate", ["22003", "23514", "42601", "P0001"])
def test_fault_38_what_a_statement_or_its_values_are_to_blame_for_is_no_outage(
    database: str, sqlstate: str
) -> None:
    raising = f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{sqlstate}'; END $$"
    driver = psycopg.connect(database)
    with pytest.raises(psycopg.Error), translated(), driver:
        driver.execute(raising)


def test_fault_11_no_connection_left_is_transient(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as admin:
        name = admin.info.dbname
        admin.execute(f"ALTER DATABASE {name} CONNECTION LIMIT 0")  # type: ignore[arg-type]
        admin.execute("CREATE ROLE pauper LOGIN PASSWORD 'pauper'")
        try:
            url = sa.make_url(database).set(username="pauper", password="pauper")
            with pytest.raises(Transient) as caught:
                PostgresLedger(url.render_as_string(False), "pauper").pending(1, 1)
        finally:
            admin.execute("DROP ROLE pauper")
    assert caught.value.code is Code.DATABASE
    assert "too many connections" in caught.value.message


def test_fault_37_a_table_altered_under_prepared_statements_is_transient(
    database: str, ledger: PostgresLedger
) -> None:
    """As a migration does it, while workers have claims prepared."""
    for number in range(8):
        claim(ledger, add(ledger, b"%d.csv" % number, number))
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute("ALTER TABLE files ADD COLUMN novelty int")
    last = add(ledger, b"last.csv", 99)
    try:
        claimed = ledger.claim(last, WORK, "me", 60)
    except Transient:
        claimed = ledger.claim(last, WORK, "me", 60)
    assert claimed is not None
    assert claimed.file_id == last
