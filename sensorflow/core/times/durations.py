"""Parses durations. Files contain ISO 8601 ("PT15M"), a number with a unit ("15m"), or a number without a
unit. Settings and commands accept a number with a unit.

This module does not import Arrow, because the daemon parses settings with these functions and must not
import Arrow.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
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
"""Nanoseconds in each unit."""
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
"""Seconds in each unit that settings and commands accept."""
_GIVEN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*")
_NUMBER = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)\s*(ns|us|ms|s|min|m|h|d|Hz)?", re.ASCII)
_ISO = re.compile(
    r"P(?!$)(?:(\d{1,4})Y)?(?:(\d{1,5})M)?(?:(\d{1,5})W)?(?:(\d{1,6})D)?"
    r"(?:T(?!$)(?:(\d{1,8})H)?(?:(\d{1,9})M)?(?:(\d{1,10}(?:[.,]\d{1,9})?)S)?)?",
    re.ASCII,
)


class Duration(NamedTuple):
    """A duration: the sum of months, days and nanoseconds. The length of a month or day depends on the
    calendar."""

    months: int
    days: int
    nanos: Fraction


@lru_cache(1024)
def duration(text: str, unit: str = "s") -> Duration | None:
    """Parse a duration. Returns None if `text` is not a duration, or if the duration is zero. unit: the
    unit to use for a number without a unit."""
    found = _iso(text.strip()) or _number(text.strip(), unit)
    return found if found is not None and any(found) else None


def seconds(text: str, units: Iterable[str]) -> float | None:
    """Parse a number with a unit. Returns seconds, or None if the text is invalid. units: the allowed
    units, all of which must be in `SECONDS`. If `units` is a string, each letter is a unit.

      >>> seconds("1.5 h", "smh")
      5400.0
    """
    match = _GIVEN.fullmatch(text)
    if match is None or match[2] not in tuple(units):
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
