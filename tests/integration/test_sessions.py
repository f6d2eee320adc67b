"""Sessions of dead and stopped peers in the database."""

from __future__ import annotations

import psycopg
from samples import add, claim

from sensorflow.adapters.postgres import inspect
from sensorflow.adapters.postgres.ledger import PostgresLedger
from sensorflow.errors import Code, Transient


def test_an_old_session_that_holds_locks_is_listed_with_what_it_holds(
    ledger: PostgresLedger, database: str
) -> None:
    file_id = add(ledger, b"a.csv", 1)
    lease = claim(ledger, file_id)
    assert inspect.old_sessions(database, 0) == []
    name = f"sensorflow load {file_id}"
    lock = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"
    with (
        psycopg.connect(database, application_name=name) as held,
        psycopg.connect(database, application_name="sensorflow") as idle,
        psycopg.connect(database, application_name="psql") as foreign,
    ):
        idle.execute("SELECT 1")
        foreign.execute(lock, ("sensorflow.indexes",))
        held.execute(lock, (name,))
        held.execute(lock, ("sensorflow.landing",))
        held.execute("DELETE FROM raw_readings WHERE file_id = 0 AND ts = now()")
        (found,) = inspect.old_sessions(database, 0)
        assert (found.pid, found.name) == (held.info.backend_pid, name)
        assert found.client == "127.0.0.1"
        assert found.state == "idle in transaction"
        assert "sensorflow.landing" in found.locks
        assert "files being loaded" in found.locks
        assert "raw_readings RowExclusiveLock" in found.locks
        assert (found.waiting, found.outdated) == (0, False)
        ledger.release(lease, Transient(Code.STORAGE, "away"), 0, burned=False)
        (found,) = inspect.old_sessions(database, 0)
        assert found.outdated
        assert inspect.old_sessions(database, 600) == []
