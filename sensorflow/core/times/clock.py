"""Settings and state for the conversion of local times to UTC."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from sensorflow.core.times.civil import Bools, Int64s
from sensorflow.core.times.zonegroups import RowZones

Dst = npt.NDArray[np.int8]


class Order:
    """Decides whether an ambiguous time belongs to the first or to the second pass through the repeated
    hour. The second pass begins at the row in which the time goes back. The state continues from batch to
    batch."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._second = False
        self._counted: Order | None = None

    @property
    def counted(self) -> Order:
        """Return a separate `Order` for counted times (a start time plus a number of intervals, see
        `times.counted`). Their sequence is independent of the sequence of the start times."""
        self._counted = self._counted or Order()
        return self._counted

    def later(self, nanos: Int64s, is_ambiguous: Bools, local: Bools) -> Bools:
        """Return, for each row with an ambiguous time, whether the time belongs to the second pass.
        is_ambiguous: whether the time of each row is ambiguous. local: whether each row has a local
        time; other rows are ignored."""
        rows = np.flatnonzero(local)
        found = np.zeros(len(nanos), np.bool_)
        found[rows] = self._later(nanos[rows], is_ambiguous[rows])
        return found

    def _later(self, nanos: Int64s, is_ambiguous: Bools) -> Bools:
        found = np.zeros(len(nanos), np.bool_)
        for index in np.flatnonzero(is_ambiguous).tolist():
            before = int(nanos[index - 1]) if index else self._last
            if not (is_ambiguous[index - 1] if index else self._last is not None):
                self._second = False
            if before is not None and int(nanos[index]) < before:
                self._second = True
            found[index] = self._second
        if len(nanos):
            self._last = int(nanos[-1]) if is_ambiguous[-1] else None
        return found


@dataclass(frozen=True)
class Clock:
    """The settings for converting the local times of a file to UTC.

    zone: an IANA name or a fixed offset (+01:00) for texts without an offset; if None, such texts are
    rejected. ambiguous: what to do with a local time that occurs twice. nonexistent: what to do with a
    local time that does not occur. zones: abbreviation -> offset, for %Z. since: the time from which epochs
    count, in nanoseconds since 1970. order: the state for `ambiguous = "order"`. locale: the language of
    the names for %b, %B and %p.

    trimmed: whether the digits that numbers in scientific notation omit are zeros. shift: nanoseconds that
    are added to the UTC time. clock_shift: nanoseconds that are added to the local time. round_to: if not
    0, UTC times are rounded to a multiple of this number of nanoseconds. dst: for each text, 1 if daylight
    saving time is in effect, 0 if not, -1 if unknown. by_row: the zone of each text, used instead of
    `zone`.
    """

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
        """Return a clock for some of the texts. rows: the indexes of these texts."""
        if self.dst is None and self.by_row is None:
            return self
        dst = self.dst[rows] if self.dst is not None else None
        return replace(self, dst=dst, by_row=self.by_row.take(rows) if self.by_row else None)

    def of_zones(self) -> Iterator[tuple[Int64s, Clock]]:
        """If each text has its own zone, yield for each zone the indexes of its texts, and a clock with
        that zone."""
        for zone, rows in self.by_row.groups() if self.by_row else ():
            yield rows, replace(self.of(rows), zone=zone, by_row=None)
