"""Predicts when a disk will be full."""

from __future__ import annotations

import math
from collections import deque

WINDOW_SECONDS = 3600.0
"""Period, in seconds, over which the change of the free space is measured."""
LEAST_SECONDS = 120.0
"""Minimum period, in seconds, between the first and the last measurement. Until then, there is no
forecast."""


class DiskForecast:
    """Predicts when a disk will be full, from measurements of its free space within the last hour."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque()

    def add(self, now: float, free: float) -> float:
        """Add a measurement, and return the seconds until the disk is full. The forecast is the least
        squares line through the measurements of the last hour. Returns infinity if the free space does not
        shrink, or if the measurements cover less than `LEAST_SECONDS`. now: the time in seconds. free: the
        free bytes at this time."""
        self._seen.append((now, free))
        while now - self._seen[0][0] > WINDOW_SECONDS:
            self._seen.popleft()
        if now - self._seen[0][0] < LEAST_SECONDS:
            return math.inf
        slope = self._slope()
        return max(0.0, free / -slope) if slope < 0 else math.inf

    def _slope(self) -> float:
        """Return the change of the free space in bytes per second. It is negative if the free space
        shrinks."""
        count = len(self._seen)
        at = sum(t for t, _ in self._seen) / count
        free = sum(f for _, f in self._seen) / count
        spread = sum((t - at) ** 2 for t, _ in self._seen)
        return sum((t - at) * (f - free) for t, f in self._seen) / spread if spread else 0.0
