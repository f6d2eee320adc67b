"""Where the original bytes are kept."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime
from typing import BinaryIO, Protocol

from sensorflow.core.arrival import Landed


class Reader(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


class LandingGroup(Protocol):
    """Objects of a landing zone that are synced together, which is cheaper than one by one."""

    def put(self, stream: Reader) -> Landed:
        """Copy a stream to its end; the object is not there before `settle`."""
        ...

    def settle(self) -> None:
        """All that was put is synced, and has its name."""
        ...


class Landing(Protocol):
    """The original bytes of every file, under names made of their SHA-256.

    Raises Transient STORAGE when the disk is full or away.
    """

    bucket: str

    def put(self, stream: Reader) -> Landed:
        """Copy a stream to its end; on return the bytes are synced. The same bytes twice: one object."""
        ...

    def group(self) -> AbstractContextManager[LandingGroup]:
        """Of what is put and not settled, nothing is left at the end."""
        ...

    def open(self, name: str) -> BinaryIO:
        """A seekable reader. Raises Transient STORAGE when the object is not there."""
        ...

    def size(self, name: str) -> int | None:
        """Of an object, in bytes; None when it is not there. Raises when the whole zone is not."""
        ...

    def began(self) -> datetime | None:
        """Since when the zone is there, if it was made anew by a writer; None if unknown."""
        ...

    def unfinished(self, older: float) -> list[str]:
        """What writers left that were killed more than `older` seconds ago: it may be removed."""
        ...

    def has(self, name: str) -> bool:
        """Whether the object is there."""
        ...

    def remove(self, name: str) -> None:
        """Remove one object; nothing happens when there is none."""
        ...
