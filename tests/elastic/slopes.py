"""What grows: the slope of a series with its standard error.

Neighbouring samples of one process are alike, and a regression on them would claim more certainty
than there is. So a series is first cut into blocks, and the means of the blocks are what the line
is fitted to.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

ERRORS = 3.0
"""Standard errors by which a slope must differ from nothing."""
BLOCKS = 20
"""Means that a line is fitted to."""
FEWEST = 4
"""Blocks below which nothing is said."""
WARM = 0.25
"""Share of a series at its beginning that is left out: caches fill, and the allocator settles."""


@dataclass(frozen=True)
class Slope:
    """per_hour: growth. error: its standard error. mean: of the whole series. growth: by how much
    the line rises over the series."""

    mean: float
    per_hour: float
    error: float
    growth: float

    def is_leak(self, most: float) -> bool:
        """Whether the growth per hour is certain, and more than `most`."""
        return self.per_hour > most and self.per_hour > ERRORS * self.error


@dataclass
class Series:
    """Values over time. unit: of a value. most: growth per hour from which it is a leak."""

    unit: str
    most: float
    points: list[tuple[float, float]] = field(default_factory=list)

    def add(self, at: float, value: float) -> None:
        self.points.append((at, value))

    def slope(self) -> Slope | None:
        """None if the series is too short."""
        return slope(self.points)

    @property
    def spans(self) -> float:
        """Seconds from the first value to the last one."""
        return self.points[-1][0] - self.points[0][0] if self.points else 0.0

    @property
    def is_leak(self) -> bool:
        found = self.slope()
        return found is not None and found.is_leak(self.most)


def slope(points: Sequence[tuple[float, float]], blocks: int = BLOCKS) -> Slope | None:
    """Fit a line to the means of blocks of a series, without its beginning. points: (second, value)."""
    kept = points[math.floor(len(points) * WARM) :]
    means = _means(kept, min(blocks, len(kept)))
    if len(means) < FEWEST:
        return None
    n = len(means)
    middle = sum(x for x, _ in means) / n
    mean = sum(y for _, y in means) / n
    spread = sum((x - middle) ** 2 for x, _ in means)
    if not spread:
        return None
    rise = sum((x - middle) * (y - mean) for x, y in means) / spread
    rest = sum((y - mean - rise * (x - middle)) ** 2 for x, y in means)
    error = math.sqrt(rest / (n - 2) / spread)
    over = kept[-1][0] - kept[0][0]
    return Slope(sum(y for _, y in kept) / len(kept), rise * 3600, error * 3600, rise * over)


def _means(points: Sequence[tuple[float, float]], blocks: int) -> list[tuple[float, float]]:
    made = []
    for number in range(blocks):
        part = points[len(points) * number // blocks : len(points) * (number + 1) // blocks]
        if part:
            made.append((sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)))
    return made
