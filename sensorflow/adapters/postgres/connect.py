"""Connections to PostgreSQL, and its errors in sensorflow's words."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import URL, Engine, make_url

from sensorflow.errors import Code, Transient

OPTIONS = "-c timezone=UTC -c lock_timeout=20s"


def url_of(text: str) -> URL:
    """Any PostgreSQL URL, for psycopg 3."""
    return make_url(text).set(drivername="postgresql+psycopg")


def engine_of(text: str, **options: Any) -> Engine:
    """An engine; it connects when it is used. Sessions are in UTC, whatever the server is set to."""
    return sa.create_engine(
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


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Driver errors that may pass become Transient DATABASE, with the cause kept."""
    try:
        yield
    except (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.InternalError) as error:
        raise Transient(Code.DATABASE, _line(error.orig or error)) from error
    except (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError) as error:
        raise Transient(Code.DATABASE, _line(error)) from error
    except sa.exc.ProgrammingError as error:
        if isinstance(error.orig, psycopg.errors.UndefinedTable | psycopg.errors.UndefinedColumn):
            hint = "the schema is not up to date: run `sensorflow db upgrade`"
            raise Transient(Code.DATABASE, hint) from error
        if isinstance(error.orig, psycopg.errors.InsufficientPrivilege):
            raise Transient(Code.DATABASE, _refused(error.orig)) from error
        raise
    except psycopg.errors.InsufficientPrivilege as error:
        raise Transient(Code.DATABASE, _refused(error)) from error
    except sa.exc.TimeoutError as error:
        raise Transient(Code.DATABASE, "no free connection in the pool") from error


def _refused(error: BaseException) -> str:
    return f"{_line(error)}: this user of the database has not the role for it, see `doctor`"


def _line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
