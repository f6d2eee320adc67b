"""Readers that hash what is read from a stream."""

from __future__ import annotations

import hashlib

from sensorflow.ports.objects import Reader

BLOCK = 1 << 20


class Damaged(Exception):
    """Raised at the end of a stream whose bytes have another SHA-256 than expected. found: the SHA-256 of
    the bytes, in hexadecimal digits."""

    def __init__(self, found: str) -> None:
        super().__init__(found)
        self.found = found


class VerifyingReader:
    """A reader that raises `Damaged` before it returns the end of a stream whose SHA-256 differs from
    `expected`. A store that reads it stores nothing in this case.

    expected: the SHA-256 in hexadecimal digits; None to hash without comparing. size: the expected number
    of bytes; a stream that is longer is damaged too.
    """

    def __init__(self, stream: Reader, expected: str | None, size: int) -> None:
        self._stream, self._expected, self._size = stream, expected, size
        self._sha256 = hashlib.sha256()
        self.count = 0

    @property
    def digest(self) -> str:
        """The SHA-256 of the bytes that were read so far."""
        return self._sha256.hexdigest()

    def read(self, size: int = -1, /) -> bytes:
        block = self._stream.read(size)
        self._sha256.update(block)
        self.count += len(block)
        is_end = not block or self.count >= self._size
        if is_end and self._expected not in (None, self.digest):
            raise Damaged(self.digest)
        return block


def digest_of(stream: Reader) -> tuple[str, int]:
    """Return the SHA-256 of a stream, in hexadecimal digits, and its number of bytes."""
    hashed = VerifyingReader(stream, None, 0)
    while hashed.read(BLOCK):
        pass
    return hashed.digest, hashed.count
