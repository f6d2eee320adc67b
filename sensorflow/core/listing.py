"""Parameters and results of queries on the ledger: filters for files, and the activity of a source."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime

from sensorflow.core.states import State


@dataclass(frozen=True)
class FileFilter:
    """A filter for files. A field that is None or False is not applied.

    landed_since: only files that arrived at this time or later. finished_since: only files that reached
    their state at this time or later. name: a glob as in `pattern`; a file also matches if one of its
    aliases does. code: the full error code, with its name. rejected: only files with rejected rows.
    first_parts_only: only the first part of each growing file.
    """

    state: State | None = None
    source: str | None = None
    landed_since: datetime | None = None
    finished_since: datetime | None = None
    name: str | None = None
    code: str | None = None
    rejected: bool = False
    first_parts_only: bool = False


@dataclass(frozen=True)
class Activity:
    """The activity of one source, by the database's clock.

    waiting: number of pending and running files. oldest: age of the oldest of these files in seconds; None
    if there are none. last_file: arrival time of the last file. last_file_age: seconds since `last_file`.
    last_reading: time of the newest reading in the database. last_reading_age: seconds since
    `last_reading`. rows_per_second: rows loaded per second in the last minute. quarantined: number of files
    quarantined in the last hour.
    """

    waiting: int = 0
    oldest: float | None = None
    last_file: datetime | None = None
    last_file_age: float | None = None
    last_reading: datetime | None = None
    last_reading_age: float | None = None
    rows_per_second: float = 0.0
    quarantined: int = 0


@dataclass(frozen=True)
class LargeFile:
    """A file that a worker has been reading for longer than a third of the lease time, with its progress.

    size: bytes of the landed file. bytes: the number of these bytes that the worker has read; None if
    unknown. rows: the number of readings so far. worker: role, host and process id of the worker. seconds:
    time from the claim of the file to the report of this progress. age: seconds since this report.
    """

    file_id: int
    source: str
    name: str
    stage: str
    size: int
    bytes: int | None
    rows: int
    worker: str
    seconds: float
    age: float

    @property
    def percent(self) -> float | None:
        return None if self.bytes is None or not self.size else 100 * self.bytes / self.size

    @property
    def rows_per_second(self) -> float:
        return self.rows / max(self.seconds, 0.001)

    @property
    def seconds_left(self) -> float | None:
        """The seconds until the end of the stage, if the worker continues at its rate so far; None if
        unknown."""
        if not self.bytes:
            return None
        return max(0.0, (self.size - self.bytes) * self.seconds / self.bytes - self.age)

    def as_dict(self) -> dict[str, float | str | None]:
        left, percent = self.seconds_left, self.percent
        return {
            **vars(self),
            "seconds": round(self.seconds, 1),
            "age": round(self.age, 1),
            "percent": None if percent is None else round(percent, 1),
            "rows_per_second": round(self.rows_per_second, 1),
            "seconds_left": None if left is None else round(left, 1),
        }


RATE_WINDOW_SECONDS = 60.0
"""Seconds over which `rows_per_second` is averaged."""


def pattern(name: str) -> str:
    """Convert a glob with `*`, `?` and `[...]` to a regular expression for Python and PostgreSQL.

    The regular expression matches the complete path below the drop folder, or the rest of the path after
    one of its slashes. It matches names in NFC and in NFD.

    >>> [bool(re.fullmatch(pattern("a*.csv"), n)) for n in ("a1.csv", "x/a.csv", "ba.csv", "a.csv.gz")]
    [True, True, False, False]
    >>> bool(re.fullmatch(pattern("[!a]+.csv"), "b+.csv"))
    True
    """
    spellings = dict.fromkeys(unicodedata.normalize(form, name) for form in ("NFC", "NFD"))
    return f"^(?:.*/)?(?:{'|'.join(map(_translated, spellings))})$"


def _translated(glob: str) -> str:
    pieces = re.split(r"(\*|\?|\[!?\]?[^\]]*\])", glob)
    return "".join(_piece(piece) for piece in pieces)


def _piece(piece: str) -> str:
    if piece in ("*", "?"):
        return "." if piece == "?" else ".*"
    if len(piece) > 2 and piece[0] == "[" and piece[-1] == "]":
        inverted = piece[1] == "!"
        inner = re.sub(r"([\\\[\]^])", r"\\\1", piece[1 + inverted : -1])
        return f"[{'^' if inverted else ''}{inner}]"
    return re.sub(r"([\\.+*?()\[\]{}|^$])", r"\\\1", piece)
