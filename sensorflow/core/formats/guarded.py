"""Enforces limits on a JSON text before a parser reads it."""

from __future__ import annotations

import re
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from sensorflow.core.formats.scan import escaped, inside_strings
from sensorflow.core.profile import Profile
from sensorflow.errors import Code, Permanent

Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]
Depths = npt.NDArray[np.int32]
SIZE = 1 << 18
_WORDS = re.compile(rb"(?<![\w.+-])(?:NaN|-?Infinity)(?![\w.+-])")
_OPEN = re.compile(rb"-?(?:N|Na|NaN|I|In|Inf|Infi|Infin|Infini|Infinit|Infinity)?\Z")
_ESCAPES = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)


def _unpaired(escape: re.Match[bytes]) -> bytes:
    return rb"\u0000" if len(escape[0]) == 6 else escape[0]


class Guarded:
    """A stream of JSON text that enforces limits of the profile. `max_line` limits strings,
    `max_nesting` the nesting depth, and `max_record` the elements at nesting depth `depth`. Numbers are
    limited to `NUMBER` bytes. Raises Permanent if a limit is exceeded."""

    NUMBER = 1000

    def __init__(self, stream: BinaryIO, profile: Profile, depth: int) -> None:
        self._stream, self._profile, self._at = stream, profile, depth
        self._incomplete = b""
        self._inside = False
        self._escaped = False
        self._run = self._word = self._depth = self._element = 0
        self.documents = 0
        """Number of complete lists and objects that are not nested in others."""

    def read(self, size: int = -1) -> bytes:
        if size == 0:
            return b""
        piece = self.piece()
        return b"" if piece is None else self._finite(piece[0], piece[1])

    def piece(self) -> tuple[bytes, Bools, Depths] | None:
        """Return the next piece of the text as (bytes, whether each byte is inside a string, nesting
        depth of each byte). Returns None at the end."""
        data, more = b"", b"more"
        while more and not data:
            more = self._stream.read(SIZE)
            data = self._complete_lines(more)
        return (data, *self._watch(np.frombuffer(data, np.uint8))) if data else None

    def _complete_lines(self, data: bytes) -> bytes:
        """Return the data without an incomplete escape or word at its end; the next call returns that
        remainder. Unpaired surrogates become NUL, so that they are rejected. The parser would replace
        them by question marks."""
        data, last = self._incomplete + data, not data
        self._incomplete = b""
        at = data.find(b"\\", max(len(data) - 12, 0))
        while at > 0 and data[at - 1 : at] == b"\\":
            at -= 1
        if at < 0 and (word := _OPEN.search(data, max(len(data) - 12, 0))):
            at = word.start()
        if at > 0 and not last:
            data, self._incomplete = data[:at], data[at:]
        # a single search for both characters would be slower, because it stops at every "u"
        return _ESCAPES.sub(_unpaired, data) if b"\\" in data and b"\\u" in data else data

    def _finite(self, data: bytes, inside: Bools) -> bytes:
        """Put NaN and infinities in quotes. They are not valid JSON, but occur in files."""
        if b"NaN" not in data and b"Infinity" not in data:
            return data
        return _WORDS.sub(lambda m: m[0] if inside[m.start()] else b'"%b"' % m[0], data)

    def _watch(self, data: Bytes) -> tuple[Bools, Depths]:
        inside = self._strings(data)
        outside = ~inside
        opened = outside & ((data == 91) | (data == 123))
        closed = outside & ((data == 93) | (data == 125))
        depths = self._depth + np.cumsum(
            opened.view(np.int8) - closed.view(np.int8), dtype=np.int32
        )
        if depths.max() > self._profile.max_nesting:
            limit = self._profile.max_nesting
            do = "if the file is valid, raise max_nesting, then replay"
            raise Permanent(Code.TOO_DEEP, f"nested deeper than {limit} levels", do=do)
        self.documents += int((closed & (depths == 0)).sum())
        self._depth = int(depths[-1])
        ends = (depths <= self._at) & outside
        limit = self._profile.max_record
        self._element = self._longest(ends, self._element, limit, "an element", Code.TOO_DEEP)
        breaks = inside | (data < 43) | (data == 44) | (data > 57) & (data != 69) & (data != 101)
        self._word = self._longest(breaks, self._word, self.NUMBER, "a number")
        return inside, depths

    def _strings(self, data: Bytes) -> Bools:
        """Return, for each byte, whether it is inside a string."""
        quotes = data == 34
        slashes = np.flatnonzero(data == 92)
        if self._escaped:  # the previous piece ended with a backslash that escapes this byte
            quotes[0] = False
            slashes = slashes[slashes > 0] if data[0] == 92 else slashes
        after = escaped(slashes)
        self._escaped = bool(len(after)) and int(after[-1]) == len(data)
        quotes[after[: len(after) - self._escaped]] = False
        inside = inside_strings(quotes) ^ self._inside
        self._inside = bool(inside[-1])
        self._run = self._longest(~inside, self._run, self._profile.max_line, "a text")
        return inside

    @staticmethod
    def _longest(
        ends: Bools, before: int, limit: int, what: str, code: Code = Code.LINE_TOO_LONG
    ) -> int:
        """Return the length of the unfinished run at the end of the data. A run is a sequence of bytes
        in which none is an end. Raises Permanent if any run is longer than `limit`. ends: whether each
        byte is an end. before: length of the unfinished run before the data."""
        if before + len(ends) <= limit or _often(ends, before, limit):
            at = int(ends[::-1].argmax())
            return at if ends[len(ends) - 1 - at] else before + len(ends)
        places = np.flatnonzero(ends)
        if not len(places):
            longest = last = before + len(ends)
        else:
            inner = int(np.diff(places).max(initial=0))
            longest = max(before + int(places[0]), inner)
            last = len(ends) - 1 - int(places[-1])
        if max(longest, last) > limit:
            raise Permanent(code, f"{what} is longer than {limit:,} bytes")
        return last


def _often(ends: Bools, before: int, limit: int) -> bool:
    """Return whether each consecutive block of `limit` / 2 bytes contains an end. If so, no run can exceed
    the limit. The parameters are those of `_longest`."""
    half = limit // 2
    usable = len(ends) // half * half if half else 0
    return usable > 0 and before <= half and bool(ends[:usable].reshape(-1, half).any(axis=1).all())
