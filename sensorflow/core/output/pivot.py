"""Wide tables: one column per series and one row per time.

A series is what has the same sensor, type and unit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sensorflow.errors import UsageError

MAX_SERIES = 10_000
CELLS = 500_000
"""Maximum number of cells in a batch of a wide table, unless one row has more."""


class Series(NamedTuple):
    sensor_id: str
    reading_type: str
    unit: str


def names(series: Sequence[Series]) -> list[str]:
    """Return the names of the columns: the sensor; then the type, if there are several types; then the
    unit, if a sensor has a type in several units. The parts are separated by slashes.

    If several names are equal, because a part contains a slash, the slashes and backslashes within the
    parts of these names are escaped by a backslash. Raises UsageError if a name is then equal to another
    one.
    """
    count = 1
    if len({s.reading_type for s in series}) > 1:
        count = 2
    if len({s[:2] for s in series}) < len(series):
        count = 3
    plain = ["/".join(s[:count]) for s in series]
    uses = Counter(plain)
    found = [
        name if uses[name] == 1 else "/".join(map(_escaped, s[:count]))
        for name, s in zip(plain, series, strict=True)
    ]
    first: dict[str, Series] = {}
    for name, one in zip(found, series, strict=True):
        if (other := first.setdefault(name, one)) is not one:
            raise UsageError(
                f"wide: two columns would have the name {name!r}: type {other.reading_type!r} of sensor "
                f"{other.sensor_id!r}, and type {one.reading_type!r} of sensor {one.sensor_id!r}; select "
                "only one of them"
            )
    return found


def _escaped(part: str) -> str:
    return part.replace("\\", "\\\\").replace("/", "\\/")


class Pivot:
    """Makes wide batches of the schema `schema` from long ones.

    series: all series of the readings. at: the column of the long batches that becomes the first column.
    value: the column that becomes the cells. The field of each column has the metadata sensor_id,
    reading_type and unit. Raises UsageError if there are more than `MAX_SERIES` series.

    If a series has several readings at one time, the table has several rows with this time. The first row
    has the first reading of each series, the second row the second one. `repeated` counts the readings that
    are not in the first row of their time.
    """

    def __init__(self, series: Iterable[Series], at: str, value: pa.Field) -> None:
        self._series, self._at, self._value = sorted(series), at, value
        if len(self._series) > MAX_SERIES:
            raise UsageError(
                f"wide: {len(self._series):,} columns, but at most {MAX_SERIES:,} are possible; "
                "select fewer sensors or types"
            )
        columns = zip(names(self._series), self._series, strict=True)
        self.schema = pa.schema(
            [
                pa.field(at, pa.timestamp("us", tz="UTC"), nullable=False),
                *(pa.field(name, value.type, metadata=s._asdict()) for name, s in columns),
            ]
        )
        self.repeated = 0
        parts = [pa.array([s[i] for s in self._series], pa.string()) for i in range(3)]
        self._known = [part.unique() for part in parts]
        self._codes = self._code(pa.table(parts, list(Series._fields)))
        self._order = np.argsort(self._codes)

    def batches(self, long: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the wide batches. long: batches in the order of the column `at`."""
        held: pa.RecordBatch | None = None
        for batch in long:
            joined = batch if held is None else pa.concat_batches([held, batch])
            ts = joined[self._at].cast(pa.int64()).to_numpy()
            last = int(
                np.searchsorted(ts, ts[-1])
            )  # the rest of this time may be in the next batch
            yield from self._wide(joined.slice(0, last))
            held = joined.slice(last)
        if held is not None:
            yield from self._wide(held)

    def _code(self, rows: pa.RecordBatch | pa.Table) -> npt.NDArray[np.int64]:
        """Return a number for the series of each row."""
        code = np.zeros(len(rows), np.int64)
        for name, known in zip(Series._fields, self._known, strict=True):
            place = pc.index_in(rows[name], known)
            code = code * (len(known) + 1) + place.to_numpy(zero_copy_only=False)
        return code

    def _wide(self, rows: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        if not len(rows):
            return
        codes = self._code(rows)
        places = np.searchsorted(self._codes, codes, sorter=self._order)
        column = self._order[np.minimum(places, len(self._order) - 1)]
        if (self._codes[column] != codes).any():
            raise AssertionError("a reading belongs to a series that is not among the columns")
        ts = rows[self._at].cast(pa.int64()).to_numpy()
        order = np.lexsort((column, ts))
        nth = _occurrence(ts[order], column[order])
        self.repeated += int(np.count_nonzero(nth))
        order = order[again := np.lexsort((nth, ts[order]))]
        ts, column, nth = ts[order], column[order], nth[again]
        begins = np.r_[True, (np.diff(ts) != 0) | (np.diff(nth) != 0)]
        yield from self._filled(
            ts[begins], np.cumsum(begins) - 1, column, rows[self._value.name].take(pa.array(order))
        )

    def _filled(
        self,
        ts: npt.NDArray[np.int64],
        row: npt.NDArray[np.int64],
        column: npt.NDArray[np.int64],
        values: pa.Array,
    ) -> Iterator[pa.RecordBatch]:
        """ts: the time of each row. row, column: the place of each value, in the order of rows."""
        valid, width = values.is_valid().to_numpy(zero_copy_only=False), len(self._series)
        numbers = values.fill_null(0).to_numpy()
        height = max(1, CELLS // width)
        for low in range(0, len(ts), height):
            times = ts[low : low + height]
            a, b = np.searchsorted(row, [low, low + len(times)])
            cells = np.zeros((width, len(times)), numbers.dtype)
            empty = np.ones((width, len(times)), bool)
            cells[column[a:b], row[a:b] - low] = numbers[a:b]
            empty[column[a:b], row[a:b] - low] = ~valid[a:b]
            columns = [pa.array(c, mask=e) for c, e in zip(cells, empty, strict=True)]
            first = pa.array(times).cast(self.schema.field(0).type)
            yield pa.RecordBatch.from_arrays([first, *columns], schema=self.schema)


def _occurrence(*sorted_by: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return, for each row, the number of equal rows before it. The rows are sorted."""
    changes = [np.diff(column) != 0 for column in sorted_by]
    begins = np.r_[True, np.logical_or.reduce(changes)]
    places = np.arange(len(begins))
    return places - np.maximum.accumulate(np.where(begins, places, 0))
