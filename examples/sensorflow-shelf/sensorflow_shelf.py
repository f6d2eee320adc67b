"""An object store whose objects are rows of a table in an SQLite database: [storage] landing =
"shelf:landing.sqlite"."""

from __future__ import annotations

import io
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

from sensorflow.errors import Code, Transient
from sensorflow.ports.objects import Name, Object, Puts, Reader, rewinds

CREATE_TABLE = "CREATE TABLE IF NOT EXISTS shelf (name BLOB PRIMARY KEY, data BLOB, at REAL)"
CREATE_ROW = "INSERT INTO shelf VALUES (?, ?, ?) ON CONFLICT DO NOTHING RETURNING name"


def store(url: str, home: Path) -> FolderObjects:
    """The entry point: a `ports.objects.MakeStore`."""
    return FolderObjects(home / unquote(urlsplit(url).path))


class FolderObjects:
    """Implements `ports.objects.ObjectStore`."""

    def __init__(self, path: Path, name: str = "shelf") -> None:
        self.name, self._path = name, path

    def put(self, name: Name, source: Reader) -> str:
        with self.batch() as batch:
            return batch.put(name, source)

    def create(self, name: str, data: bytes) -> bool:
        row = os.fsencode(name), data, datetime.now(UTC).timestamp()
        return bool(self._run(CREATE_ROW, row))

    @contextmanager
    def batch(self) -> Iterator[Puts]:
        batch = _Batch()
        yield batch
        now = datetime.now(UTC).timestamp()
        rows = [(os.fsencode(name), data, now) for name, data in batch.found.items()]
        self._run("REPLACE INTO shelf VALUES (?, ?, ?)", *rows)  # one transaction, synced

    def open(self, name: str) -> BinaryIO:
        found = self._run("SELECT data FROM shelf WHERE name = ?", (os.fsencode(name),))
        if not found:
            raise Transient(Code.STORAGE, f"no object {name!r}") from FileNotFoundError(name)
        return io.BytesIO(found[0][0])

    def head(self, name: str) -> Object | None:
        asked = "SELECT length(data), at FROM shelf WHERE name = ?"
        found = self._run(asked, (os.fsencode(name),))
        return (
            Object(name, found[0][0], datetime.fromtimestamp(found[0][1], UTC)) if found else None
        )

    def list(self, prefix: str = "") -> Iterator[Object]:
        start = os.fsencode(prefix)
        asked = "SELECT name FROM shelf WHERE substr(name, 1, ?) = ?"
        for (name,) in self._run(asked, (len(start), start)):
            if (found := self.head(os.fsdecode(name))) is not None:  # it was not removed since
                yield found

    def copy(self, name: str, target: str) -> None:
        self.put(target, self.open(name))

    def delete(self, name: str) -> None:
        self._run("DELETE FROM shelf WHERE name = ?", (os.fsencode(name),))

    def created_at(self) -> datetime | None:
        return None

    def list_unfinished(self, older_than_seconds: float) -> Sequence[str]:
        return []  # a transaction that was not committed leaves nothing

    def remove_unfinished(self, older_than_seconds: float) -> int:
        return 0

    def _run(self, sql: str, *rows: tuple[Any, ...]) -> Sequence[Any]:
        try:
            with closing(sqlite3.connect(self._path)) as shelf, shelf:
                shelf.execute(CREATE_TABLE)
                if len(rows) == 1:
                    return shelf.execute(sql, rows[0]).fetchall()
                shelf.executemany(sql, rows)
                return []
        except sqlite3.Error as error:
            raise Transient(Code.STORAGE, f"{self._path}: {error}") from error


class _Batch:
    def __init__(self) -> None:
        self.found: dict[str, bytes] = {}

    def put(self, name: Name, source: Reader) -> str:
        data = source.read()
        final_name = name if isinstance(name, str) else name()
        if callable(name) and rewinds(source):  # as a bucket does: read for the name, then again
            source.seek(0)
            data = source.read()
            if name() != final_name:
                raise Transient(
                    Code.STORAGE, f"{final_name!r}: the second reading returned other bytes"
                )
        self.found[final_name] = data
        return final_name
