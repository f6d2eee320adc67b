"""Groups rows by zone, so that all rows of a zone are converted at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from sensorflow.core.times.civil import Int64s
from sensorflow.core.times.timeformats import fixed_offset


@dataclass(frozen=True)
class RowZones:
    """The zones of some rows. names: the distinct zones; None means that a row has no zone. places: for
    each row, the index of its zone in `names`."""

    names: tuple[str | None, ...]
    places: Int64s

    @classmethod
    def of(cls, names: Iterable[str | None], places: Int64s) -> RowZones:
        """Create from the names of zones. places: for each row, the index of its name. Names that denote
        the same offset are merged, because a file may contain several notations of an offset."""
        known: dict[str | int | None, int] = {}
        zones: list[str | None] = []
        same: list[int] = []
        for name in names:
            offset = fixed_offset(name) if name is not None else None
            place = known.setdefault(name if offset is None else offset, len(zones))
            if place == len(zones):
                zones.append(name)
            same.append(place)
        return cls(tuple(zones), np.array(same, np.int64)[places])

    def take(self, rows: Int64s) -> RowZones:
        return RowZones(self.names, self.places[rows])

    def groups(self) -> Iterator[tuple[str | None, Int64s]]:
        """Yield each zone with the indexes of its rows, unless it has no rows."""
        order = np.argsort(self.places, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(self.places[order])) + 1):
            if len(rows):
                yield self.names[int(self.places[rows[0]])], rows
