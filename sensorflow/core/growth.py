"""Growing files: how many bytes of a growing file have been taken in, and whether the file is still the
same.

A growing file is taken in as a sequence of parts. A part begins where the previous part ends, and ends with
a complete line. Each part is a version with its own ledger row. All parts of a file, from its first byte
on, form a chain.
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
"""Number of bytes at each of two places that identify a growing file: the start of the file, and the end of
the bytes that were taken in."""
CAP = 64 << 20
"""Maximum number of bytes in one part. Further bytes become the next part at once."""
BLOCK = 1 << 20
HEADER = 1 << 20
"""Number of bytes at the start of a growing file, including the header, that are not removed as long as the
file exists."""
FORMATS = ("csv", "jsonl", "influx")
"""Formats in which a file can be split at the end of any line."""
CHECK_AFTER = 600.0
"""Time in seconds after which a file that did not grow is compared once with all bytes that were taken
in."""
CHECK_RATE = 1_000_000
"""Bytes per second. A large file is compared only after size / `CHECK_RATE` seconds without growth, so that
it is not read too often."""
BACKLOG = 60.0
"""Minimum time in seconds between two parts while the previous part waits for a worker."""


@dataclass(frozen=True)
class Ingested:
    """The bytes of a growing file that have been taken in so far, according to the ledger.

    root, last: ids of the first and the latest part. key: the key of the first part. inode: "device:inode".
    size, lines: numbers of bytes and lines of all parts. head: SHA-256 of the first `EDGE` bytes. tail:
    SHA-256 of the last `EDGE` bytes before `size`. fingerprint: the state of the file when it was last
    read. checked: the state of the file when all its bytes were last compared; None if they never were.
    age: seconds since the latest part was taken in, by the database's clock. waiting: whether the latest
    part is unfinished. rows: number of readings in the loaded parts.
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

    def is_due(self, every: float) -> bool:
        """Return whether the next part is due. every: minimum time between two parts, in seconds."""
        return self.wait(every) <= 0

    def wait(self, every: float) -> float:
        """Return the seconds until the next part is due. The result is 0 or less if the next part is due
        now."""
        return (max(every, BACKLOG) if self.waiting else every) - self.age

    def recheck_seconds(self, every: float) -> float:
        """Return the seconds after which the caller must check again whether the next part is due. They
        may be fewer than `wait` returns, because an unfinished part may be loaded at any time."""
        return every - self.age if self.age < every else min(every, self.wait(every))

    @property
    def idle(self) -> bool:
        """Whether the file has not grown for so long that a comparison of all its bytes is due."""
        return self.age >= max(CHECK_AFTER, self.size / CHECK_RATE)


@dataclass(frozen=True)
class Increment:
    """The bytes that were added to a growing file, up to the end of a line. They become the next part.

    follows: the bytes that were taken in before; None for a new file. size, lines: numbers of bytes and
    lines of the next part. inode, head, tail: as in `Ingested`, for the file up to the end of the next
    part.
    """

    follows: Ingested | None
    size: int
    lines: int
    inode: str
    head: bytes
    tail: bytes

    @property
    def start(self) -> int:
        """Number of bytes in the file before the next part."""
        return self.follows.size if self.follows else 0

    @property
    def line_base(self) -> int:
        return self.follows.lines if self.follows else 0

    @property
    def end(self) -> int:
        return self.start + self.size


@dataclass(frozen=True)
class Growth:
    """An increment that was landed. The ledger registers it as a part."""

    arrival: Arrival
    increment: Increment


@dataclass(frozen=True)
class Part:
    """The position of one part (a file version) within its growing file.

    root: id of the first part. follows: id of the previous part; None for the first part. byte_offset,
    line_base: numbers of bytes and lines in the file before this part. rows_read, rows_rejected: sums over
    the other loaded parts of the file. ts_max: the latest time of a reading in the other loaded parts.
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
    """A landed part of a growing file: the name of its bytes in the landing zone, and the fields that
    determine its paths in the lake."""

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
    """The result of comparing a file with the bytes that were taken in before."""

    SAME = "same"  # the same file, possibly longer
    PERHAPS = "perhaps"  # another inode, but the same bytes at both edges: compare all bytes
    TRUNCATED = "truncated"
    REWRITTEN = "rewritten"
    REPLACED = "replaced"  # another file with the same name


class Stream(Protocol):
    """An open file that supports seek."""

    def read(self, size: int = -1, /) -> bytes: ...
    def seek(self, offset: int, /) -> object: ...


def compare(ingested: Ingested, inode: str, size: int, stream: Stream) -> Verdict:
    """Compare an open file with the bytes that were taken in before. Reads only the first and the last
    `EDGE` bytes that were taken in.

    The device is not compared, because its number may change when the system reboots.
    """
    same = ingested.inode.rpartition(":")[2] == inode.rpartition(":")[2]
    if size < ingested.size:
        return Verdict.TRUNCATED if same else Verdict.REPLACED
    if edges(stream, ingested.size) != (ingested.head, ingested.tail):
        return Verdict.REWRITTEN if same else Verdict.REPLACED
    return Verdict.SAME if same else Verdict.PERHAPS


def edges(stream: Stream, size: int) -> tuple[bytes, bytes]:
    """Return the SHA-256 digests of the first and of the last `EDGE` bytes in the first `size` bytes of a
    file."""
    width = min(size, EDGE)
    head, tail = (_read(stream, start, width) for start in (0, size - width))
    return hashlib.sha256(head).digest(), hashlib.sha256(tail).digest()


def holds(stream: Stream, segments: Iterable[Segment]) -> bool:
    """Return whether a file starts with the bytes of these parts. segments: the first parts of a growing
    file, in order and without gaps."""
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
    """Return whether a file of `size` bytes is a prefix of the landed bytes. landed: the streams of the
    landed parts, in order."""
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
    """Return the reason why files of this profile cannot be growing files, and what to change. Returns None
    if they can."""
    if profile.format not in FORMATS:
        known = ", ".join(FORMATS)
        return f"files of the format {profile.format!r} cannot be read in parts; use one of {known}"
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
    """Return the reason why a file that starts with these bytes cannot be a growing file. Returns None if
    no reason is found."""
    kind = kind_of(head) or ("Parquet" if head.startswith(b"PAR1") else None)
    if kind is not None:
        return f"{kind}: a growing source reads plain lines"
    if head.startswith((b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")):
        return (
            "UTF-16 or UTF-32: a growing source reads only encodings in which one byte ends a line"
        )
    return None


class Lines:
    """A stream of the bytes of a file between two offsets. Counts the lines, and records the first and the
    last bytes. If the file is shorter than expected, the stream ends early. Can be read again from its
    start."""

    def __init__(self, stream: Stream, start: int, end: int) -> None:
        self._stream, self._start, self._end = stream, start, end
        self.seek(0)

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, /) -> int:
        assert offset == 0
        self._stream.seek(self._start)
        self._left, self.count = self._end - self._start, 0
        self.first = self.last = b""
        return 0

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
        """Return the SHA-256 digests of the first and of the last `EDGE` bytes in the first `end` bytes of
        the file. Reads only bytes that were not recorded. start, end: the offsets between which bytes were
        recorded."""
        width = min(end, EDGE)
        head = (_read(stream, 0, min(start, EDGE)) + self.first)[:width]
        short = max(0, width - len(self.last))
        tail = (_read(stream, start - short, short) + self.last)[-width:]
        return hashlib.sha256(head).digest(), hashlib.sha256(tail).digest()


def _read(stream: Stream, start: int, width: int) -> bytes:
    stream.seek(start)
    return stream.read(width)


class Joined(io.RawIOBase):
    """A growing file up to the end of one part, as one stream: the earlier parts, followed by `last`.

    before: the earlier parts; each is opened only when the stream reaches it. A read may return fewer bytes
    at the end of a part. The only supported seek is to `offset`, the start of `last`. Callers use it if the
    header is known, so that the earlier parts need not be opened.
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
