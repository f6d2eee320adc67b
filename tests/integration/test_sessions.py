"""Sessions of dead and stopped peers in the database."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
import warm
from patience import PATIENCE
from samples import add, batch, claim, load, state

from sensorflow.adapters.postgres import connect, inspect
from sensorflow.adapters.postgres.connect import engine_of
from sensorflow.adapters.postgres.ledger import PostgresLedger
from sensorflow.cli import running
from sensorflow.core.states import State
from sensorflow.errors import REMEDY, Code, Fenced, Transient
from sensorflow.settings import Settings

AWAY = Transient(Code.STORAGE, "away")
HOLD = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"


def test_an_old_session_that_holds_locks_is_listed_with_what_it_holds(
    ledger: PostgresLedger, database: str
) -> None:
    file_id = add(ledger, b"a.csv", 1)
    lease = claim(ledger, file_id)
    assert inspect.old_sessions(database, 0) == []
    name = f"sensorflow load {file_id}"
    with (
        psycopg.connect(database, application_name=name) as connection,
        psycopg.connect(database, application_name="sensorflow") as idle,
        psycopg.connect(database, application_name="psql") as foreign,
    ):
        idle.execute("SELECT 1")
        foreign.execute(HOLD, ("sensorflow.indexes",))
        connection.execute(HOLD, (name,))
        connection.execute(HOLD, ("sensorflow.landing",))
        connection.execute("DELETE FROM raw_readings WHERE file_id = 0 AND ts = now()")
        (found,) = inspect.old_sessions(database, 0)
        assert (found.pid, found.name) == (connection.info.backend_pid, name)
        assert found.client == "127.0.0.1"
        assert found.state == "idle in transaction"
        assert "sensorflow.landing" in found.locks
        assert "files being loaded" in found.locks
        assert "raw_readings RowExclusiveLock" in found.locks
        assert (found.waiting, found.outdated) == (0, False)
        assert running.session_check(found).verdict == "ok"
        with waiting_for(database, name):
            (found,) = inspect.old_sessions(database, 0)
            assert (found.waiting, running.session_check(found).verdict) == (1, "ok")
        assert (
            running.session_check(replace(found, silent=90.0)).verdict == "ok"
        )  # it decodes a large file
        other = replace(found, name="sensorflow", silent=90.0)
        assert "pg_terminate_backend" in running.session_check(other).todo
        assert running.session_check(replace(other, state="active")).verdict == "ok"
        ledger.nack(lease, AWAY, 0, counts_as_attempt=False)
        (found,) = inspect.old_sessions(database, 0)
        assert found.outdated
        assert running.session_check(found).verdict == "fail"
        assert inspect.old_sessions(database, 600) == []


@contextmanager
def waiting_for(database: str, name: str) -> Iterator[None]:
    """A second session, of no name that is listed, waits for a file's lock."""
    with closing(psycopg.connect(database, application_name="psql")) as second:
        second.pgconn.send_query_params(HOLD.replace("%s", "$1::text").encode(), [name.encode()])
        blocked = "SELECT cardinality(pg_blocking_pids(%s))"
        with psycopg.connect(database, autocommit=True) as seen:
            deadline = time.monotonic() + PATIENCE
            while seen.execute(blocked, [second.info.backend_pid]).fetchone() == (0,):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            yield
            seen.execute("SELECT pg_terminate_backend(%s)", [second.info.backend_pid])


@contextmanager
def loading(database: str, file_id: int) -> Iterator[psycopg.Connection]:
    """The session of a worker that copied readings of a file and is not heard of any more."""
    name = f"sensorflow load {file_id}"
    with closing(psycopg.connect(database, application_name=name)) as connection:
        connection.execute(HOLD, (name,))
        yield connection


def test_at_its_first_attempt_too_a_file_is_taken_from_the_session_of_a_host_that_is_cut(
    ledger: PostgresLedger, database: str
) -> None:
    file_id = add(ledger)
    ledger.nack(claim(ledger, file_id), AWAY, -1, counts_as_attempt=False)
    with loading(database, file_id):
        claimed = claim(ledger, file_id)
        assert claimed.attempt == 1
        load(ledger, claimed, batch())
    assert state(ledger, file_id) is State.LOADED


def test_a_worker_that_has_lost_a_file_ends_nobodys_session(
    ledger: PostgresLedger, database: str
) -> None:
    """It was stopped just before its load, and goes on while the file's new worker loads it."""
    file_id = add(ledger)
    ledger.nack(claim(ledger, file_id), AWAY, -1, counts_as_attempt=False)
    old = claim(ledger, file_id, -1)
    claim(ledger, file_id)
    impatient = PostgresLedger(database + "?options=-c%20lock_timeout%3D200ms", "test")
    with loading(database, file_id) as new:
        with pytest.raises(Transient):
            load(impatient, old, batch())
        new.execute("SELECT 1")
    with pytest.raises(Fenced):
        load(impatient, old, batch())
    impatient.close()


KILLED = """
import os, signal, sys
from sensorflow.adapters.postgres.ledger import PostgresLedger
with PostgresLedger(sys.argv[1], "killed").publisher_lease(3600) as is_mine:
    assert is_mine()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_of_a_publisher_that_was_killed_the_lease_need_not_run_out(
    ledger: PostgresLedger, database: str
) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, database], check=False)
    assert done.returncode == -signal.SIGKILL
    (shown,) = running.ledger(Settings(), database)
    assert (shown.what, shown.found) == ("publisher's lease", "held by killed")
    with ledger.publisher_lease() as is_mine:
        assert is_mine()


def test_each_session_gives_up_a_silent_client(database: str) -> None:
    engine = engine_of(database)
    with engine.connect() as connection:
        for name, value in (
            ("idle_in_transaction_session_timeout", "1min"),
            ("tcp_keepalives_idle", "6"),
            ("tcp_user_timeout", "18000"),
            ("lock_timeout", "20s"),
            ("TimeZone", "UTC"),
        ):
            assert connection.scalar(sa.text(f"SHOW {name}")) == value
    engine.dispose()


def test_a_setting_that_the_server_does_not_know_breaks_no_connection(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connect.SESSION, "tcp_of_the_next_version", "1")
    engine = engine_of(database)
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SHOW lock_timeout")) == "20s"
    engine.dispose()


@pytest.mark.parametrize("wrong", ["password", "user", "database"])
def test_a_login_that_no_waiting_cures_is_no_outage(database: str, wrong: str) -> None:
    url = sa.make_url(database)
    parts = {"password": {"password": "x"}, "user": {"username": "nobody-here"}}
    given = url.set(**parts.get(wrong, {"database": "not_there"}))
    with pytest.raises(Transient) as caught:
        inspect.server(given.render_as_string(False))
    assert caught.value.code is Code.DATABASE_LOGIN


def test_what_outlasts_an_outage_is_named_by_doctor_and_status_with_its_remedy(
    ledger: PostgresLedger, database: str, project: Path, valkey_url: str
) -> None:
    limit = Transient(Code.DATABASE_LIMIT, "tuple decompression limit exceeded by operation")
    other = Transient(Code.DATABASE_LIMIT, "too many locks")
    for key, reason in ((b"a.csv", limit), (b"b.csv", other)):
        claimed = claim(ledger, add(ledger, key, key[0]))
        ledger.nack(claimed, reason, 300, counts_as_attempt=False)
    assert inspect.long_outages(database) == []
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE file_events SET at = at - interval '11 minutes'")
    (project / "sensorflow.toml").write_text("")
    env = {
        **{k: v for k, v in os.environ.items() if not k.startswith("SENSORFLOW_")},
        "SENSORFLOW_DATABASE_URL": database,
        "SENSORFLOW_BROKER_URL": valkey_url,
    }
    for command in ("doctor", "status"):
        output = warm.run(["sensorflow", command], env, project).stdout.decode()
        assert "2 files retried since" in output
        assert "I512 database-limit: tuple decompression limit" in output
        assert "; other files: too many locks" in output
        assert REMEDY[Code.DATABASE_LIMIT] in output
    with psycopg.connect(
        database
    ) as connection:  # the outage is over, and there is much to catch up
        connection.execute("UPDATE files SET not_before = now() - interval '6 minutes'")
    assert inspect.long_outages(database) == []
    ledger.nack(claim(ledger, 1), limit, 300, counts_as_attempt=False)
    (again,) = inspect.long_outages(database)
    assert (again.files, again.file_id) == (1, 1)


def test_no_session_compiles_its_statements(database: str) -> None:
    """A statement of a millisecond looks like a long one where most files wait, and would be compiled."""
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {admin.info.dbname} SET jit = on")  # type: ignore[arg-type]
    with engine_of(database, poolclass=sa.pool.NullPool).connect() as c:
        assert c.exec_driver_sql("SHOW jit").scalar() == "off"
