"""How a local clock is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from sensorflow.core.times.civil import Bools, Int64s
from sensorflow.core.times.zonegroups import RowZones

Dst = npt.NDArray[np.int8]


class Order:
    """Tells the first run through an hour that exists twice from the second one, by the rows' order:
    once the clock has stepped back within the hour, it is the second. Keeps its place from one batch
    to the next."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._second = False
        self._counted: Order | None = None

    @property
    def counted(self) -> Order:
        """That of times counted from those that the rows tell, which are a sequence of their own."""
        self._counted = self._counted or Order()
        return self._counted

    def later(self, nanos: Int64s, twice: Bools, local: Bools) -> Bools:
        """Of each row whose local time exists `twice`: whether it is the second time. local: the rows
        that tell a local time at all; the others say nothing."""
        rows = np.flatnonzero(local)
        found = np.zeros(len(nanos), np.bool_)
        found[rows] = self._later(nanos[rows], twice[rows])
        return found

    def _later(self, nanos: Int64s, twice: Bools) -> Bools:
        found = np.zeros(len(nanos), np.bool_)
        for index in np.flatnonzero(twice).tolist():
            before = int(nanos[index - 1]) if index else self._last
            if not (twice[index - 1] if index else self._last is not None):
                self._second = False
            if before is not None and int(nanos[index]) < before:
                self._second = True
            found[index] = self._second
        if len(nanos):
            self._last = int(nanos[-1]) if twice[-1] else None
        return found


@dataclass(frozen=True)
class Clock:
    """How a local clock is read. zone: an IANA name or a fixed offset (+01:00), for texts that carry no
    offset of their own; without it such texts are refused. ambiguous, nonexistent: what becomes of a
    local hour that exists twice or not at all. zones: abbreviation -> offset, for %Z.
    since: nanoseconds from 1970 to where epochs count from. locale: whose names %b, %B and %p read.
    trimmed: whether numbers in scientific notation leave out their last zeros. shift: nanoseconds that are
    added to an instant, clock_shift: to what the clock shows; round_to: to a multiple of so many.
    dst: of each text whether daylight saving time holds (1), or not (0); -1 where that is not known.
    by_row: the zone of each text, in place of `zone`."""

    zone: str | None = None
    ambiguous: str = "reject"
    nonexistent: str = "reject"
    zones: Mapping[str, str] = field(default_factory=dict)
    since: int = 0
    order: Order = field(default_factory=Order, compare=False)
    locale: str | None = None
    trimmed: bool = False
    shift: int = 0
    clock_shift: int = 0
    round_to: int = 0
    dst: Dst | None = field(default=None, compare=False)
    by_row: RowZones | None = field(default=None, compare=False)

    def of(self, rows: Int64s) -> Clock:
        """The clock of some of the texts."""
        if self.dst is None and self.by_row is None:
            return self
        dst = self.dst[rows] if self.dst is not None else None
        return replace(self, dst=dst, by_row=self.by_row.take(rows) if self.by_row else None)

    def of_zones(self) -> Iterator[tuple[Int64s, Clock]]:
        """The texts of each zone, and their clock, where each has a zone of its own."""
        for zone, rows in self.by_row.groups() if self.by_row else ():
            yield rows, replace(self.of(rows), zone=zone, by_row=None)
