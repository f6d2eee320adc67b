"""Names of zones. Words only, without Arrow: whoever reads settings needs these."""

from __future__ import annotations

from functools import cache
from zoneinfo import available_timezones

from sensorflow.core.nearest import meant
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
"""The names of zones that RFC 2822 (4.3) defines; any other is the profile's to define."""


@cache
def zones() -> frozenset[str]:
    """The names of all zones; "Factory" is the one that stands for none."""
    return frozenset(available_timezones() - {"Factory", "localtime"})


def check_zone(name: str) -> None:
    """ValueError, with the nearest name, for what is no zone."""
    if fixed_offset(name) is None and name not in zones():
        hint = meant(name, sorted(zones()), "give an IANA name or one like +01:00")
        raise ValueError(f"unknown zone; {hint}")
