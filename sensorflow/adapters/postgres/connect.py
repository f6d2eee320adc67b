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

from sensorflow.errors import Code, Transient

KEEPALIVE = {"tcp_keepalives_idle": 10, "tcp_keepalives_interval": 5, "tcp_keepalives_count": 3}
"""Also for the server's end: what a host held that is gone (an advisory lock, say) is free again soon."""
OPTIONS = " ".join(
    ("-c timezone=UTC -c lock_timeout=20s", *(f"-c {k}={v}" for k, v in KEEPALIVE.items()))
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
            "options": OPTIONS,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 20_000,
        },
        **options,
    )
    sa.event.listen(engine, "checkin", _note_use)
    sa.event.listen(engine, "checkout", _try_again)
    return engine


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
        connection.execute("SELECT 1")
        connection.rollback()
    except psycopg.Error as error:
        raise sa.exc.DisconnectionError from error


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Driver errors that are no fault of a file become Transient DATABASE, with the cause kept."""
    try:
        yield
    except (sa.exc.DBAPIError, psycopg.Error) as error:
        cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
        if (fault := _fault(cause)) is None:
            raise
        raise fault from error
    except sa.exc.TimeoutError as error:
        raise Transient(Code.DATABASE, "no free connection in the pool") from error


_AWAY = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError)
_OUTDATED = (
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.UndefinedFunction,
    psycopg.errors.UndefinedObject,
    psycopg.errors.InvalidSchemaName,
)
_CHANGED = psycopg.errors.FeatureNotSupported
"""Said of a prepared statement whose table was altered meanwhile; the next try prepares it anew."""


def _fault(cause: BaseException | None) -> Transient | None:
    """What is wrong with the database; None where the statement or its values are to blame."""
    if isinstance(cause, psycopg.errors.DiskFull):
        return Transient(Code.DATABASE_FULL, _line(cause))
    if isinstance(cause, _AWAY):
        return Transient(Code.DATABASE, _line(cause))
    if isinstance(cause, psycopg.errors.InsufficientPrivilege):
        hint = "this user of the database has not the role for it, see `doctor`"
        return Transient(Code.DATABASE, f"{_line(cause)}: {hint}")
    if isinstance(cause, _OUTDATED):
        hint = "the schema is not up to date: run `sensorflow db upgrade`"
        return Transient(Code.DATABASE, f"{hint} ({_line(cause)})")
    if isinstance(cause, _CHANGED) and "cached plan" in str(cause):
        return Transient(Code.DATABASE, _line(cause))
    return None


def _line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
