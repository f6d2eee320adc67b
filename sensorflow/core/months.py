"""How many months a file may be the first to have readings of. Each is a table for good, which every query
has to plan for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date

from sensorflow.errors import Code, Permanent

SPARSE = 10
"""Readings; a month of which a file has fewer is a sparse one."""


@dataclass(frozen=True)
class MonthLimits:
    """new: months in all; sparse: those of them with fewer than `SPARSE` of the file's readings."""

    new: int = 1200
    sparse: int = 360


@dataclass
class NewMonths:
    """Counts the months that one file makes, and its readings in each, batch by batch."""

    limits: MonthLimits
    _readings: Counter[date] = field(default_factory=Counter)

    def count(self, found: dict[date, int], new: Collection[date]) -> None:
        """found: the months of a batch; new: those of them that are not there yet.

        Raises Permanent TOO_MANY_MONTHS: the new ones are not to be made, then.
        """
        if not (new or self._readings):
            return
        for month, readings in found.items():
            if month in new or month in self._readings:
                self._readings[month] += readings
        sparse = sum(readings < SPARSE for readings in self._readings.values())
        if new and len(self._readings) > self.limits.new:
            self._refuse(f"more than {self.limits.new:,} months", "new_months")
        if new and sparse > self.limits.sparse:
            self._refuse(
                f"more than {self.limits.sparse:,} months with fewer than {SPARSE} readings each",
                "sparse_months",
            )

    def _refuse(self, what: str, key: str) -> None:
        low, high = min(self._readings), max(self._readings)
        span = f"from {low:%Y-%m} to {high:%Y-%m}"
        raise Permanent(
            Code.TOO_MANY_MONTHS,
            f"the file is the first with readings of {what}, as far as it was read {span}",
            do="check time.format in the profile and earliest of the source; if the times are right, raise "
            f"{key} of the source, then replay",
        )
