"""The smallest feed: files in memory."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from sensorflow.errors import Code, Transient
from sensorflow.ports.feed import Candidate, Feed, Gone, GrowingFeed, Permit


class ToyFile(io.BytesIO):
    """named: the candidate that it is now."""

    def __init__(self, data: bytes, named: Callable[[], Candidate]) -> None:
        super().__init__(data)
        self.state = named


class ToyFeed(Feed):
    """errors: what comes instead of a file that is opened. emptied: called when nothing is left."""

    def __init__(self, name: str, files: dict[bytes, bytes]) -> None:
        self.name, self.files = name, files
        self.errors: dict[bytes, Exception] = {}
        self.emptied: Callable[[], object] = lambda: None

    def poll(self, now: float) -> Iterable[Iterator[Candidate | None]]:
        return [self.scan()]

    def scan(self) -> Iterator[Candidate]:
        return map(self._candidate, list(self.files))

    def _candidate(self, key: bytes) -> Candidate:
        data = self.files[key]
        return Candidate(self.name, key, hashlib.sha256(data).hexdigest(), len(data), 0, 0)

    @contextmanager
    def open(self, candidate: Candidate) -> Iterator[ToyFile]:
        if error := self.errors.get(candidate.key):
            raise error
        if (data := self.files.get(candidate.key)) is None:
            raise Gone("not there")
        yield ToyFile(data, lambda: self._candidate(candidate.key))

    def unchanged(self, candidate: Candidate) -> bool:
        return candidate in self.scan()

    def ack(self, candidates: Sequence[Candidate], by: Permit) -> Mapping[Candidate, str]:
        for done in candidates:
            if by.allowed() and self.unchanged(done):
                del self.files[done.key]
        if not self.files:
            self.emptied()
        return {}


class AwayFeed(ToyFeed):
    """What has its files is away."""

    def poll(self, now: float) -> Iterable[Iterator[Candidate | None]]:
        raise Transient(Code.STORAGE, "its server does not answer")

    def reachable(self) -> bool:
        return False


class GrowingToy(ToyFeed, GrowingFeed):
    """Files in memory that grow. places: by key; a file that is renamed keeps its own."""

    keeps = True

    def __init__(self, name: str, files: dict[bytes, bytes]) -> None:
        super().__init__(name, files)
        self.places: dict[bytes, int] = {}

    def place(self, candidate: Candidate) -> str:
        return f"toy:{self._number(candidate.key)}"

    def _number(self, key: bytes) -> int:
        return self.places.setdefault(key, max(self.places.values(), default=0) + 1)

    def siblings(self, candidate: Candidate) -> Sequence[Candidate]:
        return [file for file in self.scan() if file.key != candidate.key]

    def ack(self, candidates: Sequence[Candidate], by: Permit) -> Mapping[Candidate, str]:
        return {}

    def rename(self, old: bytes, new: bytes) -> None:
        self.places[new] = self._number(old)
        del self.places[old]
        self.files = {new: self.files.pop(old), **self.files}
