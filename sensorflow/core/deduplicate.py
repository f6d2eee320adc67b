"""Deduplication within one file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sensorflow.core.readings import micros
from sensorflow.core.series import Last, Series

_ROW = np.dtype([("mark", "i8"), ("series", "i4"), ("ts", "i8"), ("bits", "i8")])
_PLACED = np.dtype([*_ROW.descr, ("row", "i8")])
_GOLDEN = -7046029254386353131  # 2**64 divided by the golden ratio, as a signed number

MAX_HELD_READINGS = 1_000_000
"""Maximum number of readings of one file whose hashes are in memory (28 bytes each). If a file has more
readings and is not in time order, its readings are sorted on disk."""

PARTS = 256
"""Number of scratch files for the hashes of a large file. Only one scratch file is in memory at a time."""


class OutOfOrder(Exception):
    """Raised if a file has more readings than fit in memory and the times of one of its series are not in
    order."""


class _Marked(NamedTuple):
    """The 64-bit hashes of some readings, and the range of their times."""

    low: int
    high: int
    rows: npt.NDArray[np.void]


class _Columns(NamedTuple):
    """The columns of a batch. `marked` computes the hashes of its readings when they are needed."""

    series: npt.NDArray[np.int64]
    ts: npt.NDArray[np.int64]
    bits: npt.NDArray[np.int64]

    def marked(self) -> _Marked:
        rows = np.empty(len(self.ts), _ROW)
        for name in ("series", "ts", "bits"):
            rows[name] = getattr(self, name)
        with np.errstate(over="ignore"):
            rows["mark"] = rows["ts"] ^ (rows["series"] * np.int64(_GOLDEN))
        return _Marked(int(self.ts.min(initial=0)), int(self.ts.max(initial=0)), rows)


class Deduplicator:
    """Finds readings with the same identity in all batches of one file. The identity is (sensor_id,
    reading_type, ts).

    A reading with the same identity and a bit-identical value is a duplicate. A reading with the same
    identity and another value is a separate reading with its own ordinal. Times are compared in
    microseconds, as the database stores them. Readings that may be equal are found by a 64-bit hash, and
    are then compared exactly.

    Memory is bounded: at most `MAX_HELD_READINGS` readings are in memory. For a file with more readings,
    only the last time of each series is in memory, because a series with increasing times cannot contain an
    identity twice. If the times of a series in such a file go back, `assign_ordinals` raises OutOfOrder.
    The caller must then create the object with `sorted`, which computes all results in advance, on disk.
    """

    def __init__(self, series: Series | None = None) -> None:
        self._series = Series() if series is None else series
        self._forwards: list[_Columns] = []
        self._past: list[_Marked] = []
        self._count = 0
        self._forward = True
        self._last = Last(np.iinfo(np.int64).min, np.int64)
        self._known: BinaryIO | None = None

    @classmethod
    def sorted(
        cls, batches: Iterable[pa.RecordBatch], scratch: Callable[[], BinaryIO]
    ) -> Deduplicator:
        """Create a deduplicator for these batches. The results of `assign_ordinals` are computed in
        advance, on disk.

        scratch: creates an empty temporary file.
        """
        result = cls()
        parts = [scratch() for _ in range(PARTS)]
        count = 0
        for batch in batches:
            rows = result._columns(batch).marked().rows
            placed = np.empty(len(rows), _PLACED)
            for name in ("mark", "series", "ts", "bits"):
                placed[name] = rows[name]
            placed["row"] = np.arange(count, count + len(rows))
            count += len(rows)
            part = (rows["mark"] * np.int64(_GOLDEN)).view(np.uint64) >> np.uint64(56)
            order = np.argsort(part, kind="stable")
            ends = np.searchsorted(part[order], np.arange(PARTS + 1))
            for index in range(PARTS):
                parts[index].write(placed[order[ends[index] : ends[index + 1]]].tobytes())
        result._known = scratch()
        result._known.write(bytes(count * 4 % 4096))
        for _ in range(count * 4 // 4096):
            result._known.write(bytes(4096))
        for file in parts:
            file.seek(0)
            result._record_ordinals(np.frombuffer(file.read(), _PLACED))
            file.close()
        result._known.seek(0)
        return result

    def _record_ordinals(self, rows: npt.NDArray[np.void]) -> None:
        """Record -1 for each duplicate. For each other row, record its ordinal if this is above 0. rows:
        for each identity, either all of its rows or none."""
        assert self._known is not None
        ordinals, duplicates = _numbered(rows)
        for index in np.flatnonzero(duplicates | (ordinals > 0)).tolist():
            self._known.seek(int(rows["row"][index]) * 4)
            self._known.write(np.int32(-1 if duplicates[index] else ordinals[index]).tobytes())

    def close(self) -> None:
        if self._known is not None:
            self._known.close()

    def assign_ordinals(
        self, batch: pa.RecordBatch
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
        """Return (ordinal, duplicate) for each row. Call it once per batch, in file order."""
        if self._known is not None:
            found = np.frombuffer(self._known.read(len(batch) * 4), np.int32)
            return np.maximum(found, 0), found < 0
        columns = self._columns(batch)
        ordinal = np.zeros(len(batch), np.int32)
        duplicate = np.zeros(len(batch), np.bool_)
        if not len(batch):
            return ordinal, duplicate
        if self._forward:
            before = self._last.before(columns.series, columns.ts)
            self._forward = bool((columns.ts > before).all())
        self._count += len(batch)
        if self._count > MAX_HELD_READINGS:
            if not self._forward:
                raise OutOfOrder
            self._forwards.clear()
        elif self._forward:
            self._forwards.append(columns)
        else:
            self._past += [earlier.marked() for earlier in self._forwards]
            self._forwards.clear()
            marked = columns.marked()
            self._compare(marked, ordinal, duplicate)
            self._past.append(marked)
        return ordinal, duplicate

    def _compare(
        self,
        marked: _Marked,
        ordinal: npt.NDArray[np.int32],
        duplicate: npt.NDArray[np.bool_],
    ) -> None:
        low, high, rows = marked
        _, inverse, count = np.unique(rows["mark"], return_inverse=True, return_counts=True)
        suspect = count[inverse] > 1
        earlier = [past for first, hi, past in self._past if first <= high and hi >= low]
        for past in earlier:
            suspect |= np.isin(rows["mark"], past["mark"])
        if suspect.any():
            self._resolve_suspects(rows, np.flatnonzero(suspect), earlier, ordinal, duplicate)

    def _columns(self, batch: pa.RecordBatch) -> _Columns:
        value_bits = batch["value"].to_numpy().view(np.int64)
        return _Columns(self._series.of(batch), micros(batch["ts"]), value_bits)

    @staticmethod
    def _resolve_suspects(
        rows: npt.NDArray[np.void],
        suspects: npt.NDArray[np.intp],
        earlier: list[npt.NDArray[np.void]],
        ordinal: npt.NDArray[np.int32],
        duplicate: npt.NDArray[np.bool_],
    ) -> None:
        wanted = rows["mark"][suspects]
        before = [past[np.isin(past["mark"], wanted)] for past in earlier]
        ordinals, duplicates = _numbered(np.concatenate([*before, rows[suspects]]))
        ordinal[suspects] = ordinals[-len(suspects) :]
        duplicate[suspects] = duplicates[-len(suspects) :]


def _numbered(rows: npt.NDArray[np.void]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
    """Return (ordinal, duplicate) for each row. rows: in file order; for each identity, either all of its
    rows or none."""
    order = np.lexsort(
        (rows["bits"], rows["ts"], rows["series"])
    )  # stable: the first of equal rows stays first
    begins = _changes(rows["series"][order]) | _changes(rows["ts"][order])
    first = begins | _changes(rows["bits"][order])
    places, identity = order[first], np.cumsum(begins)[first]
    by_place = np.lexsort((places, identity))
    starts = np.flatnonzero(
        np.diff(identity, prepend=0)
    )  # the numbers of identities start at 1 and have no gaps
    of_value = np.empty(len(places), np.int32)
    of_value[by_place] = np.arange(len(places)) - starts[identity - 1]
    ordinal = np.empty(len(rows), np.int32)
    ordinal[order] = of_value[np.cumsum(first) - 1]
    duplicate = np.ones(len(rows), np.bool_)
    duplicate[places] = False
    return ordinal, duplicate


def _changes(column: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Return whether each value differs from the previous one; True for the first value."""
    changes = np.ones(len(column), np.bool_)
    np.not_equal(column[1:], column[:-1], out=changes[1:])
    return changes
