"""Connections to PostgreSQL, and the translation of its errors."""

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
"""Seconds after which the client or the server closes a connection because the other side does not answer.
This releases the locks and the uncommitted rows of a disconnected host."""
IDLE = 60
"""Seconds that a client may be idle in an open transaction. This limits how long a suspended process holds
its locks. Transactions that need more time set their own limit."""
SESSION = {
    "TimeZone": "UTC",
    "lock_timeout": "20s",
    "idle_in_transaction_session_timeout": f"{IDLE}s",
    "tcp_keepalives_idle": "6",
    "tcp_keepalives_interval": "4",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": f"{SILENT}s",
    # no statement here runs long enough to justify JIT compilation, which costs hundreds of milliseconds
    "jit": "off",
    # no limit: an undo or row retention may change more compressed rows in a transaction than TimescaleDB
    # allows by default
    "timescaledb.max_tuples_decompressed_per_dml_transaction": "0",
}
"""Server-side settings of each session. They are set after connecting because poolers reject them as
startup parameters. A setting is skipped if the server does not know it or the URL sets it.

Without `sensorflow.records_touched`, a trigger records changes of readings, as for older versions."""
_SET = (
    "SELECT pg_backend_pid(), count(set_config(s.name, given.value, false)),"
    " max(set_config('sensorflow.records_touched', 'on', false))"
    " FROM unnest(%s::text[], %s::text[]) AS given(name, value)"
    " JOIN pg_settings s ON s.name = given.name AND (s.source <> 'client' OR s.name = 'TimeZone')"
)


def url_of(text: str) -> URL:
    """Parse any PostgreSQL URL for use with psycopg 3."""
    return make_url(text).set(drivername="postgresql+psycopg")


MAX_IDLE_SECONDS = 1.0
"""Number of seconds after its last use for which a connection is assumed to work."""


def engine_of(text: str, **options: Any) -> Engine:
    """Create an engine that connects on first use. Its sessions use UTC, regardless of the server's
    setting.

    If a connection was not used recently, it is tested before use, and replaced if it is broken.
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
    """Initialize a new connection: apply the settings in one round trip, outside a transaction, and
    check for a pooler."""
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
    """Test a connection that was not used recently. Replaces the pool's own ping, which costs a round trip
    at each checkout."""
    heard = select.poll()
    heard.register(connection.fileno(), select.POLLIN)
    silent = not heard.poll(0)
    if silent and time.monotonic() - record.info.get("used", time.monotonic()) < MAX_IDLE_SECONDS:
        return  # if the server had ended the connection, there would be data to read
    try:
        row = connection.execute("SELECT pg_backend_pid()").fetchone()
        connection.rollback()
    except psycopg.Error as error:
        raise sa.exc.DisconnectionError from error
    if row[0] != record.info.get("pid", row[0]):
        raise pooler.not_in_session_mode("a session got another server connection")


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Translate a driver error to Transient, unless a file may have caused the error. The driver's error is
    the `__cause__`."""
    try:
        yield
    except (sa.exc.DBAPIError, psycopg.Error) as error:
        cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
        if (fault := fault_of(cause)) is None:
            raise
        raise fault from error
    except sa.exc.TimeoutError as error:
        raise Transient(Code.DATABASE, "all connections of the pool are in use") from error
