"""A feed whose files are rows of a table in an SQLite database. A sender inserts a row for each file, and
sensorflow deletes the row after it has registered the file:

CREATE TABLE box (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT UNIQUE, data BLOB, written_ns INTEGER)
"""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from sensorflow.core.stability import takes
from sensorflow.errors import Code, Transient
from sensorflow.ports.feed import Candidate, Feed, Gone, Permit
from sensorflow.settings import Source

FOUND_WITH_DATA = "SELECT key, id, length(data), written_ns, data FROM box"
FOUND = FOUND_WITH_DATA.replace(", data FROM", " FROM")


class BoxSource(Source):
    """The settings of a source with kind = "box". file: path of the database, relative to the folder of
    sensorflow.toml."""

    kind: Literal["box"] = "box"
    file: Path


class BoxFile(io.BytesIO):
    def __init__(self, data: bytes, state: Callable[[], Candidate]) -> None:
        super().__init__(data)
        self.state = state


class BoxFeed(Feed):
    Source = BoxSource

    def __init__(self, name: str, source: BoxSource, home: Path) -> None:
        self.name, self._source, self._path = name, source, home / source.file
        self._looking, self._next = False, 0.0

    def poll(self, now: float) -> Iterable[Iterator[Candidate | None]]:
        if self._looking or now < self._next:
            return []
        self._next = now + 1
        return [self._look()]

    def _look(self) -> Iterator[Candidate]:
        self._looking = True
        try:
            yield from self.scan()
        finally:  # also if the intake does not read the iterator to its end
            self._looking = False

    def is_reachable(self) -> bool:
        with suppress(Transient):
            return bool(self._run("SELECT max(id) FROM box"))
        return False

    def scan(self) -> Iterator[Candidate]:
        found = (self._candidate(row) for row in self._run(f"{FOUND} ORDER BY id"))
        return (
            c for c in found if takes(c.key, self._source.accepted_patterns, self._source.exclude)
        )

    @contextmanager
    def open(self, candidate: Candidate) -> Iterator[BoxFile]:
        key = candidate.key.decode()
        found = self._run(f"{FOUND_WITH_DATA} WHERE key = ?", key)
        if not found:
            raise Gone("it is not in the box")
        *row, data = found[0]
        yield BoxFile(data, lambda: self._candidate(row))

    def is_unchanged(self, candidate: Candidate) -> bool:
        return bool(self._run("SELECT 1 FROM box WHERE id = ?", int(candidate.revision)))

    def ack(self, candidates: Sequence[Candidate], permit: Permit) -> Mapping[Candidate, str]:
        for done in candidates:
            if permit.is_allowed():  # by id, because newer data may have the same key
                self._run("DELETE FROM box WHERE id = ?", int(done.revision))
        return {}

    def _candidate(self, row: Sequence[Any]) -> Candidate:
        key, number, size, written = row
        return Candidate(self.name, key.encode(), str(number), size, written, written)

    def _run(self, sql: str, *values: Any) -> list[Any]:
        try:
            with closing(sqlite3.connect(self._path)) as box, box:
                return box.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise Transient(Code.STORAGE, f"{self._path}: {error}") from error
