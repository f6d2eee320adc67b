"""Groups the files of a folder by their names, and groups equal proposals."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping, Sequence

from sensorflow.core.sniff.guess import Guess, Line

_VARYING = r"[0-9a-fA-F]{8}-[0-9a-fA-F-]{23,}|\d+(?:[-_.:T ]?\d+)*Z?"
"""The parts in which the names of similar files differ: dates, counters, serial numbers, UUIDs."""


def pattern(name: str) -> str:
    """Return a pattern for `include`. It matches this name, and all names that differ from it only in their
    numbers.

    >>> pattern("boiler_2026-03-01.csv"), pattern("T7-0012.csv.gz"), pattern("roof.csv")
    ('boiler_*.csv', 'T*.csv.gz', 'roof.csv')
    """
    ending = re.search(r"(\.[A-Za-z][A-Za-z0-9]{0,7}){0,2}$", name)
    at = ending.start() if ending else len(name)
    stem = re.sub(r"[\[\]?*]", "?", name[:at])
    return re.sub(r"\*+", "*", re.sub(_VARYING, "*", stem)) + name[at:]


def by_pattern(names: Iterable[str]) -> dict[str, list[str]]:
    """Return pattern -> the names with this pattern. names: names or paths; only the last part of a path
    is compared."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(pattern(name.rpartition("/")[2]), []).append(name)
    return found


def sample(names: Sequence[str], count: int) -> list[str]:
    """Return `count` of the names at regular intervals. They include the first and the last name."""
    if count >= len(names):
        return list(names)
    if count == 1:
        return [names[0]]
    last = len(names) - 1
    return [names[round(i * last / (count - 1))] for i in range(count)]


def kind(guess: Guess) -> Hashable:
    """Return a key for a proposal. Two proposals of the same profile have equal keys, even if their
    reasons differ."""
    parts = (guess.settings, guess.time, guess.columns)
    return tuple(tuple((line.key, _value(line)) for line in part) for part in parts)


def _value(line: Line) -> str:
    """Return a value as text. Sensors that are named after the file or by a constant all have the same
    text."""
    named = line.key == "sensor" and isinstance(line.value, Mapping)
    if named and line.value.keys() & {"file_name", "constant"}:  # type: ignore[union-attr]
        return "the file"
    return repr(line.value)
