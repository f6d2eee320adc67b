"""Which readings a transaction has changed, as far as aggregates and watermarks want to know."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

MOST = 1000
"""Sensors that are told apart."""


@dataclass(frozen=True)
class Touched:
    """Readings of one source that were inserted, replaced or removed: none outside of this was, but not all
    that is inside need have been.

    low, high: the first and the last instant at which they were measured, cut to microseconds; None where
    none was touched. sensors: whose they are; None: anybody's, for there are more than `MOST` or it was not
    at hand.
    """

    source: str
    low: datetime | None = None
    high: datetime | None = None
    sensors: frozenset[str] | None = frozenset()

    def over(
        self, low: datetime | None, high: datetime | None, sensors: Iterable[str] | None = None
    ) -> Touched:
        """Widened to hold these too; without times nothing was."""
        if low is None or high is None:
            return self
        known = None
        if self.sensors is not None and sensors is not None:
            known = self.sensors.union(sensors)
        if known is not None and len(known) > MOST:
            known = None
        return Touched(self.source, min(self.low or low, low), max(self.high or high, high), known)
