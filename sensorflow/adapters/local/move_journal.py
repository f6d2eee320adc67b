"""Remembers, in a file, which objects a migration of the storage has finished. A migration that was
interrupted continues with the others."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sensorflow.adapters.local.places import storage_errors
from sensorflow.errors import Code, Transient, UsageError
from sensorflow.ports.objects import Object

NAME = ".migration.sqlite"
"""Name of the file in the data folder. It needs about 40 bytes for each object."""
COMMIT_SECONDS = 1.0
SCHEMA = (
    "CREATE TABLE IF NOT EXISTS locations (text TEXT)",
    "CREATE TABLE IF NOT EXISTS done (object BLOB PRIMARY KEY) WITHOUT ROWID",
)


class MoveJournal:
    """The objects that are done: see `flow.storage_migration.Journal`. An object that has changed since is
    not done. Use it from one thread."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._commit_at = time.monotonic() + COMMIT_SECONDS

    def __contains__(self, entry: tuple[str, Object]) -> bool:
        query = "SELECT 1 FROM done WHERE object = ?"
        return self._connection.execute(query, (_key(*entry),)).fetchone() is not None

    def add(self, area: str, found: Object) -> None:
        insert = "INSERT OR IGNORE INTO done VALUES (?)"
        self._connection.execute(insert, (_key(area, found),))
        if time.monotonic() >= self._commit_at:
            self._connection.commit()
            self._commit_at = time.monotonic() + COMMIT_SECONDS

    def finish(self) -> None:
        """Record that all objects are done; see `is_finished`."""
        self._connection.execute("PRAGMA user_version = 1")


def is_finished(path: Path, locations: str) -> bool:
    """Return whether a move between these locations has copied all objects, as far as this host knows."""
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        ) as connection:
            if connection.execute("SELECT text FROM locations").fetchall() != [(locations,)]:
                return False
            return bool(connection.execute("PRAGMA user_version").fetchone()[0])
    except sqlite3.DatabaseError:
        return False


@contextmanager
def opened(path: Path, locations: str) -> Iterator[MoveJournal]:
    """Open the journal for a move between these locations. A journal of another move is emptied first.
    locations: text that identifies the previous and the current locations.

    Raises UsageError if another process uses the journal, and Transient STORAGE if the file cannot be
    written.
    """
    with storage_errors(), _translated(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=0)
    try:
        with _translated(path):
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("BEGIN EXCLUSIVE")
            for statement in SCHEMA:
                connection.execute(statement)
            if connection.execute("SELECT text FROM locations").fetchall() != [(locations,)]:
                connection.execute("DELETE FROM locations")
                connection.execute("DELETE FROM done")
                connection.execute("INSERT INTO locations VALUES (?)", (locations,))
            connection.execute("PRAGMA user_version = 0")
            connection.commit()
            yield MoveJournal(connection)
    finally:
        with _translated(path):
            connection.commit()
        connection.close()


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise UsageError(
                "another migration of this project is running; wait until it has finished"
            ) from error
        raise Transient(Code.STORAGE, f"{path}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise UsageError(f"{path} is damaged ({error}): remove this file") from error


def _key(area: str, found: Object) -> bytes:
    text = f"{area}/{found.name}\0{found.size}\0{found.modified_at.isoformat()}"
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).digest()
