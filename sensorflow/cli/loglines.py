"""Parses, merges and follows the log lines of all processes of the stack."""

from __future__ import annotations

import heapq
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sensorflow.embedded.logs import older

_MAX_LINE_BYTES = 1 << 20
"""Maximum number of bytes to keep of an incomplete last line."""
EXTRA_LINES = 50
"""Number of additional lines to read before the first line, because a line without a time gets the time of
the line before it."""


@dataclass(frozen=True)
class LogLine:
    """A line of a log. at: time of the line; if the line contains no time, the time of the previous line in
    the same log. name: name of the log, such as "worker". text: the line without the time."""

    at: datetime
    name: str
    text: str


_CELERY = re.compile(r"\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),(\d{3}): (\w+)/(.+?)\] ?(.*)", re.DOTALL)
_POSTGRES = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) (\w+) (.*)", re.DOTALL)
_VALKEY = re.compile(r"(\d+:\w) (\d\d? \w{3} \d{4} \d\d:\d\d:\d\d\.\d{3}) (.*)", re.DOTALL)
_FLOWER = re.compile(r"\[(\w) (\d{6} \d\d:\d\d:\d\d) ([^\]]*)\] (.*)", re.DOTALL)
_LEVELS = {"D": "DEBUG", "I": "INFO", "W": "WARNING", "E": "ERROR", "C": "CRITICAL"}


def parsed(text: str) -> tuple[datetime | None, str]:
    """Returns the time of a line, and the text of the line without the time. If the line contains no time,
    returns None and the line.

    >>> print(*parsed("2026-11-28 03:42:41.940 UTC [7] LOG:  shutting down"))
    2026-11-28 03:42:41.940000+00:00 [7] LOG:  shutting down
    """
    try:
        if text.startswith("{"):
            return _event(text)
        if found := _POSTGRES.match(text):
            at = datetime.fromisoformat(found[1])
            # the time zone is that of the server; the embedded server uses UTC
            return (at.replace(tzinfo=UTC) if found[2] == "UTC" else at.astimezone()), found[3]
        if found := _CELERY.match(text):
            at = datetime.fromisoformat(f"{found[1]}.{found[2]}").astimezone()
            return at, f"{found[3]} {found[4]}: {found[5]}"
        if found := _VALKEY.match(text):
            at = datetime.strptime(found[2], "%d %b %Y %H:%M:%S.%f").astimezone()
            return at, f"[{found[1]}] {found[3]}"
        if found := _FLOWER.match(text):
            at = datetime.strptime(found[2], "%y%m%d %H:%M:%S").astimezone()
            return at, f"{_LEVELS.get(found[1], found[1])} {found[3]}: {found[4]}"
    except ValueError:
        pass
    return None, text


def _event(text: str) -> tuple[datetime | None, str]:
    """Returns the time of a JSON log event of sensorflow, and the event as `LEVEL event key=value …`.
    Raises ValueError if the text is not valid JSON."""
    given = json.loads(text)
    if not isinstance(given, dict) or "timestamp" not in given or "event" not in given:
        return None, text
    at = datetime.fromisoformat(str(given.pop("timestamp")))
    level, event = str(given.pop("level", "info")).upper(), given.pop("event")
    pairs = (f"{key}={_short(value)}" for key, value in given.items())
    return at, " ".join((level, str(event), *pairs))


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if text and " " not in text else json.dumps(text, ensure_ascii=False)


class LogTail:
    """Reads one log, that is, its current file and its rotated files, and then follows new lines."""

    def __init__(self, path: Path) -> None:
        self.name = path.stem
        self._path = path
        self._read = b""
        """The last bytes that were read. After a rotation, reading continues behind these bytes."""
        self._offset = 0
        self._incomplete = b""
        self._before = _inode(path, ".1")
        self._at = datetime.fromtimestamp(0, UTC)

    def all(self, last: int | None, after: datetime | None) -> Iterator[LogLine]:
        """Yields the lines of the log, oldest first. last: minimum number of lines to yield, from the end
        of the log; None for all lines. after: skip rotated files that were last changed before this
        time."""
        begin = after.timestamp() if after else 0.0
        parts = [part for part in older(self._path) if _changed(part) >= begin]
        if last is not None:
            parts = _newest(parts, last)
        for part in parts:
            chunk = _bytes(part)
            if part == self._path:
                self._offset = len(chunk)
            if last is not None and part == parts[0]:
                chunk = _cut(chunk, last)
            yield from self._lines(chunk)

    def new(self) -> list[LogLine]:
        """Returns the lines written since the last call."""
        before, self._before = self._before, _inode(self._path, ".1")
        try:
            with self._path.open("rb") as stream:
                cut = stream.seek(0, 2) < self._offset
                if cut or before != self._before:  # the log was rotated
                    return list(self._lines(self._rotated()))
                stream.seek(self._offset)
                chunk = stream.read()
        except OSError:
            return []
        self._offset += len(chunk)
        return list(self._lines(chunk))

    def _rotated(self) -> bytes:
        """Returns all bytes after the bytes that were already read, from rotated files and the current
        file."""
        *parts, found = older(self._path)
        text = _bytes(found)
        self._offset = len(text)
        now = text
        if not self._read:
            return now
        while (at := text.rfind(self._read)) < 0 and parts:
            text = _bytes(parts.pop()) + text
        return text[at + len(self._read) :] if at >= 0 else now

    def _lines(self, chunk: bytes) -> Iterator[LogLine]:
        if not chunk:
            return
        self._read = (self._read + chunk)[-256:]
        *complete, rest = (self._incomplete + chunk).split(b"\n")
        self._incomplete = rest[-_MAX_LINE_BYTES:]
        for raw in complete:
            text = raw.decode("utf-8", "replace").rstrip()
            if not text:
                continue
            at, message = parsed(text)
            self._at = at or self._at
            yield LogLine(self._at, self.name, message)


def merged(
    tails: Sequence[LogTail], last: int | None = None, after: datetime | None = None
) -> Iterator[LogLine]:
    """Yields the lines of all logs in order of time. last, after: arguments of `LogTail.all` for each
    log."""
    return heapq.merge(*(tail.all(last, after) for tail in tails), key=lambda line: line.at)


def _inode(path: Path, suffix: str) -> int:
    try:
        return path.with_name(path.name + suffix).stat().st_ino
    except OSError:
        return 0


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _newest(parts: list[Path], last: int) -> list[Path]:
    """Returns as many of the newest files as are needed for `last` lines and `EXTRA_LINES` more. parts:
    files of a log, oldest first, as in the result."""
    found: list[Path] = []
    for part in reversed(parts):
        found.insert(0, part)
        last -= _bytes(part).count(b"\n")
        if last + EXTRA_LINES <= 0:
            break
    return found


def _cut(text: bytes, last: int) -> bytes:
    """Returns the last lines of a text: `last` lines and `EXTRA_LINES` more."""
    lines = text.split(b"\n")
    return b"\n".join(lines[-(last + EXTRA_LINES) :])
