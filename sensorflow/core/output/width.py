"""Widths of buckets, into which readings are aggregated.

Buckets begin at multiples of their width after `ORIGIN`. Buckets of an hour or a day therefore begin at
full hours and days in UTC, and buckets of seven days begin on Mondays.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import gcd

from sensorflow.core.times.durations import seconds
from sensorflow.errors import UsageError

ORIGIN = datetime(2000, 1, 3, tzinfo=UTC)
"""A Monday."""
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
LEVELS = {"1m": MINUTE, "1h": HOUR, "1d": DAY}
"""The aggregates that the database stores: name -> width."""
MAX = timedelta(days=3660)
STATISTICS = ("avg", "min", "max", "sum", "count", "stddev", "first", "last")
"""What a wide table of aggregates may contain. The first one is the default."""


def width(text: str, name: str) -> timedelta:
    """Parse the width of buckets, such as 15m. name: name of the option, for messages. Raises UsageError
    unless the width is a whole number of seconds, from one second to ten years."""
    count = seconds(text, "smhdw")
    if count is None or count != int(count) or not 1 <= count <= MAX.total_seconds():
        raise UsageError(
            f"{name} {text}: expected a width such as 10s, 15m, 1h or 1d, in whole seconds, "
            "from 1s to 3660d"
        )
    return timedelta(seconds=count)


def part(of: timedelta) -> timedelta:
    """Return the width of the parts from which buckets of raw readings are combined: at most a minute, so
    that the readings of a part fit into memory."""
    return timedelta(seconds=gcd(int(of.total_seconds()), 60))


def level(of: timedelta) -> str | None:
    """Return the widest stored aggregate from which buckets of the width `of` can be combined, or None."""
    fitting = (name for name, each in LEVELS.items() if of % each == timedelta(0))
    return max(fitting, key=lambda name: LEVELS[name], default=None)


def begin(of: timedelta, ts: datetime) -> datetime | None:
    """Return the beginning of the bucket that contains `ts`; None if it is before the year 1."""
    try:
        return ts - (ts - ORIGIN) % of
    except OverflowError:
        return None


def end(of: timedelta, ts: datetime) -> datetime | None:
    """Return the beginning of the first bucket at or after `ts`; None if it is after the year 9999."""
    try:
        return ts + (ORIGIN - ts) % of
    except OverflowError:
        return None
