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
from sensorflow.core.health import OUTAGE_SECONDS, FailingHost
from sensorflow.errors import REMEDY, Code, Transient, UsageError

_QUERY = sa.text(
    "SELECT current_setting('server_version') AS version, clock_timestamp() AS now,"
    " (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb') AS timescale"
)
ARRIVED_SECONDS = 3600.0
"""Maximum number of seconds before now in which `arrived` counts files."""
ARRIVED_EVENTS = 50_000
"""Number of the newest events that `arrived` examines."""


FAILURES = 3
"""Number of failures of a host without a finished file above which `failing_hosts` returns the host."""
FAILED_SECONDS = 3600.0
FAILED_EVENTS = 20_000
"""`failing_hosts` examines this number of the newest events, of the last `FAILED_SECONDS`."""


@dataclass(frozen=True)
class Server:
    version: str
    timescale: str | None
    now: datetime
    tls: bool


def server(url: str) -> Server:
    """Return the properties of the server to which `url` refers. Raises Transient DATABASE if the server
    is unavailable."""
    engine = engine_of(url, poolclass=sa.pool.NullPool)
    with translated(), engine.connect() as connection:
        row = connection.execute(_QUERY).one()
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        secure = bool(driver.pgconn.ssl_in_use)
    return Server(f"PostgreSQL {row.version.split()[0]}", row.timescale, row.now, secure)


def require_sessions(url: str) -> None:
    """Check that each client connection to the database has a session of its own. Raises UsageError POOLER
    if `url` refers to a pooler that is not in session mode. Does not raise if the database is
    unavailable."""
    try:
        server(url)
    except Transient as error:
        if error.code is Code.POOLER:
            raise UsageError(f"{error.message}; {REMEDY[error.code]}", error.code) from error


def arrived(url: str) -> dict[str, float]:
    """Return source -> the bytes per second of its files that were registered within the last hour. Raises
    Transient DATABASE."""
    engine = engine_of(url, poolclass=sa.pool.NullPool)
    with translated(), engine.connect() as connection:
        rows = run(connection, "arrived", events=ARRIVED_EVENTS, period=ARRIVED_SECONDS).all()
    return {row.source: row.bytes / row.seconds for row in rows}


def deferred(url: str) -> bool:
    """Return whether a migrated database is in the index mode "deferred", see `indexing`."""
    engine = engine_of(url, poolclass=sa.pool.NullPool)
    with translated(), engine.connect() as connection:
        return is_deferred(connection)


_ROLES = sa.text(
    "SELECT name FROM unnest(CAST(:names AS text[])) AS name"
    " WHERE to_regrole(name) IS NULL OR NOT has_table_privilege(to_regrole(name), 'files', 'SELECT')"
)
ROLES = ("sensorflow_owner", "sensorflow_loader", "sensorflow_reader")


def missing_roles(url: str) -> list[str]:
    """Return those of the `ROLES` that do not exist, or that have no privileges in this migrated database.

    Raises Transient DATABASE if the database is unavailable.
    """
    engine = engine_of(url, poolclass=sa.pool.NullPool)
    with translated(), engine.connect() as connection:
        return list(connection.scalars(_ROLES, {"names": list(ROLES)}))


def superseded_with_rows(url: str, limit: int = 3) -> list[sa.Row[Any]]:
    """Return the file names for which a newer version is loaded and older versions still have readings in
    the database. Returns at most `limit` rows; the names with the most readings come first.

    Columns: source, key_text: the source and the name. version: the newest of these older versions. rows:
    number of readings of the older versions. low, high: time span of these readings. names, total: the
    numbers of such names and of their readings, including the names beyond `limit`. Raises Transient
    DATABASE if the database is unavailable.
    """
    return _rows(url, "survivors", most=limit)


def remarks(url: str, days: int = 30, limit: int = 3) -> list[sa.Row[Any]]:
    """Return the newest remarks about versions that finished in the last `days` days, at most `limit`.
    Columns: id, source, key_text, version, remarks; files: the number of such versions, including those
    beyond `limit`."""
    return _rows(url, "remarks", days=days, most=limit)


@dataclass(frozen=True)
class Session:
    """A database session of sensorflow that holds locks.

    pid: PID of the session on the database server. name: application name; "sensorflow load ID" while the
    session loads the file with this id. client: address of the client; None for a Unix socket. state: the
    session's state in pg_stat_activity; None if the caller may not see it. age: seconds since the
    transaction began. silent: seconds since `state` changed, that is, since the current statement began or
    since the last statement ended. locks: descriptions of the locks. waiting: number of sessions that wait
    for this session. outdated: whether the session loads a file although its worker has lost the claim of
    the file.
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
    """Return the sessions of sensorflow that hold locks in a transaction older than `older_than` seconds,
    oldest transaction first.

    Raises Transient DATABASE if the database is unavailable.
    """
    rows = _rows(url, "old_sessions", older_than=older_than)
    return [Session(**{**row._mapping, "locks": tuple(row.locks)}) for row in rows]


RECENT = 600.0
"""A file counts as affected by an error only if it was nacked within this number of seconds, or waits for
its next attempt. The number is twice the longest delay between two attempts
(`flow.outcomes.SLOW_BACKOFF`)."""


def long_outages(url: str, longer: float = OUTAGE_SECONDS) -> list[sa.Row[Any]]:
    """Return the infrastructure errors with which the same files have been nacked for longer than `longer`
    seconds.

    Columns: code: the code of the error. lost: whether the landed objects of the files do not exist; the
    duration then does not matter. files: number of affected files. since: time of the first nack. file_id:
    the file that has waited longest. detail, todo: the error text of this file, and the remedy or None.
    details: the different error texts of all affected files. workers: the processes that have nacked the
    files last.
    """
    return _rows(url, "lasting", longer=longer, recent=RECENT)


def failing_hosts(url: str) -> list[FailingHost]:
    """Return the hosts whose workers have repeatedly failed to use a store since they last finished a file,
    see `FAILURES`."""
    facts = {"code": str(Code.STORAGE), "period": FAILED_SECONDS, "events": FAILED_EVENTS}
    rows = _rows(url, "failing_hosts", **facts, least=FAILURES)
    return [FailingHost(**row._mapping) for row in rows]


def holders(url: str) -> list[sa.Row[Any]]:
    """Return the owners of the intake leases, of the publisher's lease and of the periodic tasks. Columns:
    name: "intake of SOURCE", "publishing" or the name of the task; owner; ended: whether the lease has
    ended."""
    return _rows(url, "holders")


def backlog(url: str) -> list[sa.Row[Any]]:
    """Return the sources with unfinished files. Columns: source; files: number of unfinished files;
    key_text: name of the oldest of them; age: the number of seconds for which this file has waited."""
    return _rows(url, "backlog")


def recently_quarantined(url: str) -> list[sa.Row[Any]]:
    """Return the sources with files that were quarantined in the last 24 hours. Columns: source; files:
    number of these files; key_text, error_code: name and error code of the file that was quarantined
    last."""
    return _rows(url, "quarantined_lately")


def _rows(url: str, query: str, **facts: Any) -> list[sa.Row[Any]]:
    engine = engine_of(url, poolclass=sa.pool.NullPool)
    with translated(), engine.connect() as connection:
        return list(run(connection, query, **facts))


def readings_at(url: str, sensor: str, kind: str, ts: datetime) -> list[sa.Row[Any]]:
    """Return the readings of a sensor at one time. kind: the reading type. Columns: file_id, line_no, ts,
    value, unit, quality; growth: whether the file is a part of a growing file; line_base: number of lines
    of the growing file before this part, otherwise 0."""
    return _rows(url, "readings_at", sensor=sensor, kind=kind, ts=ts)


def readings_near(url: str, ts: datetime, seconds: float = 60.0) -> list[sa.Row[Any]]:
    """Return the pairs of sensor and reading type that have readings at most `seconds` seconds before or
    after a time; at most 1,000 rows. Columns: sensor; kind: the reading type; ts: time of the nearest
    reading."""
    return _rows(url, "readings_near", ts=ts, seconds=seconds)


def partitions(url: str) -> int:
    """Return the number of partitions of raw_readings. Raises Transient DATABASE if the database is
    unavailable."""
    engine = engine_of(url, poolclass=sa.pool.NullPool)
    query = "SELECT count(*) FROM pg_inherits WHERE inhparent = CAST('raw_readings' AS regclass)"
    with translated(), engine.connect() as c:
        return int(c.execute(sa.text(query)).scalar_one())
