"""A file that grows: what was taken of it, and whether it is still that file.

A growing file is taken in growths: bytes from where the last growth ended to the end of the last
complete line. Each is a version of its own; all growths of one file, from its first byte on, are a chain.
"""

from __future__ import annotations

import codecs
import hashlib
import io
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import BinaryIO, Protocol

from sensorflow.core.arrival import Arrival
from sensorflow.core.containers import kind_of
from sensorflow.core.profile import Profile

EDGE = 64 << 10
"""Bytes at the beginning of a file, and before the end of what was taken, by which it is recognized."""
CAP = 64 << 20
"""Bytes of one growth at most; what is left is the next growth, at once."""
BLOCK = 1 << 20
HEADER = 1 << 20
"""Bytes at the beginning of a growing file that are kept as long as it is, for its header is in them."""
FORMATS = ("csv", "jsonl", "influx")
"""Those that can be cut at any line's end."""
CHECK_AFTER = 600.0
"""Seconds without a growth after which all that was taken of a file is compared once, at the earliest."""
CHECK_RATE = 1_000_000
"""Bytes per second: a large file waits longer for that, so that a slow logger does not have it read again
and again."""
BACKLOG = 60.0
"""Seconds between growths of a file of which the last one still waits for a worker, at least."""


@dataclass(frozen=True)
class Taken:
    """What was taken of a growing file, as the ledger has it.

    root, last: ids of its first and its newest growth; key: the root's. inode: "device:inode". size,
    lines: of all growths. head, tail: SHA-256 of the first `EDGE` bytes, and of the last before `size`.
    fingerprint: the state in which it was taken last; checked: that in which all of it was compared.
    age: seconds since the last growth, by the database's clock. waiting: whether that is not finished.
    rows: readings in its loaded growths.
    """

    root: int
    last: int
    key: bytes
    inode: str
    size: int
    lines: int
    head: bytes
    tail: bytes
    fingerprint: str
    checked: str | None = None
    age: float = 0.0
    waiting: bool = False
    rows: int = 0

    def due(self, every: float) -> bool:
        """Whether the file may grow again, at most one growth each `every` seconds."""
        return self.wait(every) <= 0

    def wait(self, every: float) -> float:
        """Seconds until it may."""
        return (max(every, BACKLOG) if self.waiting else every) - self.age

    @property
    def idle(self) -> bool:
        """Whether it has not grown for so long that all of it may be compared."""
        return self.age >= max(CHECK_AFTER, self.size / CHECK_RATE)


@dataclass(frozen=True)
class Increment:
    """What is new in a growing file, up to the end of a line. follows: None where nothing was taken before.

    size, lines: of what is new. inode, head, tail: see `Taken`; of the file up to the end of this.
    """

    follows: Taken | None
    size: int
    lines: int
    inode: str
    head: bytes
    tail: bytes

    @property
    def start(self) -> int:
        """Bytes of the file before this."""
        return self.follows.size if self.follows else 0

    @property
    def line_base(self) -> int:
        return self.follows.lines if self.follows else 0

    @property
    def end(self) -> int:
        return self.start + self.size


@dataclass(frozen=True)
class Growth:
    """An increment that was landed."""

    arrival: Arrival
    increment: Increment


@dataclass(frozen=True)
class Part:
    """Which part of a growing file a version is.

    root: the first growth; follows: the one before, None of the root. byte_offset, line_base: bytes and
    lines of the file before it. rows_read, rows_rejected: of all other growths that are loaded. ts_max:
    no reading of those is later.
    """

    root: int
    follows: int | None
    byte_offset: int
    line_base: int
    rows_read: int = 0
    rows_rejected: int = 0
    ts_max: datetime | None = None


@dataclass(frozen=True)
class Segment:
    """The landed bytes of a growth, and what finds its layers in the lake."""

    file_id: int
    version: int
    byte_offset: int
    size: int
    sha256: bytes
    landing: str
    sensor_type: str
    received_at: datetime
    loaded: bool


class Verdict(StrEnum):
    """What a file is, compared with what was taken of it."""

    SAME = "same"  # the same file, perhaps with more in it
    PERHAPS = "perhaps"  # another inode with the same edges: compare all of it
    TRUNCATED = "truncated"
    REWRITTEN = "rewritten"
    REPLACED = "replaced"  # another file under the name


class Stream(Protocol):
    """An open file that is read anywhere."""

    def read(self, size: int = -1, /) -> bytes: ...
    def seek(self, offset: int, /) -> object: ...


def compare(taken: Taken, inode: str, size: int, stream: Stream) -> Verdict:
    """Whether an open file is the one that was taken. Reads no more than its two edges.

    The device is not compared: it may be numbered anew at a start of the system.
    """
    same = taken.inode.rpartition(":")[2] == inode.rpartition(":")[2]
    if size < taken.size:
        return Verdict.TRUNCATED if same else Verdict.REPLACED
    if edges(stream, taken.size) != (taken.head, taken.tail):
        return Verdict.REWRITTEN if same else Verdict.REPLACED
    return Verdict.SAME if same else Verdict.PERHAPS


def edges(stream: Stream, size: int) -> tuple[bytes, bytes]:
    """SHA-256 of the first `EDGE` of so many bytes, and of the last."""
    width = min(size, EDGE)
    head, tail = (_read(stream, start, width) for start in (0, size - width))
    return hashlib.sha256(head).digest(), hashlib.sha256(tail).digest()


def holds(stream: Stream, segments: Iterable[Segment]) -> bool:
    """Whether a file begins with exactly these growths, which are given from the first on."""
    for segment in segments:
        stream.seek(segment.byte_offset)
        left, found = segment.size, hashlib.sha256()
        while left and (block := stream.read(min(left, BLOCK))):
            found.update(block)
            left -= len(block)
        if left or found.digest() != segment.sha256:
            return False
    return True


def begins(stream: Stream, size: int, landed: Iterable[BinaryIO]) -> bool:
    """Whether a file of `size` bytes is the beginning of these growths, which are given as streams."""
    stream.seek(0)
    left = size
    for part in landed:
        with part:
            while left and (block := part.read(min(left, BLOCK))):
                if stream.read(len(block)) != block:
                    return False
                left -= len(block)
        if not left:
            return True
    return left == 0


def complete(stream: Stream, start: int, size: int, cap: int = CAP) -> int:
    """Where the last complete line ends that begins at `start` or later, `start` where there is none.

    Searched from `size` back, but no further than `cap` bytes behind `start`.
    """
    end = min(size, start + cap)
    while end > start:
        width = min(end - start, EDGE)
        at = _read(stream, end - width, width).rfind(b"\n")
        if at >= 0:
            return end - width + at + 1
        end -= width
    return start


def unfit(profile: Profile) -> str | None:
    """Why files of a profile cannot grow, as what is to be done about it; None if they can."""
    if profile.format not in FORMATS:
        known = ", ".join(FORMATS)
        return f"files of the format {profile.format!r} cannot be read in parts; {known} can"
    if not _ends_lines_with_one_byte(profile.encoding):
        return f"lines in the encoding {profile.encoding!r} do not end with one byte; use UTF-8"
    if profile.header_again:
        return "header_again has the meaning of a row depend on the rows before it; leave it out"
    if profile.stop_at is not None:
        return "stop_at has the meaning of a row depend on the lines before it; leave it out"
    if profile.fill_down:
        return "fill_down takes cells from the rows before, which an earlier part may hold; leave it out"
    if profile.time is not None and profile.time.ambiguous == "order":
        return (
            'time.ambiguous = "order" looks at the rows before; use "earlier", "later" or "reject"'
        )
    return None


def _ends_lines_with_one_byte(encoding: str) -> bool:
    name = codecs.lookup(encoding).name
    if name.startswith(("utf-7", "utf-16", "utf-32", "iso2022", "hz")):
        return False
    try:
        return "a\n".encode(name) == b"a\n"
    except (LookupError, UnicodeError):
        return False


def refused(head: bytes) -> str | None:
    """Why a file that begins with these bytes has no lines to be taken, None if it may have."""
    kind = kind_of(head) or ("Parquet" if head.startswith(b"PAR1") else None)
    if kind is not None:
        return f"{kind}: a growing source reads plain lines"
    if head.startswith((b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")):
        return (
            "UTF-16 or UTF-32: a growing source reads encodings in which a line ends with one byte"
        )
    return None


class Lines:
    """A part of a file as a stream: counts its lines, and remembers its edges. Short where the file is."""

    def __init__(self, stream: Stream, start: int, end: int) -> None:
        stream.seek(start)
        self._stream, self._left = stream, end - start
        self.count = 0
        self.first = self.last = b""

    def read(self, size: int = -1, /) -> bytes:
        wanted = self._left if size < 0 else min(size, self._left)
        data = self._stream.read(wanted) if wanted else b""
        self._left -= len(data)
        self.count += data.count(b"\n")
        if len(self.first) < EDGE:
            self.first += data[: EDGE - len(self.first)]
        self.last = data[-EDGE:] if len(data) >= EDGE else (self.last + data)[-EDGE:]
        return data

    def edges(self, stream: Stream, start: int, end: int) -> tuple[bytes, bytes]:
        """As `edges` of the first `end` bytes of the file, of which this part is the last."""
        width = min(end, EDGE)
        head = (_read(stream, 0, min(start, EDGE)) + self.first)[:width]
        short = max(0, width - len(self.last))
        tail = (_read(stream, start - short, short) + self.last)[-width:]
        return hashlib.sha256(head).digest(), hashlib.sha256(tail).digest()


def _read(stream: Stream, start: int, width: int) -> bytes:
    stream.seek(start)
    return stream.read(width)


class Joined(io.RawIOBase):
    """A growing file up to the end of one growth: what was before it, then `last`, as one stream.

    before: the growths before it, each opened when it is reached. It reads short where a growth ends, and
    can seek to where `last` begins, and nowhere else: who knows the header need not open all the others.
    """

    def __init__(self, before: Iterable[BinaryIO], last: BinaryIO, offset: int) -> None:
        self._before, self._last, self._offset = iter(before), last, offset
        self._current: BinaryIO | None = None

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        while self._current is not self._last:
            if self._current is None:
                self._current = next(self._before, self._last)
                continue
            if data := self._current.read(size):
                return data
            self._current.close()
            self._current = None
        return self._last.read(size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        if offset != self._offset or whence:
            raise io.UnsupportedOperation("seek")
        if self._current is not None and self._current is not self._last:
            self._current.close()
        self._current = self._last
        self._last.seek(0)
        return offset
