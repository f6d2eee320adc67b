"""Pauses garbage collection while stored files are copied to another place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from sensorflow.adapters.postgres.connect import engine_of, translated
from sensorflow.adapters.postgres.queries import run
from sensorflow.errors import UsageError


@contextmanager
def files_kept(url: str) -> Iterator[None]:
    """Return a context manager during which garbage collection removes no file. The lock belongs to the
    session: if the process is killed, garbage collection continues.

    Raises UsageError if a backup or another migration of the database is running. Raises Transient DATABASE
    if the database is unavailable, or if the lock was lost.
    """
    engine = engine_of(url, poolclass=sa.pool.NullPool)
    with translated(), engine.connect() as holder:
        run(holder, "wait_long")
        holder.commit()
        hold_files(holder)
        yield
        run(holder, "saved_kind")  # raises if the locks were lost with their connection


def hold_files(holder: sa.Connection) -> None:
    """Lock the stored files against removal until the connection is closed. Raises UsageError if another
    process has locked them."""
    if not run(holder, "hold_backup").scalar_one():
        raise UsageError(
            "a backup or a migration of the storage is running; wait until it has finished"
        )
    run(holder, "hold_disk")
    holder.commit()
