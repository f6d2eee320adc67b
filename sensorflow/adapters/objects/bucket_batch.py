"""Puts objects into a bucket. Nothing of a batch appears before the batch is committed.

Small objects are held until then, in memory up to `MEMORY_BYTES`, the others in a temporary file, and are
sent in parallel. Large objects are sent while they are read, as multipart uploads, and completed at the
commit.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

from sensorflow.adapters.objects import request_threads
from sensorflow.errors import Code, Transient
from sensorflow.ports.objects import Name, Reader, rewinds

BLOCK_BYTES = 1 << 20
SMALL_BYTES = 4 << 20
"""Objects up to this size are sent by one request."""
PART_BYTES = 8 << 20
"""Size of a part of a multipart upload. Parts are larger if an object would have too many."""
PARTS = 9_000
"""Maximum number of parts of an object of known size; providers allow 10,000."""
PARTS_AT_ONCE = 4
MEMORY_BYTES = 32 << 20
"""Small objects of a batch are held in memory up to this sum."""

Send = Callable[[str, bytes], None]
"""A function that puts the bytes of an object under a key."""
OpenUpload = Callable[[str, int], Any]
"""A function that begins an upload: key, size of a part in bytes. The result has the methods `write`,
`complete` and `abort`."""


class BucketBatch:
    """Implements `ports.objects.Puts`. key: returns the key of a name."""

    def __init__(self, key: Callable[[str], str], send: Send, open_upload: OpenUpload) -> None:
        self._key, self._send, self._open_upload = key, send, open_upload
        self._held = _Held()
        self._uploads: dict[str, Any] = {}

    def put(self, name: Name, source: Reader) -> str:
        start = _read(source, SMALL_BYTES + 1)
        if len(start) <= SMALL_BYTES:
            final_name = name if isinstance(name, str) else name()
            key = self._key(final_name)
            self._forget(key)
            self._held.put(key, start)
            return final_name
        if isinstance(name, str):
            self._upload(name, start, source, PART_BYTES)
            return name
        return self._put_large(name, start, source)

    def _put_large(self, name: Callable[[], str], start: bytes, source: Reader) -> str:
        """Read the source for its name, then again to send it."""
        if not rewinds(source):
            return self._put_unseekable(name, start, source)
        size = len(start)
        del start
        while block := source.read(BLOCK_BYTES):
            size += len(block)
        final_name = name()
        source.seek(0)
        key = self._upload(final_name, b"", source, _part_bytes(size))
        if name() != final_name:
            self._forget(key)
            raise Transient(
                Code.STORAGE, f"{final_name!r}: the second reading returned other bytes"
            )
        return final_name

    def _put_unseekable(self, name: Callable[[], str], start: bytes, source: Reader) -> str:
        with _temporary_file() as copy:
            block, size = start, 0
            while block:
                with storage_of_host():
                    size += copy.write(block)
                block = source.read(BLOCK_BYTES)
            with storage_of_host():
                copy.seek(0)
            final_name = name()
            self._upload(final_name, b"", copy, _part_bytes(size))
        return final_name

    def _upload(self, name: str, start: bytes, source: Reader, part_bytes: int) -> str:
        key = self._key(name)
        self._forget(key)
        upload = self._open_upload(key, part_bytes)
        try:
            if start:
                upload.write(start)
            while block := source.read(BLOCK_BYTES):
                upload.write(block)
        except BaseException:
            with suppress(Transient):
                upload.abort()
            raise
        self._uploads[key] = upload
        return key

    def _forget(self, key: str) -> None:
        """Discard an object of this batch that is replaced by another one of the same name."""
        self._held.discard(key)
        if (upload := self._uploads.pop(key, None)) is not None:
            with suppress(Transient):
                upload.abort()

    @property
    def is_empty(self) -> bool:
        return not self._held and not self._uploads

    def commit(self) -> None:
        """Make all objects appear."""
        uploads, self._uploads = self._uploads, {}
        if len(self._held) + len(uploads) == 1:  # without another thread
            for key, data in self._held:
                self._send(key, data)
            for upload in uploads.values():
                upload.complete()
            return
        work: list[tuple[Any, ...]] = [(upload.complete,) for upload in uploads.values()]
        work += [(self._send, key) for key in self._held.keys()]  # noqa: SIM118
        request_threads.run_all(self._finish, work)

    def _finish(self, work: Callable[..., None], key: str | None = None) -> None:
        work() if key is None else work(key, self._held.get(key))

    def close(self) -> None:
        """Discard what was not committed."""
        self._held.close()
        for upload in self._uploads.values():
            with suppress(Transient):
                upload.abort()


class _Held:
    """The bytes of small objects by their keys."""

    def __init__(self) -> None:
        self._in_memory: dict[str, bytes] = {}
        self._on_disk: dict[str, tuple[int, int]] = {}
        self._bytes = 0
        self._file: IO[bytes] | None = None
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._in_memory) + len(self._on_disk)

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        for key in self.keys():
            yield key, self.get(key)

    def keys(self) -> list[str]:
        return [*self._in_memory, *self._on_disk]

    def put(self, key: str, data: bytes) -> None:
        with self._lock, storage_of_host():
            if self._bytes + len(data) <= MEMORY_BYTES:
                self._in_memory[key] = data
                self._bytes += len(data)
                return
            if self._file is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
            offset = self._file.seek(0, os.SEEK_END)
            self._file.write(data)
            self._file.flush()
            self._on_disk[key] = offset, len(data)

    def get(self, key: str) -> bytes:
        if key in self._in_memory:
            return self._in_memory[key]
        offset, size = self._on_disk[key]
        assert self._file is not None
        with storage_of_host():
            return os.pread(self._file.fileno(), size, offset)

    def discard(self, key: str) -> None:
        with self._lock:
            self._bytes -= len(self._in_memory.pop(key, b""))
            self._on_disk.pop(key, None)

    def close(self) -> None:
        self._in_memory.clear()
        if self._file is not None:
            self._file.close()


@contextmanager
def storage_of_host() -> Iterator[None]:
    """Translate OSError of temporary files to Transient STORAGE."""
    try:
        yield
    except OSError as error:
        raise Transient(
            Code.STORAGE,
            f"{tempfile.gettempdir()}: {error.strerror}; free space there, or set TMPDIR to another folder",
        ) from error


@contextmanager
def _temporary_file() -> Iterator[IO[bytes]]:
    with storage_of_host():
        file = tempfile.TemporaryFile()  # noqa: SIM115 - closed below
    with file:
        yield file


def _read(source: Reader, size: int) -> bytes:
    """Read at most `size` bytes; less only at the end of the source."""
    blocks, left = [], size
    while left and (block := source.read(min(left, BLOCK_BYTES))):
        blocks.append(block)
        left -= len(block)
    return blocks[0] if len(blocks) == 1 else b"".join(blocks)


def _part_bytes(size: int) -> int:
    """Return the size of the parts of an object of this size."""
    return max(PART_BYTES, -(-size // PARTS))
