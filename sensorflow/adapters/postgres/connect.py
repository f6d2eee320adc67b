"""Connections to PostgreSQL, and its errors in sensorflow's words."""

from __future__ import annotations

import contextlib
import select
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import URL, Engine, make_url

from sensorflow.adapters.postgres import pooler
from sensorflow.adapters.postgres.sqlstates import fault_of
from sensorflow.errors import Code, Transient

SILENT = 18
"""Seconds after which a peer that does not answer is given up, at both ends of a connection. What a host
held that is cut off (a lock, the keys of its rows) is free again after them."""
IDLE = 60
"""Seconds in which a client that has a transaction open must ask for something. A process that is stopped
keeps its locks no longer. What takes longer for good reasons says so in its own transaction."""
SESSION = {
    "TimeZone": "UTC",
    "lock_timeout": "20s",
    "idle_in_transaction_session_timeout": f"{IDLE}s",
    "tcp_keepalives_idle": "6",
    "tcp_keepalives_interval": "4",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": f"{SILENT}s",
    # no statement here runs long enough to be worth compiling, which costs hundreds of milliseconds
    "jit": "off",
    # TimescaleDB's limit of compressed rows that a transaction may change: an undo, a retention of rows
    "timescaledb.max_tuples_decompressed_per_dml_transaction": "0",
}
"""Settings of each session, at the server. Set after connecting, for a pooler refuses them before; what a
server does not know is left out, and so is what the URL itself sets."""
_SET = (
    "SELECT pg_backend_pid(), count(set_config(s.name, given.value, false))"
    " FROM unnest(%s::text[], %s::text[]) AS given(name, value)"
    " JOIN pg_settings s ON s.name = given.name AND (s.source <> 'client' OR s.name = 'TimeZone')"
)


def url_of(text: str) -> URL:
    """Any PostgreSQL URL, for psycopg 3."""
    return make_url(text).set(drivername="postgresql+psycopg")


FRESH = 1.0
"""Seconds since its last use within which a connection is taken to be there still."""


def engine_of(text: str, **options: Any) -> Engine:
    """An engine; it connects when it is used. Sessions are in UTC, whatever the server is set to.

    A connection that was not used just now is tried first, and replaced where it is gone.
    """
    engine = sa.create_engine(
        url_of(text),
        connect_args={
            "connect_timeout": 5,
            "application_name": "sensorflow",
            "keepalives_idle": 6,
            "keepalives_interval": 4,
            "keepalives_count": 3,
            "tcp_user_timeout": SILENT * 1000,
        },
        **options,
    )
    sa.event.listen(engine, "connect", _begin)
    sa.event.listen(engine, "checkin", _note_use)
    sa.event.listen(engine, "checkout", _try_again)
    return engine


def _begin(connection: psycopg.Connection[Any], record: Any) -> None:
    """Of each new connection: the settings, in one round trip and without a transaction, and a look at what
    it leads to."""
    connection.autocommit = True
    row = connection.execute(_SET, (list(SESSION), list(SESSION.values()))).fetchone()
    assert row is not None
    record.info["pid"] = pid = row[0]
    if pooler.is_pooled(connection, pid):
        pooler.require_session_mode(connection)
    connection.autocommit = False


def _note_use(_connection: Any, record: Any) -> None:
    record.info["used"] = time.monotonic()


def _try_again(connection: Any, record: Any, _proxy: Any) -> None:
    """In place of the pool's own ping, which is a round trip for each use."""
    heard = select.poll()
    heard.register(connection.fileno(), select.POLLIN)
    silent = not heard.poll(0)
    if silent and time.monotonic() - record.info.get("used", time.monotonic()) < FRESH:
        return  # a server that had ended it would have said so
    try:
        row = connection.execute("SELECT pg_backend_pid()").fetchone()
        connection.rollback()
    except psycopg.Error as error:
        raise sa.exc.DisconnectionError from error
    if row[0] != record.info.get("pid", row[0]):
        raise pooler.not_in_session_mode("a session was given another connection")


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Driver errors that are no fault of a file become Transient, with the cause kept."""
    try:
        yield
    except (sa.exc.DBAPIError, psycopg.Error) as error:
        cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
        if (fault := fault_of(cause)) is None:
            raise
        raise fault from error
    except sa.exc.TimeoutError as error:
        raise Transient(Code.DATABASE, "all connections of the pool are in use") from error
