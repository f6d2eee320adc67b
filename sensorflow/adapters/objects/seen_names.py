"""A set of names whose memory is bounded."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

MEMORY_NAMES = 20_000
"""Number of names up to which they are in memory. Further names are in a temporary file."""
CREATE = "CREATE TABLE seen (name BLOB PRIMARY KEY) WITHOUT ROWID"
INSERT = "INSERT OR IGNORE INTO seen VALUES (?)"
SELECT = "SELECT 1 FROM seen WHERE name = ?"


class SeenNames:
    """A set of names. Use it as a context manager, which removes the temporary file."""

    def __init__(self, memory_names: int = MEMORY_NAMES) -> None:
        self._room, self._names = memory_names, set[str]()
        self._database: sqlite3.Connection | None = None
        self._stack = ExitStack()

    def __enter__(self) -> SeenNames:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def add(self, name: str) -> None:
        if len(self._names) < self._room:
            self._names.add(name)
        elif name not in self._names:
            self._file().execute(INSERT, (_key(name),))

    def __contains__(self, name: str) -> bool:
        if name in self._names:
            return True
        if self._database is None:
            return False
        return self._database.execute(SELECT, (_key(name),)).fetchone() is not None

    def _file(self) -> sqlite3.Connection:
        """Return a database in a temporary file that has no name, and that SQLite removes when it is
        closed."""
        if self._database is None:
            import sqlite3

            self._database = sqlite3.connect("", check_same_thread=False)
            self._stack.callback(self._database.close)
            self._database.execute(CREATE)
        return self._database


def _key(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")
