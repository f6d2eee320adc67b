"""Numbers the series of readings in order of appearance. A series is a pair of sensor and reading type."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Ints = npt.NDArray[np.int64]


class Series:
    """Numbers the series of a file from 0. The numbers are the same in all batches."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], int] = {}
        self._first: tuple[pa.Array, pa.Array, Ints] | None = None

    def __len__(self) -> int:
        return len(self._known) if self._first is None else len(self._first[2])

    def of(self, batch: pa.RecordBatch) -> Ints:
        """Return the number of each row's series."""
        sensor, kind, pair = _pairs(batch)
        found, inverse = _distinct(pair, len(sensor.dictionary) * _width(kind.dictionary))
        if self._first is None and not self._known:  # most files have only one batch
            self._first = sensor.dictionary, kind.dictionary, found
            return inverse
        if self._first is not None:
            self._numbers(*self._first)
            self._first = None
        numbers = self._numbers(sensor.dictionary, kind.dictionary, found)
        return numbers[inverse] if len(numbers) else np.zeros(0, np.int64)

    def _numbers(self, sensor: pa.Array, kind: pa.Array, pairs: Ints) -> Ints:
        """Return the number of each series in `pairs`. A series is given as sensor index * number of types
        + type index."""
        sensors, kinds, width = sensor.to_pylist(), kind.to_pylist(), _width(kind)
        numbers = [
            self._known.setdefault((sensors[p // width], kinds[p % width]), len(self._known))
            for p in pairs.tolist()
        ]
        return np.array(numbers, np.int64)


class SeriesOfParts(Series):
    """Numbers the series of several files that form one batch. Series of different files have different
    numbers. The numbers are valid for this batch only.

    parts: the index of each row's file, from 0.
    """

    def __init__(self, parts: Ints) -> None:
        super().__init__()
        self._parts = parts

    def of(self, batch: pa.RecordBatch) -> Ints:
        sensor, kind, pair = _pairs(batch)
        pairs = len(sensor.dictionary) * _width(kind.dictionary)
        files = int(self._parts.max(initial=-1)) + 1
        _, inverse = _distinct(self._parts * pairs + pair, files * pairs)
        return inverse


def _pairs(batch: pa.RecordBatch) -> tuple[pa.DictionaryArray, pa.DictionaryArray, Ints]:
    """Return the sensors and the types, both dictionary-encoded. Also return, for each row, the number of
    the pair: sensor index * number of types + type index."""
    sensor = pc.dictionary_encode(batch["sensor_id"])
    kind = pc.dictionary_encode(batch["reading_type"])
    places = sensor.indices.to_numpy().astype(np.int64)
    return sensor, kind, places * _width(kind.dictionary) + kind.indices.to_numpy()


def _width(kinds: pa.Array) -> int:
    return max(len(kinds), 1)


def _distinct(numbers: Ints, end: int) -> tuple[Ints, Ints]:
    """Return the same as `np.unique` with `return_inverse`, but faster if `end` is small. numbers: each is
    at least 0 and less than `end`."""
    if end > 4 * len(numbers):
        return np.unique(numbers, return_inverse=True)
    is_used = np.zeros(end, np.bool_)
    is_used[numbers] = True
    found = np.flatnonzero(is_used)
    place = np.empty(end, np.int64)
    place[found] = np.arange(len(found))
    return found, place[numbers]


def previous(series: Ints) -> Ints:
    """Return, for each row, the index of the previous row of the same series; -1 if there is none."""
    order = _order(series)
    before = np.full(len(series), -1, np.int64)
    same = series[order][1:] == series[order][:-1]
    before[order[1:][same]] = order[:-1][same]
    return before


def _order(series: Ints) -> npt.NDArray[np.intp]:
    """Return the indexes that sort the rows by series. The rows of each series keep their order. Uses
    16-bit integers where possible, because numpy sorts these with a radix sort, which is faster."""
    few = int(series.max(initial=0)) < 1 << 16
    return np.argsort(series.astype(np.uint16) if few else series, kind="stable")


class Last:
    """Stores the last value of each series between batches. start: the value to use before the first value
    of a series."""

    def __init__(self, start: float | int, kind: type[np.generic]) -> None:
        self._start = start
        self._values = np.full(0, start, kind)

    def before(self, series: Ints, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return, for each row, the previous value in its series. Stores the last value of each series for
        the next batch."""
        top = int(series.max(initial=-1)) + 1
        if top > len(self._values):
            more = np.full(max(top - len(self._values), 64), self._start, self._values.dtype)
            self._values = np.concatenate((self._values, more))
        place = previous(series)
        found = np.where(place >= 0, values[place], self._values[series])
        self._values[series] = values  # the last of equal indexes stays
        return found
