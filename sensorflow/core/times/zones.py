"""Validates names of zones. This module does not import Arrow, because the daemon parses settings with
these functions and must not import Arrow."""

from __future__ import annotations

from functools import cache
from zoneinfo import available_timezones

from sensorflow.core.nearest import did_you_mean
from sensorflow.core.times.timeformats import fixed_offset

ABBREVIATIONS = {
    "UTC": "Z",
    "GMT": "Z",
    "UT": "Z",
    "EST": "-05:00",
    "EDT": "-04:00",
    "CST": "-06:00",
    "CDT": "-05:00",
    "MST": "-07:00",
    "MDT": "-06:00",
    "PST": "-08:00",
    "PDT": "-07:00",
}
"""The abbreviations of zones that RFC 2822 (4.3) defines, and their offsets. The profile must define any
other abbreviation."""


@cache
def zones() -> frozenset[str]:
    """Return the names of all zones. "Factory" and "localtime" are not included, because they do not denote
    a zone."""
    return frozenset(available_timezones() - {"Factory", "localtime"})


def check_zone(name: str) -> None:
    """Raise ValueError if `name` is not a zone. The message suggests the most similar name."""
    if fixed_offset(name) is None and name not in zones():
        hint = did_you_mean(name, sorted(zones()), "give an IANA name, or an offset such as +01:00")
        raise ValueError(f"unknown zone; {hint}")
