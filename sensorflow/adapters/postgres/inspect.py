"""Diagnostic queries about a server and its database, for commands such as `doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
import sqlalchemy as sa

from sensorflow.adapters.postgres.connect import engine_of, translated
from sensorflow.adapters.postgres.indexing import is_deferred
from sensorflow.adapters.postgres.queries import run
from sensorflow.errors import REMEDY, Code, Transient, UsageError

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
    """Return the properties of the server. Raises Transient DATABASE."""
    engine = engine_of(url, poolclass=sa.pool.NullPool)
    with translated(), engine.connect() as connection:
        row = connection.execute(_QUERY).one()
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        secure = bool(driver.pgconn.ssl_in_use)
    return Server(f"PostgreSQL {row.version.split()[0]}", row.timescale, row.now, secure)


def require_sessions(url: str) -> None:
    """Check that a session keeps its server connection. Raises UsageError POOLER if `url` refers to a
    pooler that is not in session mode. Does not raise if the database is unavailable."""
    try:
        server(url)
    except Transient as error:
        if error.code is Code.POOLER:
            raise UsageError(f"{error.message}; {REMEDY[error.code]}", error.code) from error


def deferred(url: str) -> bool:
    """Whether a migrated database is in the mode `dedupe_index = "deferred"`."""
    engine = engine_of(url, poolclass=sa.pool.NullPool)
    with translated(), engine.connect() as connection:
        return is_deferred(connection)


_ROLES = sa.text(
    "SELECT name FROM unnest(CAST(:names AS text[])) AS name"
    " WHERE to_regrole(name) IS NULL OR NOT has_table_privilege(to_regrole(name), 'files', 'SELECT')"
)
ROLES = ("sensorflow_owner", "sensorflow_loader", "sensorflow_reader")


def missing_roles(url: str) -> list[str]:
    """Return the group roles that do not exist or have no privileges in this migrated database.

    Raises Transient DATABASE.
    """
    engine = engine_of(url, poolclass=sa.pool.NullPool)
    with translated(), engine.connect() as connection:
        return list(connection.scalars(_ROLES, {"names": list(ROLES)}))


def superseded_with_rows(url: str, limit: int = 3) -> list[sa.Row[Any]]:
    """Return the file names under which older versions still have readings although a newer version is
    loaded. The names with the most readings come first.

    Columns: source and key_text: the name. version: the newest of these older versions. rows, low, high:
    number and time span of their readings. names, total: the numbers of all such names and of all their
    readings, including names beyond `limit`. Raises Transient DATABASE.
    """
    return _rows(url, "survivors", most=limit)


def remarks(url: str, days: int = 30, limit: int = 3) -> list[sa.Row[Any]]:
    """Return the newest remarks about versions, at most `limit`. Columns: id, source, key_text, version,
    remarks; files: the number of all files with remarks."""
    return _rows(url, "remarks", days=days, most=limit)


@dataclass(frozen=True)
class Session:
    """A database session of sensorflow that holds locks.

    name: application name; "sensorflow load ID" while the session loads a file. client: address of the
    client; None for a Unix socket. age: seconds since the transaction began. silent: seconds since the
    client last sent data, or since the current statement began. locks: descriptions of the locks. waiting:
    number of sessions that this session blocks. outdated: whether the session loads a file although the
    claim of the file was lost.
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
    """Return the sessions that hold locks in a transaction older than `older_than` seconds, oldest first.

    Raises Transient DATABASE.
    """
    rows = _rows(url, "old_sessions", older_than=older_than)
    return [Session(**{**row._mapping, "locks": tuple(row.locks)}) for row in rows]


OUTAGE = 600.0
"""Seconds after which an infrastructure error no longer counts as a passing outage."""
RECENT = 600.0
"""A file counts as affected by an outage if it was nacked within this number of seconds. The number is
twice the longest delay between two attempts (`flow.outcomes.SLOW_BACKOFF`)."""


def long_outages(url: str, longer: float = OUTAGE) -> list[sa.Row[Any]]:
    """Return the errors with which files have been nacked repeatedly for longer than `longer` seconds.

    Columns: code: the code of the error. files: number of affected files. since: time of the first nack.
    file_id, detail: the file that has waited longest, and its error text. details: the error texts of all
    files.
    """
    return _rows(url, "lasting", longer=longer, recent=RECENT)


def holders(url: str) -> list[sa.Row[Any]]:
    """Return the holders of the intake leases and of the publisher lease. Columns: name: "intake of SOURCE"
    or "publishing"; owner; ended: whether the lease has ended."""
    return _rows(url, "holders")


def backlog(url: str) -> list[sa.Row[Any]]:
    """Return the sources with pending files. Columns: source; files: number of pending files; key_text,
    age: name of the oldest file, and its age in seconds."""
    return _rows(url, "backlog")


def recently_quarantined(url: str) -> list[sa.Row[Any]]:
    """Return the sources with files that were quarantined in the last 24 hours. Columns: source; files:
    number of these files; key_text, error_code: name and error of the last of these files."""
    return _rows(url, "quarantined_lately")


def _rows(url: str, query: str, **facts: Any) -> list[sa.Row[Any]]:
    engine = engine_of(url, poolclass=sa.pool.NullPool)
    with translated(), engine.connect() as connection:
        return list(run(connection, query, **facts))


def readings_at(url: str, sensor: str, kind: str, ts: datetime) -> list[sa.Row[Any]]:
    """Return the readings of a sensor and type at one time. Columns: file_id, line_no, ts, value, unit,
    quality; growth: whether the file is a part of a growing file; line_base: number of lines before this
    part."""
    return _rows(url, "readings_at", sensor=sensor, kind=kind, ts=ts)


def readings_near(url: str, ts: datetime, seconds: float = 60.0) -> list[sa.Row[Any]]:
    """Return the sensors and types that have readings within `seconds` of a time, at most 1,000 rows.
    Columns: sensor, kind; ts: time of the nearest reading."""
    return _rows(url, "readings_near", ts=ts, seconds=seconds)


def months(url: str) -> int:
    """Return the number of partitions of the readings. Raises Transient DATABASE."""
    engine = engine_of(url, poolclass=sa.pool.NullPool)
    query = "SELECT count(*) FROM pg_inherits WHERE inhparent = CAST('raw_readings' AS regclass)"
    with translated(), engine.connect() as c:
        return int(c.execute(sa.text(query)).scalar_one())
