"""Apache Parquet. Line numbers are row numbers, 1 is the first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sensorflow.core.formats.chunk import RAW_LIMIT, Chunk, Spot
from sensorflow.core.profile import Profile
from sensorflow.errors import Code, Permanent

ROWS = 65536


def chunks(stream: BinaryIO, profile: Profile) -> Iterator[Chunk]:
    try:
        file = pq.ParquetFile(stream)
        found = file.schema_arrow.names
    except (pa.ArrowInvalid, OSError) as error:
        raise Permanent(Code.UNREADABLE, f"not a Parquet file: {_first_line(error)}") from error
    for wanted in profile.needed:
        if found.count(wanted) != 1:
            names = ", ".join(map(repr, found))[:500]
            raise Permanent(
                Code.COLUMN_MISSING, f"no column {wanted!r}; found: {names}", column=wanted
            )
    row = 1
    try:
        for batch in file.iter_batches(ROWS, columns=list(profile.needed), use_threads=False):
            yield _chunk(batch, row, profile)
            row += len(batch)
    except (pa.ArrowInvalid, OSError) as error:
        raise Permanent(
            Code.UNREADABLE, f"the Parquet file is broken: {_first_line(error)}", line=row
        ) from error


def _chunk(batch: pa.RecordBatch, first: int, profile: Profile) -> Chunk:
    columns = {name: _plain(batch[name]) for name in profile.needed}

    def spot(row: int) -> Spot:
        cells = {name: str(columns[name][row].as_py()) for name in profile.needed}
        return Spot(None, str(cells)[:RAW_LIMIT])

    return Chunk(columns, np.arange(first, first + len(batch), dtype=np.int64), spot)


def _plain(array: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_large_string(array.type) or pa.types.is_string_view(array.type):
        array = array.cast(pa.string())
    return array


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:300] if str(error) else type(error).__name__
