"""Rows as they stand in the file, with where they stand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sensorflow.core.layout import Layout
from sensorflow.core.readings import REJECTS
from sensorflow.errors import Code

RAW_LIMIT = 4096
"""Characters of a rejected row's text that are kept; the landed bytes hold the rest."""


class Reject(NamedTuple):
    """One row, or one cell of it, that is refused. byte_offset is counted in the plain bytes."""

    line_no: int | None
    byte_offset: int | None
    column: str | None
    code: Code
    reason: str
    raw: str


class Spot(NamedTuple):
    """Where a row stands: its byte offset (text formats) and its text."""

    byte_offset: int | None
    raw: str


@dataclass(frozen=True)
class Chunk:
    """columns: those that the layout needs, by index: strings in text formats, as stored in Parquet.

    lines: int64, the line (text), row (sheets, Parquet) or record (documents) of each row, from 1.
    spot: finds the text of row i, for a reject. rejects: rows that could not be cut into cells.
    records: what the rows stand for, where one record makes several rows.
    """

    layout: Layout
    columns: Mapping[int, pa.Array]
    lines: npt.NDArray[np.int64]
    spot: Callable[[int], Spot]
    rejects: list[Reject] = field(default_factory=list)
    records: int | None = None

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def rows(self) -> int:
        """Rows read, the refused ones too."""
        return (len(self) if self.records is None else self.records) + len(self.rejects)


def text_of(raw: bytes) -> str:
    """Bytes of a row for people: what is not UTF-8 is escaped, and it is cut at `RAW_LIMIT`."""
    return raw[: 4 * RAW_LIMIT].decode("utf-8", "backslashreplace").rstrip("\r\n")[:RAW_LIMIT]


def reject_batch(rejects: Iterable[Reject]) -> pa.RecordBatch:
    columns = list(zip(*rejects, strict=True)) or [()] * len(REJECTS)
    arrays = [pa.array(c, f.type) for c, f in zip(columns, REJECTS, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=REJECTS)
