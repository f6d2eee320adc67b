"""When a disk will be full."""

from __future__ import annotations

import math
from collections import deque

WINDOW_SECONDS = 3600.0
"""Period over which the rate is measured."""
LEAST_SECONDS = 120.0
"""Period that must have been measured before there is a forecast."""


class DiskForecast:
    """The free space within the last hour."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque()

    def add(self, now: float, free: float) -> float:
        """Add the free bytes at a time, in seconds. Returns the seconds until the disk is full by the least
        squares line through the last hour; infinity if the free space does not shrink, or if too little was
        measured."""
        self._seen.append((now, free))
        while now - self._seen[0][0] > WINDOW_SECONDS:
            self._seen.popleft()
        if now - self._seen[0][0] < LEAST_SECONDS:
            return math.inf
        slope = self._slope()
        return max(0.0, free / -slope) if slope < 0 else math.inf

    def _slope(self) -> float:
        """Returns the change of the free space in bytes per second."""
        count = len(self._seen)
        at = sum(t for t, _ in self._seen) / count
        free = sum(f for _, f in self._seen) / count
        spread = sum((t - at) ** 2 for t, _ in self._seen)
        return sum((t - at) * (f - free) for t, f in self._seen) / spread if spread else 0.0
