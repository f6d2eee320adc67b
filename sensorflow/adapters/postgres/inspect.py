"""What kind of server a URL leads to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
import sqlalchemy as sa

from sensorflow.adapters.postgres.connect import engine_of, translated
from sensorflow.adapters.postgres.indexing import is_deferred
from sensorflow.adapters.postgres.queries import run
from sensorflow.errors import REMEDY, Code, Misuse, Transient

_QUERY = sa.text(
    "SELECT current_setting('server_version') AS version, clock_timestamp() AS now,"
    " (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb') AS timescale"
)


@dataclass(frozen=True)
class Server:
    version: str
    timescale: str | None
    now: datetime
    tls: bool


def server(url: str) -> Server:
    """Raises Transient DATABASE."""
    engine = engine_of(url, poolclass=sa.pool.NullPool)
    with translated(), engine.connect() as connection:
        row = connection.execute(_QUERY).one()
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        secure = bool(driver.pgconn.ssl_in_use)
    return Server(f"PostgreSQL {row.version.split()[0]}", row.timescale, row.now, secure)


def require_sessions(url: str) -> None:
    """Raises Misuse POOLER where `url` leads to a pooler that is not in session mode.

    A database that is away is no reason not to begin.
    """
    try:
        server(url)
    except Transient as error:
        if error.code is Code.POOLER:
            raise Misuse(f"{error.message}; {REMEDY[error.code]}", error.code) from error


def deferred(url: str) -> bool:
    """Whether the database, which is migrated, is for `dedupe_index = "deferred"`."""
    engine = engine_of(url, poolclass=sa.pool.NullPool)
    with translated(), engine.connect() as connection:
        return is_deferred(connection)


_ROLES = sa.text(
    "SELECT name FROM unnest(CAST(:names AS text[])) AS name"
    " WHERE to_regrole(name) IS NULL OR NOT has_table_privilege(to_regrole(name), 'files', 'SELECT')"
)
ROLES = ("sensorflow_owner", "sensorflow_loader", "sensorflow_reader")


def missing_roles(url: str) -> list[str]:
    """The group roles that are not there, or have no rights in this database, which is migrated.

    Raises Transient DATABASE.
    """
    engine = engine_of(url, poolclass=sa.pool.NullPool)
    with translated(), engine.connect() as connection:
        return list(connection.scalars(_ROLES, {"names": list(ROLES)}))


def survivors(url: str, most: int = 3) -> list[sa.Row[Any]]:
    """Names of which older versions hold readings beside a newer one: those with most of them.

    source, key_text, version (the newest of the older), rows, low, high; names and total of all.
    Raises Transient DATABASE.
    """
    return _rows(url, "survivors", most=most)


def remarks(url: str, days: int = 30, most: int = 3) -> list[sa.Row[Any]]:
    """The newest remarks about versions: id, source, key_text, version, remarks; files: how many in all."""
    return _rows(url, "remarks", days=days, most=most)


@dataclass(frozen=True)
class Session:
    """A session of sensorflow in the database that holds locks.

    name: its application name, "sensorflow load ID" while it loads a file. client: the address it comes
    from, None for a socket. age: seconds of its transaction. silent: seconds since its client last said
    something, or since its statement began. locks: what it holds, in words. waiting: how many sessions wait
    for it. outdated: it loads a file that it has no claim to any more.
    """

    pid: int
    name: str
    client: str | None
    state: str | None
    age: float
    silent: float | None
    locks: tuple[str, ...]
    waiting: int
    outdated: bool


def old_sessions(url: str, older_than: float) -> list[Session]:
    """Sessions whose transaction is older than so many seconds and that hold locks, the oldest first.

    Raises Transient DATABASE.
    """
    rows = _rows(url, "old_sessions", older_than=older_than)
    return [Session(**{**row._mapping, "locks": tuple(row.locks)}) for row in rows]


OUTAGE = 600.0
"""Seconds after which an error of the infrastructure is no outage that passes by itself."""
RECENT = 600.0
"""Seconds within which a file is given back again while an outage lasts: twice the longest wait between two
tries (`flow.outcomes.SELDOM`)."""


def lasting(url: str, longer: float = OUTAGE) -> list[sa.Row[Any]]:
    """Errors with which the same files have been given back for longer than an outage may last.

    code, files (how many), since, of the one that waits longest file_id and detail, and details of all.
    """
    return _rows(url, "lasting", longer=longer, recent=RECENT)


def holders(url: str) -> list[sa.Row[Any]]:
    """Who takes sources in ("intake of SOURCE") and who publishes ("publishing"): name, owner, ended."""
    return _rows(url, "holders")


def backlog(url: str) -> list[sa.Row[Any]]:
    """Sources with files that wait: source, files, and key_text and age (seconds) of the oldest."""
    return _rows(url, "backlog")


def quarantined_lately(url: str) -> list[sa.Row[Any]]:
    """Sources with files quarantined within a day: source, files, key_text and error_code of the last."""
    return _rows(url, "quarantined_lately")


def _rows(url: str, query: str, **facts: Any) -> list[sa.Row[Any]]:
    engine = engine_of(url, poolclass=sa.pool.NullPool)
    with translated(), engine.connect() as connection:
        return list(run(connection, query, **facts))


def readings_at(url: str, sensor: str, kind: str, ts: datetime) -> list[sa.Row[Any]]:
    """The readings of a sensor and type at an instant: file_id, line_no, ts, value, unit, quality; growth:
    whether the file is a part of a growing one, and line_base the lines before that part."""
    return _rows(url, "readings_at", sensor=sensor, kind=kind, ts=ts)


def readings_near(url: str, ts: datetime, seconds: float = 60.0) -> list[sa.Row[Any]]:
    """What has readings around a time: sensor, kind, and ts of the nearest one; 1,000 of these at most."""
    return _rows(url, "readings_near", ts=ts, seconds=seconds)


def months(url: str) -> int:
    """How many partitions the readings have. Raises Transient DATABASE."""
    engine = engine_of(url, poolclass=sa.pool.NullPool)
    query = "SELECT count(*) FROM pg_inherits WHERE inhparent = CAST('raw_readings' AS regclass)"
    with translated(), engine.connect() as c:
        return int(c.execute(sa.text(query)).scalar_one())
