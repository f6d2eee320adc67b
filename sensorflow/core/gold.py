"""The ranges of time whose aggregates are computed again, and how many of them in one transaction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

LEAST_HOURS, FIRST_HOURS, MOST_HOURS = 4, 24, 744
"""Number of hours that a transaction computes: at least, at first, and at most. It is never one, so that
old hours are computed also while each transaction finds a newer one."""


@dataclass(frozen=True)
class StaleRange:
    """A range of time to compute again, including `low` and `high`. sensors: None for all sensors."""

    low: datetime
    high: datetime
    sensors: tuple[str, ...] | None


@dataclass(frozen=True)
class Refreshed:
    """The result of one transaction of the refresher. hours: number of hours that were computed. pending:
    whether there is more to do."""

    hours: int
    pending: bool


def contiguous(stale: Iterable[StaleRange]) -> list[StaleRange]:
    """Extend these ranges to whole minutes, and combine adjacent ones with the same sensors. One scan reads
    each of the returned ranges."""
    found: list[StaleRange] = []
    for one in sorted(stale, key=lambda s: s.low):
        low = one.low.replace(second=0, microsecond=0)
        high = one.high.replace(second=59, microsecond=999_999)
        sensors = None if one.sensors is None else tuple(sorted(one.sensors))
        if found and low - found[-1].high <= timedelta.resolution and sensors == found[-1].sensors:
            found[-1] = replace(found[-1], high=max(high, found[-1].high))
        else:
            found.append(StaleRange(low, high, sensors))
    return found


def next_hours(hours: int, seconds: float, target_seconds: float) -> int:
    """Return the number of hours for the next transaction, after a transaction of `hours` hours that took
    `seconds`."""
    if seconds > target_seconds:
        return max(LEAST_HOURS, hours // 2)
    return min(MOST_HOURS, hours * 2) if seconds < target_seconds / 2 else hours
