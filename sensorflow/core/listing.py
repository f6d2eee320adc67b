"""Queries on the ledger: filters for files, and the activity of a source."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime

from sensorflow.core.states import State


@dataclass(frozen=True)
class FileFilter:
    """A filter for files. A field that is None or False does not filter.

    landed_since: arrived at this time or later. finished_since: reached its state at this time or later.
    name: a glob for `pattern`; aliases match too. code: the full error code, with its name. rejected: only
    files with rejected rows. whole: only the first growth of each growing file.
    """

    state: State | None = None
    source: str | None = None
    landed_since: datetime | None = None
    finished_since: datetime | None = None
    name: str | None = None
    code: str | None = None
    rejected: bool = False
    whole: bool = False


@dataclass(frozen=True)
class Activity:
    """The activity of one source, by the database's clock.

    waiting: number of pending and running files. oldest: age of the oldest of them in seconds, or None.
    last_file: when the last file arrived. last_reading: the newest reading in the database. *_age: their
    ages in seconds. rows_per_second: load rate of the last minute. quarantined: files of the last hour.
    """

    waiting: int = 0
    oldest: float | None = None
    last_file: datetime | None = None
    last_file_age: float | None = None
    last_reading: datetime | None = None
    last_reading_age: float | None = None
    rows_per_second: float = 0.0
    quarantined: int = 0


LATELY = 60.0
"""Seconds over which `rows_per_second` is averaged."""


def pattern(name: str) -> str:
    """Convert a glob with `*`, `?` and `[...]` to a regular expression for Python and PostgreSQL.

    It matches the whole path below the drop folder, or all of it after a slash, in NFC and in NFD.

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
