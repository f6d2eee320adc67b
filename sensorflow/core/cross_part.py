"""Deduplication across the parts of a growing file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sensorflow.core.ordinals import recomputed
from sensorflow.core.readings import US, micros

OrdinalsAndDuplicates = tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_]]
Identity = tuple[str, str, int]
"""(sensor, type, time in microseconds)."""
RowsInOtherParts = Callable[[pa.Array], pa.RecordBatch]
"""Returns the readings of the other parts at these times (microseconds), with the schema
`readings.OTHER_PARTS`."""


class OrdinalAssigner(Protocol):
    def assign_ordinals(self, batch: pa.RecordBatch) -> OrdinalsAndDuplicates:
        """Return (ordinal, duplicate) for each row. Call it once per batch, in file order."""
        ...


class CrossPartDeduplicator:
    """Finds the readings in one part of a growing file that are duplicates of readings in the same part or
    in other parts.

    A reading with the same identity and a bit-identical value is a duplicate. A reading with the same
    identity and another value is a separate reading, and gets the first ordinal that no other reading of
    this identity uses.

    inner: finds the duplicates within the part. rows_in_other_parts: queries the readings of the other
    parts. until: the last time in the other parts, in microseconds. Readings after this time, which usually
    are all readings, need no query.
    """

    def __init__(
        self,
        inner: OrdinalAssigner,
        file_name: str,
        until: int,
        rows_in_other_parts: RowsInOtherParts,
    ) -> None:
        self._inner, self._file_name, self._until, self._rows_in_other_parts = (
            inner,
            file_name,
            until,
            rows_in_other_parts,
        )
        self._queried = np.zeros(0, np.int64)
        self._others: dict[Identity, dict[int, int]] = {}
        self._own: dict[Identity, dict[int, int]] = {}

    def assign_ordinals(self, batch: pa.RecordBatch) -> OrdinalsAndDuplicates:
        ordinal, duplicate = self._inner.assign_ordinals(batch)
        times = micros(batch["ts"])
        overlapping = np.flatnonzero(times <= self._until)
        if not len(overlapping):
            return ordinal, duplicate
        self._query(np.setdiff1d(times[overlapping], self._queried))
        if self._others:
            ordinal, duplicate = ordinal.copy(), duplicate.copy()
            rows = _identities(batch.take(pa.array(overlapping)))
            for row, (identity, value_bits) in zip(overlapping.tolist(), rows, strict=True):
                if identity in self._others:
                    place = self._place(identity, value_bits)
                    ordinal[row], duplicate[row] = max(place, 0), place < 0
        return ordinal, duplicate

    def _query(self, times: npt.NDArray[np.int64]) -> None:
        if not len(times):
            return
        self._queried = np.union1d(self._queried, times)
        rows = self._rows_in_other_parts(pa.array(times, pa.int64()).cast(US))
        if not len(rows):
            return
        names = pa.array([self._file_name] * len(rows))
        _, ordinals, mismatched = recomputed(rows, names, rows["dedupe_key"], _sharing(rows))
        places = np.where(mismatched, -1, ordinals).tolist()
        for (identity, value_bits), place in zip(_identities(rows), places, strict=True):
            self._others.setdefault(identity, {})[value_bits] = place

    def _place(self, identity: Identity, value_bits: int) -> int:
        """Return the ordinal of a reading, or -1 for a duplicate."""
        others, own = self._others[identity], self._own.setdefault(identity, {})
        if value_bits in others or value_bits in own:
            return -1
        used = {*others.values(), *own.values()}
        own[value_bits] = next(n for n in range(len(used) + 1) if n not in used)
        return own[value_bits]


def _identities(rows: pa.RecordBatch) -> list[tuple[Identity, int]]:
    """Return, for each row, its identity and the bits of its value."""
    columns = (rows["sensor_id"].to_pylist(), rows["reading_type"].to_pylist())
    times = micros(rows["ts"]).tolist()
    value_bits = rows["value"].to_numpy().view(np.int64).tolist()
    return [((s, k, t), b) for s, k, t, b in zip(*columns, times, value_bits, strict=True)]


def _sharing(rows: pa.RecordBatch) -> Callable[[pa.RecordBatch], list[int]]:
    """Return a function that counts, for each row of a batch, the rows in `rows` with the same identity."""
    counts: dict[Identity, int] = {}
    for identity, _ in _identities(rows):
        counts[identity] = counts.get(identity, 0) + 1

    def sharing(asked: pa.RecordBatch) -> list[int]:
        names = (asked["sensor_id"].to_pylist(), asked["reading_type"].to_pylist())
        times = micros(asked["ts"]).tolist()
        return [counts[identity] for identity in zip(*names, times, strict=True)]

    return sharing
