"""Growing files: how much of a growing file has been read, and whether the file is still the same.

A growing file is read in increments, called growths. A growth begins where the previous one ends, and ends
with the last complete line. Each growth is a version with its own ledger row. All growths of a file, from
its first byte on, form a chain.
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
"""A file is recognized by this many bytes at its start, and before the end of what was read."""
CAP = 64 << 20
"""The most bytes of one growth. The rest becomes the next growth, immediately."""
BLOCK = 1 << 20
HEADER = 1 << 20
"""Bytes at the start of a growing file, with its header, that are kept as long as the file."""
FORMATS = ("csv", "jsonl", "influx")
"""Formats that can be split at the end of any line."""
CHECK_AFTER = 600.0
"""The least seconds without growth after which everything read from a file is compared once."""
CHECK_RATE = 1_000_000
"""Bytes per second. A large file waits longer for that check, so that it is not read too often."""
BACKLOG = 60.0
"""The least seconds between two growths while the previous one still waits for a worker."""


@dataclass(frozen=True)
class Taken:
    """The part of a growing file that has been read so far, according to the ledger.

    root, last: ids of the first and the latest growth. key: the key of the first growth. inode:
    "device:inode". size, lines: total bytes and lines of all growths. head, tail: SHA-256 of the first
    `EDGE` bytes, and of the last `EDGE` bytes before `size`. fingerprint: the state of the file when it was
    last read. checked: the state of the file when it was last compared in full. age: seconds since the
    latest growth, by the database's clock. waiting: whether the latest growth is unfinished. rows: number
    of readings in the loaded growths.
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
        """Return whether the next growth is due, with at most one growth every `every` seconds."""
        return self.wait(every) <= 0

    def wait(self, every: float) -> float:
        """Return the seconds until the next growth is due. The result is 0 or less if the next growth is
        due now."""
        return (max(every, BACKLOG) if self.waiting else every) - self.age

    def rest(self, every: float) -> float:
        """Return the seconds after which to check again whether a growth is due. This may be earlier than
        `wait` says, because an unfinished growth may be loaded at any time."""
        return every - self.age if self.age < every else min(every, self.wait(every))

    @property
    def idle(self) -> bool:
        """Whether the file has not grown for so long that a comparison of all its bytes is due."""
        return self.age >= max(CHECK_AFTER, self.size / CHECK_RATE)


@dataclass(frozen=True)
class Increment:
    """The new part of a growing file, up to the end of a line.

    follows: the part that was read before; None for a new file. size, lines: bytes and lines of the new
    part. inode, head, tail: as in `Taken`, for the file up to the end of the new part.
    """

    follows: Taken | None
    size: int
    lines: int
    inode: str
    head: bytes
    tail: bytes

    @property
    def start(self) -> int:
        """Number of bytes in the file before the new part."""
        return self.follows.size if self.follows else 0

    @property
    def line_base(self) -> int:
        return self.follows.lines if self.follows else 0

    @property
    def end(self) -> int:
        return self.start + self.size


@dataclass(frozen=True)
class Growth:
    """An increment that was copied to the landing zone."""

    arrival: Arrival
    increment: Increment


@dataclass(frozen=True)
class Part:
    """The position of one growth (a file version) within its growing file.

    root: id of the first growth. follows: id of the previous growth, None for the root. byte_offset,
    line_base: number of bytes and lines in the file before this growth. rows_read, rows_rejected: sums over
    the other loaded growths of the file. ts_max: the latest time of a reading in the other loaded growths.
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
    """A landed growth: where its bytes are in the landing zone, and the fields that determine its paths in
    the lake."""

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
    """The result of comparing a file with the part that was read before."""

    SAME = "same"  # the same file, possibly longer
    PERHAPS = "perhaps"  # another inode with the same edges: compare in full
    TRUNCATED = "truncated"
    REWRITTEN = "rewritten"
    REPLACED = "replaced"  # another file with the same name


class Stream(Protocol):
    """An open file that supports seek."""

    def read(self, size: int = -1, /) -> bytes: ...
    def seek(self, offset: int, /) -> object: ...


def compare(taken: Taken, inode: str, size: int, stream: Stream) -> Verdict:
    """Compare an open file with the part that was read before. Reads only the first and the last `EDGE`
    bytes of that part.

    The device is not compared, because its number may change when the system reboots.
    """
    same = taken.inode.rpartition(":")[2] == inode.rpartition(":")[2]
    if size < taken.size:
        return Verdict.TRUNCATED if same else Verdict.REPLACED
    if edges(stream, taken.size) != (taken.head, taken.tail):
        return Verdict.REWRITTEN if same else Verdict.REPLACED
    return Verdict.SAME if same else Verdict.PERHAPS


def edges(stream: Stream, size: int) -> tuple[bytes, bytes]:
    """Return the SHA-256 digests of the first and of the last `EDGE` bytes in the first `size` bytes of a
    file."""
    width = min(size, EDGE)
    head, tail = (_read(stream, start, width) for start in (0, size - width))
    return hashlib.sha256(head).digest(), hashlib.sha256(tail).digest()


def holds(stream: Stream, segments: Iterable[Segment]) -> bool:
    """Return whether a file starts with the bytes of these growths. segments: all growths up to one, in
    order."""
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
    """Return whether a file of `size` bytes is a prefix of its landed growths. landed: their streams, in
    order."""
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
    """Return the offset of the end of the last complete line after `start`, or `start` if there is no
    complete line.

    Only the bytes up to `size`, and at most `cap` bytes after `start`, are considered.
    """
    end = min(size, start + cap)
    while end > start:
        width = min(end - start, EDGE)
        at = _read(stream, end - width, width).rfind(b"\n")
        if at >= 0:
            return end - width + at + 1
        end -= width
    return start


def why_not_growable(profile: Profile) -> str | None:
    """Return why files of this profile cannot be read as growing files, and what to change. Returns None if
    they can."""
    if profile.format not in FORMATS:
        known = ", ".join(FORMATS)
        return f"files of the format {profile.format!r} cannot be read in parts; {known} can"
    if not _ends_lines_with_one_byte(profile.encoding):
        return f"lines in the encoding {profile.encoding!r} do not end with one byte; use UTF-8"
    if profile.header_again:
        return "header_again makes a row depend on earlier rows; remove it"
    if profile.stop_at is not None:
        return "stop_at makes a row depend on earlier lines; remove it"
    if profile.fill_down:
        return (
            "fill_down copies cells from earlier rows, which may be in an earlier part; remove it"
        )
    if profile.time is not None and profile.time.ambiguous == "order":
        return 'time.ambiguous = "order" needs the earlier rows; use "earlier", "later" or "reject"'
    return None


def _ends_lines_with_one_byte(encoding: str) -> bool:
    name = codecs.lookup(encoding).name
    if name.startswith(("utf-7", "utf-16", "utf-32", "iso2022", "hz")):
        return False
    try:
        return "a\n".encode(name) == b"a\n"
    except (LookupError, UnicodeError):
        return False


def why_head_refused(head: bytes) -> str | None:
    """Return why a file that starts with these bytes cannot be read as a growing file. Returns None if no
    reason is found."""
    kind = kind_of(head) or ("Parquet" if head.startswith(b"PAR1") else None)
    if kind is not None:
        return f"{kind}: a growing source reads plain lines"
    if head.startswith((b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")):
        return (
            "UTF-16 or UTF-32: a growing source reads only encodings in which one byte ends a line"
        )
    return None


class Lines:
    """A stream of a part of a file. Counts the lines, and records the first and the last bytes. The stream
    ends early if the file is shorter than expected."""

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
        """Return the result of `edges` for the first `end` bytes of the file. start, end: the offsets of
        this part."""
        width = min(end, EDGE)
        head = (_read(stream, 0, min(start, EDGE)) + self.first)[:width]
        short = max(0, width - len(self.last))
        tail = (_read(stream, start - short, short) + self.last)[-width:]
        return hashlib.sha256(head).digest(), hashlib.sha256(tail).digest()


def _read(stream: Stream, start: int, width: int) -> bytes:
    stream.seek(start)
    return stream.read(width)


class Joined(io.RawIOBase):
    """A growing file up to the end of one growth, as one stream: the earlier growths, followed by `last`.

    before: the earlier growths; each is opened only when the stream reaches it. A read may return fewer
    bytes at the end of a growth. The only supported seek is to `offset`, the start of `last`. It is used if
    the header is known, so that the earlier growths need not be opened.
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
