"""The id of the project, in the ledger."""

from __future__ import annotations

import sqlalchemy as sa

from sensorflow.adapters.postgres.connect import engine_of, translated
from sensorflow.adapters.postgres.queries import run
from sensorflow.adapters.postgres.transactions import Transactions
from sensorflow.ports.project import Project


class ProjectRecord(Transactions):
    """Implements `ports.project.ProjectRecord`."""

    def project(self) -> Project:
        with self._statement() as c:
            return _project(c)


def project(url: str) -> Project:
    """Return the project of a database. Raises Transient DATABASE if the database is unavailable, and
    Transient SCHEMA if its schema is older than 0022."""
    engine = engine_of(url, poolclass=sa.pool.NullPool)
    with translated(), engine.connect() as connection:
        return _project(connection)


def _project(connection: sa.Connection) -> Project:
    row = run(connection, "project").one()
    stored = {"landing": row.has_landed, "lake": row.has_layers}
    return Project(row.id, row.has_files, frozenset(zone for zone, has in stored.items() if has))
