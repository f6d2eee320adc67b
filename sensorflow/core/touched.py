"""The range of readings that a transaction changed, for aggregates and watermarks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

MAX_SENSORS = 1000
"""Maximum number of sensors in a `Touched`. If more sensors than this changed, it includes all sensors."""


@dataclass(frozen=True)
class Touched:
    """A range of times and sensors. It includes every reading of one source that was inserted, replaced or
    removed.

    The range may also include readings that did not change. low, high: first and last time of the changed
    readings, truncated to microseconds; None if no reading changed. sensors: the sensors of the changed
    readings; None if they are unknown or more than `MAX_SENSORS`.
    """

    source: str
    low: datetime | None = None
    high: datetime | None = None
    sensors: frozenset[str] | None = frozenset()

    def over(
        self, low: datetime | None, high: datetime | None, sensors: Iterable[str] | None = None
    ) -> Touched:
        """Return this range, extended to include another range. If `low` or `high` is None, the other range
        is empty."""
        if low is None or high is None:
            return self
        known = None
        if self.sensors is not None and sensors is not None:
            known = self.sensors.union(sensors)
        if known is not None and len(known) > MAX_SENSORS:
            known = None
        return Touched(self.source, min(self.low or low, low), max(self.high or high, high), known)
