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


def _rows(url: str, query: str, **facts: Any) -> list[sa.Row[Any]]:
    engine = engine_of(url, poolclass=sa.pool.NullPool)
    with translated(), engine.connect() as connection:
        return list(run(connection, query, **facts))


def months(url: str) -> int:
    """How many partitions the readings have. Raises Transient DATABASE."""
    engine = engine_of(url, poolclass=sa.pool.NullPool)
    query = "SELECT count(*) FROM pg_inherits WHERE inhparent = CAST('raw_readings' AS regclass)"
    with translated(), engine.connect() as c:
        return int(c.execute(sa.text(query)).scalar_one())
