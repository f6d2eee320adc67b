"""Chooses the time range of a new partition of readings from the rate of readings around it.

A partition gets its reading index when its range is over. The narrower the partitions, the less of the
newest readings has no index, but each partition increases the planning time of queries that have no time
range.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import MAXYEAR, UTC, datetime, timedelta
from enum import StrEnum


class Width(StrEnum):
    """The time range of a partition, widest first. Weeks begin on day 1, 8, 15 and 22 of a month, so the
    last week of a month has 7 to 10 days."""

    MONTH = "month"
    WEEK = "week"
    DAY = "day"


@dataclass(frozen=True)
class Partition:
    """An existing partition. low, high: its time range, without `high`. readings: estimated number."""

    low: datetime
    high: datetime
    readings: float = 0.0


WEEK_FROM = 3_000_000 / 30
"""Readings per day from which partitions have a week: 3 million a month."""
DAY_FROM = 10_000_000 / 30
"""Readings per day from which partitions have a day: 10 million a month."""
NEAR = timedelta(days=14)
"""Partitions that are at most this far from the month of a new partition show the rate of readings."""
NO_DAYS_FROM, NO_WEEKS_FROM = 1000, 1800
"""Numbers of partitions from which new partitions have at least a week, and a month. The database creates
at most 2400."""
DAY = timedelta(days=1)


def partition_width(
    wanted: Width | None, time: datetime, existing: Iterable[Partition], count: int, now: datetime
) -> Width:
    """Return the width of a new partition that contains `time`.

    wanted: the width in the settings; None to choose it from the rate of readings near `time`. If no rate
    is known, the width is a month. existing: the partitions near `time`, and perhaps others. count: number
    of all partitions.
    """
    if wanted is None:
        rate = readings_per_day(time, existing, now)
        wanted = _width_of(rate) if rate is not None else Width.MONTH
    if count >= NO_WEEKS_FROM:
        return Width.MONTH
    return Width.WEEK if wanted is Width.DAY and count >= NO_DAYS_FROM else wanted


def readings_per_day(time: datetime, existing: Iterable[Partition], now: datetime) -> float | None:
    """Return the mean number of readings per day in the partitions near the month of `time`. Only
    partitions with readings count, and only their days before `now`. Returns None if there are none."""
    low, high = month_range(time)
    readings, days = 0.0, 0.0
    for partition in existing:
        is_near = low - partition.high < NEAR and partition.low - high < NEAR
        past = (min(partition.high, now) - partition.low) / DAY
        if is_near and partition.readings > 0 and past > 0:
            readings, days = readings + partition.readings, days + past
    return readings / days if days else None


def month_range(time: datetime) -> tuple[datetime, datetime]:
    """Return (start, end) of the UTC month that contains `time`. The end of the last month is the greatest
    time that Python knows."""
    at = time.astimezone(UTC)
    low = datetime(at.year, at.month, 1, tzinfo=UTC)
    if (at.year, at.month) == (MAXYEAR, 12):
        return low, datetime.max.replace(tzinfo=UTC)
    after = low + timedelta(days=31)
    return low, datetime(after.year, after.month, 1, tzinfo=UTC)


def partition_name(low: datetime, high: datetime) -> str:
    """Return the name of a time range for users: "2026-02" for a month, "2026-02-08" for a day, and
    "2026-02-08..14" for other ranges. low, high: the range in UTC, without `high`."""
    first, last = low.date(), (high - timedelta(microseconds=1)).date()
    if (low, high) == month_range(low):
        return first.isoformat()[:7]
    return first.isoformat() if first == last else f"{first.isoformat()}..{last:%d}"


def _width_of(rate: float) -> Width:
    if rate >= DAY_FROM:
        return Width.DAY
    return Width.WEEK if rate >= WEEK_FROM else Width.MONTH
