"""Each source has its turn: one with ten thousand files keeps another one waiting for a group at most."""

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
    """Files that seem ready, from several streams, each of which yields None where it looked at one that is
    not."""

    def __init__(self, identity: Callable[[T], Hashable] = lambda file: file) -> None:
        """identity: equal for what is the same file."""
        self._identity = identity
        self._streams: deque[_Stream[T]] = deque()
        self._left: set[Hashable] = set()
        """Files that were gathered and put back."""

    def __bool__(self) -> bool:
        return bool(self._streams)

    def add(self, source: str, kind: str, files: Iterator[T | None], first: bool = False) -> None:
        stream = _Stream(source, kind, files)
        if first:
            self._streams.appendleft(stream)
        else:
            self._streams.append(stream)

    def put_back(self, source: str, files: list[T], first: bool) -> None:
        """Files that were gathered, and whose turn it is not yet."""
        self._left.update(map(self._identity, files))
        self.add(source, "left", iter(files), first)

    def clear(self) -> None:
        for source in {stream.source for stream in self._streams}:
            self.drop(source)
        self._left.clear()

    def drop(self, source: str) -> None:
        """What is left of a source: it is offered again."""
        for stream in [s for s in self._streams if s.source == source]:
            self._streams.remove(stream)
            if stream.kind == "left":
                self._left.difference_update(
                    self._identity(f) for f in stream.files if f is not None
                )
            elif isinstance(stream.files, Generator):
                stream.files.close()  # folders that it has open

    def gather(
        self, most: int, seconds: float, apart: Callable[[str], AbstractContextManager[None]]
    ) -> list[T]:
        """Up to `most` files, one of each stream after the other, of what is found in some seconds.

        apart: of a source; what it does not let through ends no more than the stream.
        """
        group: dict[Hashable, T] = {}
        until = time.monotonic() + seconds
        while self._streams and len(group) < most and time.monotonic() < until:
            stream, ended = self._streams.popleft(), True
            with apart(stream.source):
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
