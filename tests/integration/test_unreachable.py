"""Servers that are away are Transient, with the code that says which."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sensorflow.adapters.postgres.ledger import PostgresLedger
from sensorflow.adapters.queues.celery import CeleryPublisher
from sensorflow.core.arrival import OutboxEntry
from sensorflow.core.states import Stage
from sensorflow.errors import Code, Transient
from sensorflow.ports.queue import Message

WAITING = OutboxEntry(
    1, "p", b"a.csv", 1, 1, bytes(16), "aa/aa", Stage.VALIDATE, datetime(2026, 1, 1, tzinfo=UTC)
)


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "amqp://127.0.0.1:1//"])
def test_a_broker_that_is_away(url: str) -> None:
    queue = CeleryPublisher(url, "landing")
    with pytest.raises(Transient) as caught:
        queue.publish([Message([WAITING])])
    assert caught.value.code is Code.BROKER
    with pytest.raises(Transient) as caught:
        queue.depth()
    assert caught.value.code is Code.BROKER


def test_a_database_that_is_away() -> None:
    ledger = PostgresLedger("postgresql://u:secret@127.0.0.1:1/d", "test")
    with pytest.raises(Transient) as caught:
        ledger.pending(1, 1)
    assert caught.value.code is Code.DATABASE
    assert "secret" not in str(caught.value)


def test_a_database_without_schema_says_what_to_run(empty_database: str) -> None:
    with pytest.raises(Transient, match="sensorflow db upgrade"):
        PostgresLedger(empty_database, "test").pending(1, 1)


def test_sessions_ended_by_the_server_are_transient_and_the_next_call_works(
    database: str, ledger: PostgresLedger
) -> None:
    import psycopg

    ledger.pending(1, 1)
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert ledger.pending(1, 1) == []
