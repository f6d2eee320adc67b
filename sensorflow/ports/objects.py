"""The port for object stores. An object store stores bytes under names, on a disk, in a bucket or in
memory."""

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
    """Returns whether a source can be read again from its start."""
    return bool(getattr(source, "seekable", bool)())


Name: TypeAlias = str | Callable[[], str]
"""An object's name, or a function that returns the name after the source has been read to its end (see
`Puts.put`). A name consists of parts joined by "/". No part is empty, "." or "..". No object is named like
a folder of another object: "a" and "a/b" cannot both exist. Bytes that are not UTF-8 are escaped as in PEP
383."""


BEGAN = ".began"
"""Name of the object, or file, in which a store records the time at which it was created."""
OWNER = ".project"
"""Name of the object, or file, that contains the id of the project to which a location belongs."""
MARKERS = (BEGAN, OWNER)
"""Names of the objects that describe a location, and are not part of its data."""


@dataclass(frozen=True, slots=True)
class Object:
    """An object's metadata. size: number of bytes. modified_at: the time at which the object was last
    written, by the store's clock (timezone-aware)."""

    name: str
    size: int
    modified_at: datetime


class Puts(Protocol):
    def put(self, name: Name, source: Reader) -> str:
        """Read a source to its end and store its bytes. Returns the object's name.

        Atomic: readers see either the complete new object or the previous state. Replaces an object of the
        same name. Exceptions from the source propagate, and nothing is stored. If the source can be
        rewound, it must be at its start when this method is called.

        If the name is already known, pass it as a string. If the name contains a hash of the bytes, which
        are not read yet, pass a function. Each time the source has been read to its end, the function must
        return the name for these bytes.

        A disk store reads the source once: it writes to a temporary name, calls the function and renames
        the file. In a bucket, objects cannot be renamed. A bucket store holds the bytes of a small source
        until it knows the name. It reads a large source twice, calls the function after each reading, and
        uploads during the second reading under the first name. If the two names differ, it raises Transient
        STORAGE and stores nothing. If a large source cannot be rewound, the bucket store first copies it
        into a temporary file.
        """
        ...


class ObjectStore(Puts, Protocol):
    """Stores the objects of one zone, such as the landing zone. Safe to use from several threads and
    processes, because the daemon and all workers open the same zone. Does not connect before the first
    call of a method.

    When `put` or `copy` returns, the object is durable. Methods raise Transient STORAGE if the zone is
    unavailable, with the error of the file system or provider as the cause.
    """

    name: str
    """The name of the bucket or folder."""

    def create(self, name: str, data: bytes) -> bool:
        """Store an object unless an object of this name exists. Returns whether it was stored.

        If several writers create the same object, exactly one of them stores it, as a whole. After an error
        of the network, a repeated call may return False although the first one has stored the object.
        """
        ...

    def batch(self) -> AbstractContextManager[Puts]:
        """Returns a context manager for a batch of puts. When the context exits, all objects of the batch
        appear and are durable. No object appears earlier, and no object appears if the body of the context
        raises. If the store fails while the context exits, some of the objects may have appeared, each of
        them complete. If the same name is put several times, the last object is stored. Several threads may
        put objects of different names at the same time.

        Cheaper than single puts: a disk store syncs once per batch, a bucket store sends requests in
        parallel.
        """
        ...

    def open(self, name: str) -> BinaryIO:
        """Returns a seekable reader. For a bucket, the reader requests only the ranges that are read.
        Raises Transient STORAGE, with FileNotFoundError as the cause, if the object does not exist."""
        ...

    def head(self, name: str) -> Object | None:
        """Returns an object's metadata, or None if the object does not exist. Raises Transient STORAGE if
        the zone is unavailable."""
        ...

    def list(self, prefix: str = "") -> Iterator[Object]:
        """Yield every object whose name begins with the prefix, in arbitrary order. Requests one page at a
        time. Raises Transient STORAGE if the zone is unavailable."""
        ...

    def copy(self, name: str, target: str) -> None:
        """Copy an object, with the same guarantees as `put`. A bucket copies on the server side."""
        ...

    def delete(self, name: str) -> None:
        """Delete an object. Idempotent: does nothing if the object does not exist."""
        ...

    def created_at(self) -> datetime | None:
        """Returns the time at which a writer created the zone, or None if unknown."""
        ...

    def list_unfinished(self, older_than_seconds: float) -> Sequence[str]:
        """Returns the names of incomplete objects that are older than `older_than_seconds` seconds. A
        writer that was killed leaves such objects. They are never read."""
        ...

    def remove_unfinished(self, older_than_seconds: float) -> int:
        """Remove the incomplete objects that `list_unfinished` returns. Returns the number of removed
        objects. If the writer of such an object is still running, its `put` fails."""
        ...


MakeStore = Callable[[str, Path], ObjectStore]
"""A function that creates the store for a URL; it is the entry point of the URL's scheme. It takes the URL
as set in [storage], and the project's folder as the base for relative paths. It raises UsageError if the
URL is invalid; users see the error's message."""
