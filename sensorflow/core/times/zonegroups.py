"""Rows by the zone of each, so that what is done for a zone is done once for all of its rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from sensorflow.core.times.civil import Int64s
from sensorflow.core.times.timeformats import fixed_offset


@dataclass(frozen=True)
class RowZones:
    """names: the zones that there are, None of none. places: which of them each row has."""

    names: tuple[str | None, ...]
    places: Int64s

    @classmethod
    def of(cls, names: Iterable[str | None], places: Int64s) -> RowZones:
        """Names that mean one offset are one zone: there are only so many offsets, but any number of ways
        to write them."""
        known: dict[str | int | None, int] = {}
        kept: list[str | None] = []
        same: list[int] = []
        for name in names:
            offset = fixed_offset(name) if name is not None else None
            place = known.setdefault(name if offset is None else offset, len(kept))
            if place == len(kept):
                kept.append(name)
            same.append(place)
        return cls(tuple(kept), np.array(same, np.int64)[places])

    def take(self, rows: Int64s) -> RowZones:
        return RowZones(self.names, self.places[rows])

    def groups(self) -> Iterator[tuple[str | None, Int64s]]:
        """Each zone that has rows, with them."""
        order = np.argsort(self.places, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(self.places[order])) + 1):
            if len(rows):
                yield self.names[int(self.places[rows[0]])], rows
