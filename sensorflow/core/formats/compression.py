"""gzip, told by its first bytes and not by the name; bounded, so that a bomb does no harm."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable
from typing import BinaryIO

from sensorflow.errors import Code, Permanent

GZIP = b"\x1f\x8b"
BLOCK = 1 << 20


class _Bounded(io.RawIOBase):
    """Plain bytes of a gzip stream, with clear errors and a limit."""

    def __init__(self, stream: BinaryIO, limit: int) -> None:
        self._gzip = gzip.GzipFile(fileobj=stream, mode="rb")
        self._limit = limit
        self._count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            count = self._gzip.readinto(buffer)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise Permanent(
                Code.UNREADABLE, f"the gzip stream is broken: {error}", byte_offset=self._count
            ) from error
        self._count += count
        if self._count > self._limit:
            raise Permanent(
                Code.TOO_LARGE, f"decompressed, the file has more than {self._limit:,} bytes"
            )
        return count


def decompressed(
    stream: BinaryIO, limit: int, scratch: Callable[[], BinaryIO] | None = None
) -> BinaryIO:
    """The plain bytes of `stream`; at most `limit` of them.

    scratch: makes an empty file for the plain bytes, where the format must seek in them.
    """
    head = stream.read(len(GZIP))
    stream.seek(0)
    if head != GZIP:
        return stream
    plain = io.BufferedReader(_Bounded(stream, limit), BLOCK)
    if scratch is None:
        return plain
    copy = scratch()
    while block := plain.read(BLOCK):
        copy.write(block)
    copy.seek(0)
    return copy
