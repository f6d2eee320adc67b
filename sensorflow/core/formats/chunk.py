"""Rows that were read from a file, with their positions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sensorflow.core.binding.binding import Binding
from sensorflow.core.readings import REJECTS
from sensorflow.errors import Code

RAW_LIMIT = 4096
"""Maximum number of characters of a rejected row that are stored. The complete row is in the landed
file."""


class Reject(NamedTuple):
    """A rejected row, or a rejected cell of a row. byte_offset: the position in the decompressed bytes,
    or None if it is unknown. raw: the text of the row."""

    line_no: int | None
    byte_offset: int | None
    column: str | None
    code: Code
    reason: str
    raw: str


class Spot(NamedTuple):
    """The position and the text of a row. byte_offset: the row's offset in the decompressed bytes; None
    if the format has no byte offsets. raw: the text of the row."""

    byte_offset: int | None
    raw: str


class Number(str):
    """The text of a cell that the file stores as a number, as JSON and spreadsheets do. The profile's
    rules for the notation of numbers do not apply to such a cell. A number in quotes is a string, not a
    `Number`."""

    __slots__ = ()


@dataclass(frozen=True)
class Chunk:
    """Consecutive rows of a file, stored as columns.

    columns: column index -> the cells, for each column that the binding needs. The cells are strings in
    text formats; in Parquet and spreadsheets they may have the stored type. typed: column index -> whether
    each cell is a `Number`. It is needed only for columns with a special number format; a column without an
    entry contains no `Number`.

    lines: int64, the number of each row, from 1. This is the line in a text format, the row in a sheet or
    Parquet file, and the record in a document. spot: returns the position and the text of row i, for a
    reject. rejects: rows that could not be split into cells. records: the number of records from which the
    rows were made; None if each row is one record.
    """

    binding: Binding
    columns: Mapping[int, pa.Array]
    lines: npt.NDArray[np.int64]
    spot: Callable[[int], Spot]
    rejects: list[Reject] = field(default_factory=list)
    records: int | None = None
    typed: Mapping[int, pa.Array] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def readings(self) -> int:
        """The maximum number of readings in the chunk."""
        return len(self) * len(self.binding.measures)

    @property
    def rows(self) -> int:
        """The number of rows or records that were read, including rejected ones."""
        return (len(self) if self.records is None else self.records) + len(self.rejects)

    def parts(self, readings: int) -> Iterator[Chunk]:
        """Split the chunk into consecutive chunks of at most `readings` readings. Each chunk has at
        least one row."""
        limit = max(1, readings // max(1, len(self.binding.measures)))
        if len(self) <= limit:
            yield self
            return
        limit = -(
            -len(self) // -(-len(self) // limit)
        )  # the same number of parts, but of equal size
        rejects, records = self.rejects, self.records
        for start in range(0, len(self), limit):
            lines = self.lines[start : start + limit]
            last = start + limit >= len(self)
            part_rejects = [r for r in rejects if last or (r.line_no or 0) <= lines[-1]]
            rejects = [r for r in rejects if not last and (r.line_no or 0) > lines[-1]]
            columns = {i: column.slice(start, limit) for i, column in self.columns.items()}
            typed = {i: cells.slice(start, limit) for i, cells in self.typed.items()}
            spot = partial(self._spot_after, start)
            yield Chunk(self.binding, columns, lines, spot, part_rejects, records, typed)
            records = None if records is None else 0

    def _spot_after(self, start: int, row: int) -> Spot:
        return self.spot(start + row)


def typed_cells(binding: Binding, cells: Callable[[int], Iterable[object]]) -> dict[int, pa.Array]:
    """Return `Chunk.typed`. cells: a function that returns the cells of the column with a given index."""
    styled = {m.column for m in binding.measures if m.style.is_for_texts}
    return {i: pa.array([isinstance(c, Number) for c in cells(i)], pa.bool_()) for i in styled}


def text_of(raw: bytes) -> str:
    """Return a row's bytes as text for display. Invalid UTF-8 is escaped, and the text is truncated to
    `RAW_LIMIT`."""
    return raw[: 4 * RAW_LIMIT].decode("utf-8", "backslashreplace").rstrip("\r\n")[:RAW_LIMIT]


def reject_batch(rejects: Iterable[Reject]) -> pa.RecordBatch:
    columns = list(zip(*rejects, strict=True)) or [()] * len(REJECTS)
    arrays = [pa.array(c, f.type) for c, f in zip(columns, REJECTS, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=REJECTS)
