"""Alembic's environment: the URL comes from sensorflow's settings, never from a file in here."""

from alembic import context
from sqlalchemy import pool

from sensorflow.adapters.postgres.connect import engine_of
from sensorflow.adapters.postgres.migrate import LOCKS, url_of_settings
from sensorflow.adapters.postgres.schema import metadata

OURS = frozenset(metadata.tables)


def ours(thing, name, type_, reflected, compare_to):
    """Partitions, chunks, and what an extension made are nobody's business here."""
    if type_ == "table":
        return name in OURS
    table = getattr(thing, "table", None)
    return table is None or table.name in OURS


def run() -> None:
    connection = context.config.attributes.get("connection")
    if connection is not None:
        return _migrate(connection)
    url = context.config.attributes.get("url") or url_of_settings()
    with engine_of(url, poolclass=pool.NullPool).connect() as connection:
        connection.exec_driver_sql(f"SET lock_timeout = '{LOCKS}'")
        connection.exec_driver_sql("SET idle_in_transaction_session_timeout = 0")
        connection.commit()
        return _migrate(connection)


def _migrate(connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_object=ours,
        compare_type=True,
        compare_server_default=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


run()
