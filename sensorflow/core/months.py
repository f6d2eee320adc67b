"""Limits on the number of new months that one file may create.

Each month is a permanent table (a partition), which increases the planning time of every query.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date

from sensorflow.errors import Code, Permanent

SPARSE = 10
"""A month in which the file has fewer than this number of readings is sparse."""


@dataclass(frozen=True)
class MonthLimits:
    """Limits for one file. new: maximum number of new months. sparse: maximum number of new months in which
    the file has fewer than `SPARSE` readings."""

    new: int = 1200
    sparse: int = 360


@dataclass
class NewMonths:
    """Counts the new months of one file, and the file's readings in each of them, batch by batch."""

    limits: MonthLimits
    _readings: Counter[date] = field(default_factory=Counter)

    def count(self, found: dict[date, int], new: Collection[date]) -> None:
        """Count a batch. found: month -> number of readings in the batch. new: the months that do not exist
        yet.

        Raises Permanent TOO_MANY_MONTHS if a limit is exceeded. In that case the caller must not create the
        months.
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
            f"the file would create {what}; the months read so far are {span}",
            do="check that the times are read correctly (time.format, earliest); if the file "
            f"is legitimate, raise the source's {key}, then replay",
        )
