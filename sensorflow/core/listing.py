"""Which files are asked for, and how a source is doing: what people ask the ledger."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime

from sensorflow.core.states import State


@dataclass(frozen=True)
class FileFilter:
    """What is None or False excludes nothing.

    landed_since: arrived then or later. finished_since: reached its state then or later. name: see
    `pattern`; an alias counts. code: as the ledger has it, with its name. rejected: with rejected rows.
    whole: of a growing file the first growth alone.
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
    """How one source is doing, by the ledger's clock.

    waiting: files pending or running. oldest: seconds for which the oldest of them has waited, None if none
    does. last_file: when the last file arrived. last_reading: the newest reading in the database.
    rows_per_second: loaded within the last minute. quarantined: files within the last hour.
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
"""Seconds over which `rows_per_second` is taken."""


def pattern(name: str) -> str:
    """A regular expression, for Python and for PostgreSQL, of a pattern with `*`, `?` and `[...]`.

    It fits a whole name below the drop folder, or all of it after a slash, in both spellings (NFC, NFD).

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
