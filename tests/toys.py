"""The smallest feed: files in memory."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from sensorflow.errors import Code, Transient
from sensorflow.ports.feed import Candidate, Feed, Gone, Permit


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
        self._looking = False

    def poll(self, now: float) -> Iterable[Iterator[Candidate | None]]:
        return [] if self._looking else [self._look()]

    def _look(self) -> Iterator[Candidate]:
        self._looking = True
        try:
            yield from self.scan()
        finally:
            self._looking = False

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
