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
class _Feed(Generic[T]):
    source: str
    kind: str
    files: Iterator[T | None]


class Turns(Generic[T]):
    """Files that seem ready, from several feeds. A feed yields None where it looked at one that is not."""

    def __init__(self, identity: Callable[[T], Hashable] = lambda file: file) -> None:
        """identity: equal for what is the same file."""
        self._identity = identity
        self._feeds: deque[_Feed[T]] = deque()
        self._left: set[Hashable] = set()
        """Files that were gathered and put back."""

    def __bool__(self) -> bool:
        return bool(self._feeds)

    def add(self, source: str, kind: str, files: Iterator[T | None], first: bool = False) -> None:
        feed = _Feed(source, kind, files)
        if first:
            self._feeds.appendleft(feed)
        else:
            self._feeds.append(feed)

    def put_back(self, source: str, files: list[T], first: bool) -> None:
        """Files that were gathered, and whose turn it is not yet."""
        self._left.update(map(self._identity, files))
        self.add(source, "left", iter(files), first)

    def clear(self) -> None:
        for feed in self._feeds:
            if isinstance(feed.files, Generator):
                feed.files.close()  # folders that it has open
        self._feeds.clear()
        self._left.clear()

    def gather(
        self, most: int, seconds: float, apart: Callable[[str], AbstractContextManager[None]]
    ) -> list[T]:
        """Up to `most` files, one of each feed after the other, of what is found in some seconds.

        apart: of a source; what it does not let through ends no more than the feed.
        """
        group: dict[Hashable, T] = {}
        until = time.monotonic() + seconds
        while self._feeds and len(group) < most and time.monotonic() < until:
            feed, ended = self._feeds.popleft(), True
            with apart(feed.source):
                for file in feed.files:
                    ended = False
                    if file is not None:
                        which = self._identity(file)
                        if feed.kind == "left":
                            self._left.discard(which)
                        if which not in self._left:
                            group.setdefault(which, file)
                    break
            if not ended:
                self._feeds.append(feed)
        return list(group.values())
