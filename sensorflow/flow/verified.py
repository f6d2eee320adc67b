"""Read landed bytes only after their SHA-256 has been verified."""

from __future__ import annotations

import hashlib
import io
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import BinaryIO, Protocol, cast

from sensorflow.errors import Code, Permanent
from sensorflow.flow.landing import is_local

MEMORY_BYTES = 8 << 20
"""Size in bytes up to which a copy of landed bytes is in memory. Larger copies are temporary files."""
BLOCK = 1 << 20


class Opens(Protocol):
    """A zone with copies of landed bytes: the landing zone or the quarantine."""

    def open(self, name: str, /) -> BinaryIO: ...


@contextmanager
def open_verified(landing: Opens, name: str, size: int, sha256: bytes) -> Iterator[BinaryIO]:
    """Yield a seekable stream of landed bytes, at its start. size, sha256: the values in the ledger.

    A file on this host is hashed, and read again from the same open file. Bytes in another store are
    requested once: they are hashed while they are copied to this host, and are read from the copy.

    Raises Permanent BYTES_CHANGED if the bytes are not those that were landed, and Transient STORAGE if
    they do not exist or the store is unavailable.
    """
    with ExitStack() as copies:
        with landing.open(name) as stream:
            if is_local(stream):
                _require(hashlib.file_digest(stream, "sha256").digest(), sha256)  # type: ignore[arg-type]
                stream.seek(0)
                yield stream
                return
            copy = copies.enter_context(_temporary(size))
            _copy_verified(stream, copy, size, sha256)
        yield copy


def _temporary(size: int) -> BinaryIO:
    if size <= MEMORY_BYTES:
        return io.BytesIO()
    return cast(BinaryIO, tempfile.TemporaryFile())


def _copy_verified(stream: BinaryIO, copy: BinaryIO, size: int, sha256: bytes) -> None:
    """Copy a stream and hash it while copying. Of a stream with more than `size` bytes, only the first
    `size` bytes are stored. Rewinds the copy to its start."""
    digest, room = hashlib.sha256(), size
    while block := stream.read(BLOCK):
        digest.update(block)
        copy.write(block[:room])
        room -= min(room, len(block))
    _require(digest.digest(), sha256)
    copy.flush()
    copy.seek(0)


def _require(found: bytes, sha256: bytes) -> None:
    if found != sha256:
        raise Permanent(
            Code.BYTES_CHANGED,
            f"the landed bytes have SHA-256 {found.hex()}, the ledger says {sha256.hex()}",
        )
