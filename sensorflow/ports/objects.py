"""The port for object stores: named objects of bytes on a disk, in a bucket or in memory."""

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
    """Whether a source can be read again from its start."""
    return bool(getattr(source, "seekable", bool)())


Name: TypeAlias = str | Callable[[], str]
"""An object's name, or a function that returns it after the source has been read to its end (see
`Puts.put`).

A name consists of parts joined by "/". No part is empty, "." or "..". No name is a folder of another. Bytes
that are not UTF-8 are escaped as in PEP 383.
"""


@dataclass(frozen=True, slots=True)
class Object:
    """An object's metadata. size: in bytes. modified_at: when it was written, by the store's clock
    (timezone-aware)."""

    name: str
    size: int
    modified_at: datetime


class Puts(Protocol):
    def put(self, name: Name, source: Reader) -> str:
        """Read a source to its end and store it. Returns the object's name.

        Atomic: readers see the complete new object or the previous state. Replaces an object of the same
        name. Exceptions from the source propagate, and nothing is stored. The caller positions a source
        that rewinds at its start.

        Pass a name that contains a hash as a string if it is known, because the source was read before.
        Otherwise pass a function that returns the name for the bytes read since the start. A disk store
        writes to a temporary name, calls the function and renames, so it reads the source once. A bucket
        cannot rename, and objects are never copied after upload: a source that rewinds is read twice and
        uploaded during the second reading; any other source is first read into a temporary file. A bucket
        store calls the function after each reading. If the results differ, it raises Transient STORAGE and
        stores nothing.
        """
        ...


class ObjectStore(Puts, Protocol):
    """The objects of one zone. Safe to use from several threads and processes: the daemon and all workers
    open the same zone. Does not connect before the first call.

    `put` and `copy` are durable on return. Methods raise Transient STORAGE, with the error of the file
    system or provider as the cause.
    """

    name: str
    """The name of the bucket or folder."""

    def batch(self) -> AbstractContextManager[Puts]:
        """Returns a context manager for a batch of puts. Objects put into the batch appear, durably, when
        the context exits; none before, and none if the context raises. If several have the same name, the
        last one wins.

        Cheaper than single puts: a disk syncs the batch once, a bucket sends requests in parallel.
        """
        ...

    def open(self, name: str) -> BinaryIO:
        """Returns a seekable reader; from a bucket, it requests only the ranges that are read. Raises
        Transient STORAGE, with FileNotFoundError as the cause, if the object does not exist."""
        ...

    def head(self, name: str) -> Object | None:
        """Returns an object's metadata, or None if the object does not exist. Raises if the zone is
        unavailable."""
        ...

    def list(self, prefix: str = "") -> Iterator[Object]:
        """Yield every object whose name begins with the prefix, in arbitrary order, one page at a time.
        Raises if the zone is unavailable."""
        ...

    def copy(self, name: str, target: str) -> None:
        """Copy an object; same guarantees as `put`. A bucket copies on the server side."""
        ...

    def delete(self, name: str) -> None:
        """Delete an object. Idempotent: does nothing if the object does not exist."""
        ...

    def created_at(self) -> datetime | None:
        """Returns when a writer created the zone, or None if unknown."""
        ...

    def list_unfinished(self, older_than_seconds: float) -> Sequence[str]:
        """Returns what writers left that were killed more than `older_than_seconds` seconds ago. None of
        it counts as an object."""
        ...

    def remove_unfinished(self, older_than_seconds: float) -> int:
        """Remove what `list_unfinished` returns; returns the number removed. A writer that is still running
        fails."""
        ...


MakeStore = Callable[[str, Path], ObjectStore]
"""The entry point of a URL scheme. Takes the URL as set in [storage], and the project's folder as the base
for relative paths. Raises UsageError if the URL is invalid; its message is shown to a person."""
