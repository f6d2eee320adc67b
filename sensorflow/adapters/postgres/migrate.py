"""Upgrades the database schema by running Alembic in this process. In an installed package, the migrations
are in the package's subfolder migrations; in a checkout, they are in a folder next to the package."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError

import sensorflow
from sensorflow import settings as settings_
from sensorflow.adapters.postgres.connect import engine_of, translated
from sensorflow.errors import Code, Transient, UsageError


def folder() -> Path:
    package = Path(sensorflow.__file__).parent
    installed = package / "migrations"
    return installed if installed.is_dir() else package.parent / "migrations"


def config(url: str | None = None) -> Config:
    alembic_config = Config()
    alembic_config.set_main_option("script_location", str(folder()).replace("%", "%%"))
    alembic_config.set_main_option("path_separator", "os")
    if url is not None:
        alembic_config.attributes["url"] = url
    return alembic_config


def url_of_settings() -> str:
    """Return the database URL from the settings file or the environment, for users who run the ``alembic``
    command. Raises UsageError if neither contains a database URL."""
    found = settings_.load(settings_.find(Path.cwd()), os.environ).database
    if found is None:
        raise UsageError(
            "alembic: no database_url is set; set SENSORFLOW_DATABASE_URL, "
            "or use `sensorflow db upgrade`, which starts the embedded PostgreSQL",
            Code.SETTINGS,
        )
    return found


TRIES, PAUSE = 60, 0.5
"""Maximum number of attempts of a migration, and mean number of seconds between two attempts. An attempt
waits for a lock only for a short time (`LOCKS`), because other sessions wait behind the attempt."""
LOCKS = "2s"
_BUSY = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)


def upgrade(url: str, revision: str = "head") -> None:
    """Upgrade the schema to a revision. Raises Transient DATABASE if the database is unavailable, or if
    other sessions hold the locks too long. Raises UsageError if a newer version of sensorflow has upgraded
    the schema."""

    def once() -> None:
        with translated():
            command.upgrade(config(url), revision)

    try:
        with_lock_retries(once)
    except CommandError as error:
        if (at := current(url)) is None or is_known(at):
            raise
        reason = f"the schema has revision {at}, but this version needs {head()}: {advice(at)}"
        raise UsageError(reason, Code.SCHEMA) from error


def with_lock_retries(work: Callable[[], None]) -> None:
    """Run `work`. If it fails because another session holds a lock, retry it several times."""
    for attempt in range(TRIES):
        try:
            return work()
        except Transient as error:
            cause = getattr(error.__cause__, "orig", None)
            if not isinstance(cause, _BUSY) or attempt == TRIES - 1:
                raise
            time.sleep(PAUSE * (0.5 + random.random()))
    return None


def downgrade(url: str, revision: str) -> None:
    with translated():
        command.downgrade(config(url), revision)


def head() -> str:
    return str(ScriptDirectory.from_config(config()).get_current_head())


def is_known(revision: str) -> bool:
    """Return whether this version of sensorflow contains the migration `revision`."""
    revisions = ScriptDirectory.from_config(config()).walk_revisions()
    return any(known.revision == revision for known in revisions)


def advice(at: str | None) -> str:
    """Return what to do if the schema of a database has the revision `at` and not the newest one. at: None
    if the database has no schema."""
    if at is None or is_known(at):
        return "run `sensorflow db upgrade`"
    return "a newer version has upgraded it; upgrade sensorflow on this host too"


def grants() -> str:
    """Return idempotent SQL that creates the group roles and grants their privileges. The SQL is the text
    `GRANTS` of all migrations, oldest first."""
    revisions = ScriptDirectory.from_config(config()).walk_revisions()
    found = [getattr(revision.module, "GRANTS", "") for revision in revisions]
    return "\n".join(text.strip() for text in reversed(found) if text)


def current(url: str) -> str | None:
    """Return the revision of the database's schema, or None if the database has no schema. Raises
    Transient DATABASE if the database is unavailable."""
    engine = engine_of(url, poolclass=sa.pool.NullPool)
    with translated(), engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()
