"""The series that readings belong to: one sensor's one type, numbered as they come."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Ints = npt.NDArray[np.int64]


class Series:
    """Numbers (sensor_id, reading_type) from 0, over all batches of a file."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], int] = {}
        self._first: tuple[pa.Array, pa.Array, Ints] | None = None

    def __len__(self) -> int:
        return len(self._known) if self._first is None else len(self._first[2])

    def of(self, batch: pa.RecordBatch) -> Ints:
        """The number of each row's series."""
        sensor, kind, pair = _pairs(batch)
        found, inverse = _distinct(pair, len(sensor.dictionary) * _width(kind.dictionary))
        if self._first is None and not self._known:  # mostly there is no other batch
            self._first = sensor.dictionary, kind.dictionary, found
            return inverse
        if self._first is not None:
            self._numbers(*self._first)
            self._first = None
        numbers = self._numbers(sensor.dictionary, kind.dictionary, found)
        return numbers[inverse] if len(numbers) else np.zeros(0, np.int64)

    def _numbers(self, sensor: pa.Array, kind: pa.Array, pairs: Ints) -> Ints:
        """Of series that are pairs of places in these, sensor by sensor."""
        sensors, kinds, width = sensor.to_pylist(), kind.to_pylist(), _width(kind)
        numbers = [
            self._known.setdefault((sensors[p // width], kinds[p % width]), len(self._known))
            for p in pairs.tolist()
        ]
        return np.array(numbers, np.int64)


class SeriesOfParts(Series):
    """Numbers the series of several files, whose readings are in one batch, apart. For that batch alone.

    parts: the file of each row, counted from 0.
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
    """Sensors and types, coded, and of each row one number for both."""
    sensor = pc.dictionary_encode(batch["sensor_id"])
    kind = pc.dictionary_encode(batch["reading_type"])
    places = sensor.indices.to_numpy().astype(np.int64)
    return sensor, kind, places * _width(kind.dictionary) + kind.indices.to_numpy()


def _width(kinds: pa.Array) -> int:
    return max(len(kinds), 1)


def _distinct(numbers: Ints, end: int) -> tuple[Ints, Ints]:
    """`np.unique` of numbers from 0 to `end`, with the inverse: by counting where that is less work."""
    if end > 4 * len(numbers):
        return np.unique(numbers, return_inverse=True)
    there = np.zeros(end, np.bool_)
    there[numbers] = True
    found = np.flatnonzero(there)
    place = np.empty(end, np.int64)
    place[found] = np.arange(len(found))
    return found, place[numbers]


def previous(series: Ints) -> Ints:
    """The index of the row before of the same series, -1 for the first."""
    order = _order(series)
    before = np.full(len(series), -1, np.int64)
    same = series[order][1:] == series[order][:-1]
    before[order[1:][same]] = order[:-1][same]
    return before


def _order(series: Ints) -> npt.NDArray[np.intp]:
    """The stable order. numpy sorts numbers of sixteen bits by their digits, and longer ones by merging."""
    few = int(series.max(initial=0)) < 1 << 16
    return np.argsort(series.astype(np.uint16) if few else series, kind="stable")


class Last:
    """The last value of each series, kept from one batch to the next. start: before the first."""

    def __init__(self, start: float | int, kind: type[np.generic]) -> None:
        self._start = start
        self._values = np.full(0, start, kind)

    def before(self, series: Ints, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The value before each row's in its series; then remembers the last ones."""
        top = int(series.max(initial=-1)) + 1
        if top > len(self._values):
            more = np.full(max(top - len(self._values), 64), self._start, self._values.dtype)
            self._values = np.concatenate((self._values, more))
        place = previous(series)
        found = np.where(place >= 0, values[place], self._values[series])
        self._values[series] = values  # the last of equal indexes stays
        return found
