"""Objects, bytes under names: on a disk, in a bucket, in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol, TypeAlias, TypeGuard


class Reader(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


class Rewindable(Reader, Protocol):
    def seekable(self) -> bool: ...

    def seek(self, offset: int, /) -> int: ...


def rewinds(source: Reader) -> TypeGuard[Rewindable]:
    """Whether a source can be read once more, from its start."""
    return bool(getattr(source, "seekable", bool)())


Name: TypeAlias = str | Callable[[], str]
"""An object's name, or what makes it once the source has been read to its end (see `Puts.put`).

Parts joined by "/"; no part is empty, "." or ".."; no name is a folder of another. Bytes that are not
UTF-8 are escaped as by PEP 383.
"""


@dataclass(frozen=True, slots=True)
class Object:
    """size in bytes; modified_at: when it was written, by the store's clock (aware)."""

    name: str
    size: int
    modified_at: datetime


class Puts(Protocol):
    def put(self, name: Name, source: Reader) -> str:
        """Store a source, read to its end; returns the object's name.

        Atomic: the object is there whole, or as it was before. An object of that name is replaced.
        What the source raises is raised, and nothing is stored. A source that rewinds stands at its start.

        A name made of a hash is given as a string where it is known (the source was read once already),
        else as a callable, which names what was read since the start. A disk writes under a temporary
        name, asks for the name and renames: the source is read once. A bucket cannot rename, and nothing
        is uploaded to be copied: a source that rewinds is read twice, and uploaded in the second reading,
        any other is read into a temporary file first. After each reading the bucket asks for the name;
        where the answers differ, it raises Transient STORAGE and stores nothing.
        """
        ...


class ObjectStore(Puts, Protocol):
    """Objects of one zone. Safe between threads, and between processes: the daemon and all workers have a
    store of the same zone. Nothing is connected before the first call.

    `put` and `copy` are durable on return. Raises Transient STORAGE, caused by the error of the file
    system or of the provider.
    """

    name: str
    """Of the bucket, or of the folder."""

    def batch(self) -> AbstractContextManager[Puts]:
        """What is put into the batch is there, durable, when the context ends; nothing of it when the
        context raises, or before. Of several objects of one name, the last one counts.

        Cheaper than one by one: a disk syncs the group, a bucket sends requests in parallel.
        """
        ...

    def open(self, name: str) -> BinaryIO:
        """A seekable reader; a bucket is asked for the ranges that are read. Raises Transient STORAGE,
        caused by FileNotFoundError, when there is no such object."""
        ...

    def head(self, name: str) -> Object | None:
        """None when there is no such object. Raises when the whole zone is away."""
        ...

    def list(self, prefix: str = "") -> Iterator[Object]:
        """Every object whose name begins with the prefix, in arbitrary order, a page at a time. Raises
        when the whole zone is away."""
        ...

    def copy(self, name: str, target: str) -> None:
        """As `put` of what `open` reads; a bucket copies by itself."""
        ...

    def delete(self, name: str) -> None:
        """Idempotent: nothing happens when there is no such object."""
        ...

    def began(self) -> datetime | None:
        """Since when the zone is there, if it was made anew by a writer; None if unknown."""
        ...

    def unfinished(self, older: float) -> Sequence[str]:
        """What writers left that were killed more than `older` seconds ago. None of it is an object."""
        ...

    def collect(self, older: float) -> int:
        """Remove what `unfinished` finds; returns how many. A writer that is still at it fails."""
        ...


MakeStore = Callable[[str, Path], ObjectStore]
"""What the entry point of a URL's scheme is: takes the URL of [storage] as it is set, and the project's
folder, for paths that are relative. Raises Misuse for what is wrong with the URL: a person reads it."""
