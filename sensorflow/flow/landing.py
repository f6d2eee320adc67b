"""The landing zone: the original bytes of every file, under names derived from their SHA-256."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from typing import BinaryIO

from sensorflow import failpoints
from sensorflow.core.arrival import Landed
from sensorflow.errors import DO, LOST, Code, Transient
from sensorflow.flow.parallel import REQUESTS, each
from sensorflow.ports.feed import Busy
from sensorflow.ports.objects import ObjectStore, Puts, Reader, rewinds

LISTED = 1000
"""Number of objects that a request to list a bucket returns."""
MISSING = (
    "put the original file into the drop folder again, and the waiting file is loaded within a minute "
    '(with after = "archive" it is in data/archive, with "keep" run `touch` on it); if many objects are '
    "missing, check that [storage] names the right landing zone on all hosts, and that its disk is mounted"
)
"""The remedy if the landed bytes of a file are missing."""


class LandingBatch:
    """A batch of files to land. When the batch ends, the files appear in the landing zone and are
    durable."""

    def __init__(self, objects: Puts) -> None:
        self._objects = objects

    def put(self, stream: Reader) -> Landed:
        """Copy a stream to its end and hash it while reading. Raises Busy if the store reads the stream
        twice, and the second reading returns different bytes."""
        hashed = _HashingReader(stream)
        self._objects.put(hashed.name, hashed)
        return hashed.landed


class Landing:
    """The objects of the landing zone, named ``<first two hex digits>/<sha256>``. Equal bytes are stored
    once.

    Methods raise Transient STORAGE if the store is full or unavailable.
    """

    def __init__(self, objects: ObjectStore) -> None:
        self.bucket = objects.name
        self._objects = objects
        self._ahead: dict[str, Future[bytes]] = {}

    def put(self, stream: Reader) -> Landed:
        """Copy a stream to its end. The bytes are durable on return. Raises Busy as `LandingBatch.put`
        does."""
        return LandingBatch(self._objects).put(stream)

    @contextmanager
    def batch(self) -> Iterator[LandingBatch]:
        """See `ObjectStore.batch`."""
        with self._objects.batch() as batch:
            yield LandingBatch(batch)

    def open(self, name: str) -> BinaryIO:
        """Returns a seekable reader. Raises Transient STORAGE, with FileNotFoundError as the cause, if the
        object does not exist."""
        if (requested := self._ahead.get(name)) is not None:
            return io.BytesIO(requested.result())
        try:
            return self._objects.open(_validated_name(name))
        except Transient as error:
            if isinstance(error.__cause__, FileNotFoundError):
                found = f"the landing zone has no object {name} ({error.message})"
                place = {LOST: name, DO: MISSING}
                raise Transient(Code.STORAGE, found, **place) from error.__cause__
            raise

    def size(self, name: str) -> int | None:
        """Returns the size in bytes, or None if the object does not exist. Raises Transient STORAGE if the
        zone is unavailable."""
        found = self._objects.head(_validated_name(name))
        return None if found is None else found.size

    def has(self, name: str) -> bool:
        """Whether the object exists. False if the zone is unavailable."""
        checked = _validated_name(name)
        try:
            return self._objects.head(checked) is not None
        except Transient:
            return False

    def missing(self, names: Sequence[str]) -> set[str]:
        """Return the names of the objects that do not exist; see `has`."""
        return {name for name, exists in each(self.has, names) if not exists}

    def sizes(self, names: Sequence[str]) -> dict[str, int | None]:
        """Return name -> `size` of many objects. Lists the zone if this takes fewer requests."""
        if len(names) <= LISTED:
            return dict(each(self.size, names))
        found: dict[str, int | None] = dict.fromkeys(names)
        found |= {o.name: o.size for o in self._objects.list() if o.name in found}
        return found

    @contextmanager
    def read_ahead(self, names: Sequence[str]) -> Iterator[Landing]:
        """Provide a landing zone in which the bytes of these small objects are already requested, in
        parallel, if the store is not on this host. They stay in memory."""
        first = self._read_unless_local(names[0])
        if first is None:
            yield self
            return
        ahead = Landing(self._objects)
        with ThreadPoolExecutor(REQUESTS) as threads:
            ahead._ahead = {name: threads.submit(self._read, name) for name in names[1:]}
            ahead._ahead[names[0]] = threads.submit(lambda: first)
            yield ahead

    def _read_unless_local(self, name: str) -> bytes | None:
        """Return the bytes of an object; None if it is a file of this host or cannot be opened."""
        try:
            with self.open(name) as stream:
                return None if is_local(stream) else stream.read()
        except Transient:
            return None

    def _read(self, name: str) -> bytes:
        with self.open(name) as stream:
            return stream.read()

    def remove(self, name: str) -> None:
        """Delete an object. Idempotent."""
        self._objects.delete(_validated_name(name))

    def created_at(self) -> datetime | None:
        """See `ObjectStore.created_at`."""
        return self._objects.created_at()

    def list_unfinished(self, older_than_seconds: float) -> Sequence[str]:
        """See `ObjectStore.list_unfinished`."""
        return self._objects.list_unfinished(older_than_seconds)

    def remove_unfinished(self, older_than_seconds: float) -> int:
        """See `ObjectStore.remove_unfinished`."""
        return self._objects.remove_unfinished(older_than_seconds)


def is_local(stream: BinaryIO) -> bool:
    """Whether a stream reads an open file of this host."""
    try:
        stream.fileno()
    except OSError:  # io.UnsupportedOperation
        return False
    return True


class _HashingReader:
    """A reader that hashes all bytes that it reads from a stream. If the stream is read again, the same
    SHA-256 proves the same MD5."""

    def __init__(self, stream: Reader) -> None:
        self._stream = stream
        self._first_name: str | None = None
        self._begin()

    def _begin(self) -> None:
        self._sha256 = hashlib.sha256()
        if self._first_name is None:
            self._md5 = hashlib.md5(usedforsecurity=False)
        self._size = 0

    def read(self, size: int = -1, /) -> bytes:
        block = self._stream.read(size)
        self._sha256.update(block)
        if self._first_name is None:
            self._md5.update(block)
        self._size += len(block)
        return block

    def seekable(self) -> bool:
        return rewinds(self._stream)

    def seek(self, offset: int, /) -> int:
        assert offset == 0
        assert rewinds(self._stream)
        self._begin()
        return self._stream.seek(0)

    def name(self) -> str:
        failpoints.hit(failpoints.Failpoint.LANDING)
        name = self.landed.name
        if self._first_name not in (None, name):
            raise Busy("the file changed while it was read")
        self._first_name = name
        return name

    @property
    def landed(self) -> Landed:
        digest = self._sha256.hexdigest()
        name = f"{digest[:2]}/{digest}"
        return Landed(name, self._sha256.digest(), self._md5.digest(), self._size)


def _validated_name(name: str) -> str:
    prefix, _, digest = name.partition("/")
    if len(digest) != 64 or digest[:2] != prefix or not digest.isalnum():
        raise Transient(Code.STORAGE, f"{name!r} is not a valid name of a landed file")
    return name
