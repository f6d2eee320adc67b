"""An in-memory feed."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from sensorflow.errors import Code, Transient
from sensorflow.ports.feed import Candidate, Feed, Gone, GrowingFeed, Permit


class MemoryFeed(Feed):
    """A minimal in-memory feed (see `ports.feed.Feed`).

    files: key -> content of each existing file; `ack` removes the acknowledged files. errors: key ->
    exception that `open` raises for this file.
    """

    def __init__(self, name: str, files: Mapping[bytes, bytes] | None = None) -> None:
        self.name, self.files = name, dict(files or {})
        self.errors: dict[bytes, Exception] = {}
        self._polled = False

    def poll(self, now: float) -> Iterable[Iterator[Candidate | None]]:
        return [] if self._polled else [self._poll()]

    def _poll(self) -> Iterator[Candidate]:
        self._polled = True
        try:
            yield from self.scan()
        finally:
            self._polled = False

    def scan(self) -> Iterator[Candidate]:
        return map(self._candidate, list(self.files))

    def _candidate(self, key: bytes) -> Candidate:
        data = self.files[key]
        return Candidate(self.name, key, hashlib.sha256(data).hexdigest(), len(data), 0, 0)

    @contextmanager
    def open(self, candidate: Candidate) -> Iterator[MemoryFile]:
        if error := self.errors.get(candidate.key):
            raise error
        if (data := self.files.get(candidate.key)) is None:
            raise Gone("not there")
        yield MemoryFile(data, lambda: self._candidate(candidate.key))

    def is_unchanged(self, candidate: Candidate) -> bool:
        return candidate in self.scan()

    def ack(self, candidates: Sequence[Candidate], permit: Permit) -> Mapping[Candidate, str]:
        for done in candidates:
            if permit.is_allowed() and self.is_unchanged(done):
                del self.files[done.key]
        return {}


class MemoryFile(io.BytesIO):
    """An opened file of a `MemoryFeed`. state: the current candidate of the file."""

    def __init__(self, data: bytes, state: Callable[[], Candidate]) -> None:
        super().__init__(data)
        self.state = state


class GrowingMemoryFeed(MemoryFeed, GrowingFeed):
    """An in-memory feed of growing files. places: key -> number that identifies the file. The number stays
    the same when the file is renamed."""

    keeps = True

    def __init__(self, name: str, files: Mapping[bytes, bytes] | None = None) -> None:
        super().__init__(name, files)
        self.places: dict[bytes, int] = {}

    def place(self, candidate: Candidate) -> str:
        return f"memory:{self._number(candidate.key)}"

    def _number(self, key: bytes) -> int:
        return self.places.setdefault(key, max(self.places.values(), default=0) + 1)

    def siblings(self, candidate: Candidate) -> Sequence[Candidate]:
        return [file for file in self.scan() if file.key != candidate.key]

    def ack(self, candidates: Sequence[Candidate], permit: Permit) -> Mapping[Candidate, str]:
        return {}

    def rename(self, old: bytes, new: bytes) -> None:
        self.places[new] = self._number(old)
        del self.places[old]
        self.files = {new: self.files.pop(old), **self.files}


class AwayFeed(MemoryFeed):
    """A feed whose storage is unavailable."""

    def poll(self, now: float) -> Iterable[Iterator[Candidate | None]]:
        raise Transient(Code.STORAGE, "its server does not answer")

    def is_reachable(self) -> bool:
        return False
