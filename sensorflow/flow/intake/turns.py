"""Alternate between sources, so that a source with many files delays the others by at most one group."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class _Stream(Generic[T]):
    source: str
    kind: str
    files: Iterator[T | None]


class Turns(Generic[T]):
    """Gathers files from several streams, one file from each stream in turn. A stream yields None for a
    file that is not ready."""

    def __init__(self, identity: Callable[[T], Hashable] = lambda file: file) -> None:
        """identity: a function that returns equal values for the same file."""
        self._identity = identity
        self._streams: deque[_Stream[T]] = deque()
        self._left: set[Hashable] = set()
        """Identities of the files that were put back."""

    def __bool__(self) -> bool:
        return bool(self._streams)

    def add(self, source: str, kind: str, files: Iterator[T | None], first: bool = False) -> None:
        stream = _Stream(source, kind, files)
        if first:
            self._streams.appendleft(stream)
        else:
            self._streams.append(stream)

    def put_back(self, source: str, files: list[T], first: bool) -> None:
        """Put back files that were gathered but not landed."""
        self._left.update(map(self._identity, files))
        self.add(source, "left", iter(files), first)

    def clear(self) -> None:
        for source in {stream.source for stream in self._streams}:
            self.drop(source)
        self._left.clear()

    def drop(self, source: str) -> None:
        """Remove the streams of a source. Its feed offers the files again."""
        for stream in [s for s in self._streams if s.source == source]:
            self._streams.remove(stream)
            if stream.kind == "left":
                self._left.difference_update(
                    self._identity(f) for f in stream.files if f is not None
                )
            elif isinstance(stream.files, Generator):
                stream.files.close()  # closes the folders of a scan

    def gather(
        self, limit: int, seconds: float, isolate: Callable[[str], AbstractContextManager[None]]
    ) -> list[T]:
        """Returns up to `limit` files that were found within `seconds`, one from each stream in turn.

        isolate: returns a context manager that handles the exceptions of one source. If the context manager
        suppresses an exception, only the current stream ends.
        """
        group: dict[Hashable, T] = {}
        until = time.monotonic() + seconds
        while self._streams and len(group) < limit and time.monotonic() < until:
            stream, ended = self._streams.popleft(), True
            with isolate(stream.source):
                for file in stream.files:
                    ended = False
                    if file is not None:
                        which = self._identity(file)
                        if stream.kind == "left":
                            self._left.discard(which)
                        if which not in self._left:
                            group.setdefault(which, file)
                    break
            if not ended:
                self._streams.append(stream)
        return list(group.values())
