"""Decodes text in any encoding to a stream of UTF-8.

A byte-order mark identifies UTF-8, UTF-16 and UTF-32. The profile names any other encoding. Bytes that
cannot be decoded become invalid UTF-8, so that the row that contains them is rejected. If lines end with
carriage returns only, these become newlines.
"""

from __future__ import annotations

import codecs
import io
from typing import BinaryIO

from sensorflow.errors import Code, Permanent

BLOCK = 1 << 18
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class Utf8Stream:
    """A stream of UTF-8 text, decoded from a file in any encoding. Offsets count bytes of the UTF-8
    text. They are offsets in the file only if the file is UTF-8. start: the offset of the first byte
    after a byte-order mark."""

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        self._stream = stream
        self._head = stream.read(BLOCK)
        name = codecs.lookup(encoding).name
        self.start = 0
        for mark, encoding_of_mark in MARKS:
            if self._head.startswith(mark):
                name, self._head = encoding_of_mark, self._head[len(mark) :]
                self.start = len(mark) if encoding_of_mark == "utf-8" else 0
                break
        self._decoder: codecs.IncrementalDecoder | None = None
        if name not in ("utf-8", "ascii"):
            self._decoder = codecs.getincrementaldecoder(name)("sensorflow-keep")
            self._head = self._decoded(self._head, not self._head)
        # lines end with carriage returns if the beginning of the file contains no newline
        self._returns = b"\r" in self._head and b"\n" not in self._head

    def read(self, size: int) -> bytes:
        if self._head:
            data, self._head = self._head[:size], self._head[size:]
        else:
            data = self._stream.read(size)
            if self._decoder is not None and data is not None:
                data = self._more(data, size)
        return data.replace(b"\r", b"\n") if self._returns else data

    def jump(self, offset: int) -> None:
        """Continue at the byte `offset`, where a line must begin."""
        self._head = b""
        self._stream.seek(offset)
        if self._decoder is not None:
            self._decoder.reset()

    def _more(self, data: bytes, size: int) -> bytes:
        while True:
            text = self._decoded(data, not data)
            if text or not data:
                return text
            data = self._stream.read(size)

    def _decoded(self, data: bytes, final: bool) -> bytes:
        assert self._decoder is not None
        try:
            return self._decoder.decode(data, final).encode("utf-8", "surrogatepass")
        except UnicodeError as error:
            what = f"the file is not in the profile's encoding: {error}"
            do = "correct encoding in the profile (utf-8, cp1252, utf-16-le, …), then replay"
            raise Permanent(Code.UNREADABLE, what, do=do) from error


def _keep(error: UnicodeError) -> tuple[str, int]:
    """Decoding error handler: replace each undecodable byte by an unpaired surrogate, which is not valid
    in UTF-8."""
    assert isinstance(error, UnicodeDecodeError)
    bad = error.object[error.start : error.end]
    return "".join(chr(0xDC00 + byte) for byte in bad), error.end


codecs.register_error("sensorflow-keep", _keep)


def utf8(stream: BinaryIO, encoding: str) -> BinaryIO:
    """Return a UTF-8 stream of a text, for readers that need a file object."""

    class _Raw(io.RawIOBase):
        plain = Utf8Stream(stream, encoding)
        rest = b""

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
            data = self.rest or self.plain.read(len(buffer))
            count = min(len(data), len(buffer))
            buffer[:count], self.rest = data[:count], data[count:]
            return count

    return io.BufferedReader(_Raw(), BLOCK)
