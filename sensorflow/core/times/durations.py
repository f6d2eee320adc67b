"""Durations as files write them: ISO 8601 ("PT15M"), a number with its unit ("15m"), or a bare number; and
as people give them to settings and commands: a number with its unit.

Words only, without Arrow: whoever reads settings needs these.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

UNITS = {
    "ns": 1,
    "us": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "min": 60 * 10**9,
    "h": 3600 * 10**9,
    "d": 86400 * 10**9,
}
"""Nanoseconds in each."""
HERTZ = "Hz"
SECONDS = {
    "s": 1,
    "m": 60,
    "min": 60,
    "h": 3600,
    "d": 86400,
    "w": 7 * 86400,
    "y": 365.25 * 86400,
}
"""Seconds in each unit that people give."""
_GIVEN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*")
_NUMBER = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)\s*(ns|us|ms|s|min|m|h|d|Hz)?", re.ASCII)
_ISO = re.compile(
    r"P(?!$)(?:(\d{1,4})Y)?(?:(\d{1,5})M)?(?:(\d{1,5})W)?(?:(\d{1,6})D)?"
    r"(?:T(?!$)(?:(\d{1,8})H)?(?:(\d{1,9})M)?(?:(\d{1,10}(?:[.,]\d{1,9})?)S)?)?",
    re.ASCII,
)


class Duration(NamedTuple):
    """Months and days are those of a calendar; nanos is exact."""

    months: int
    days: int
    nanos: Fraction


@lru_cache(1024)
def duration(text: str, unit: str = "s") -> Duration | None:
    """None of what is no duration, or of none at all. unit: of a bare number."""
    found = _iso(text.strip()) or _number(text.strip(), unit)
    return found if found is not None and any(found) else None


def seconds(text: str, units: Collection[str]) -> float | None:
    """Seconds of a number with one of some `units` of `SECONDS`; None of anything else.

    >>> seconds("1.5 h", "smh")
    5400.0
    """
    match = _GIVEN.fullmatch(text)
    if match is None or match[2] not in set(units):  # of a text each letter is one
        return None
    return float(match[1]) * SECONDS[match[2]]


def _number(text: str, unit: str) -> Duration | None:
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    number, unit = Fraction(match[1]), match[2] or unit
    if unit == HERTZ:
        return Duration(0, 0, 10**9 / number) if number else None
    if unit == "d" and number.denominator == 1:
        return Duration(0, int(number), Fraction(0))
    return Duration(0, 0, number * UNITS[unit])


def _iso(text: str) -> Duration | None:
    match = _ISO.fullmatch(text)
    if match is None:
        return None
    years, months, weeks, days, hours, minutes = (int(group or 0) for group in match.groups()[:6])
    seconds = Fraction((match[7] or "0").replace(",", "."))
    nanos = (hours * 3600 + minutes * 60 + seconds) * 10**9
    return Duration(years * 12 + months, weeks * 7 + days, Fraction(nanos))
