"""Reads Apache Parquet. A line number is the number of a row, from 1. The column name "a.b" means the
member b of the struct a."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sensorflow.core.binding.binding import Binding
from sensorflow.core.binding.fields import Field
from sensorflow.core.binding.resolve import Resolve
from sensorflow.core.formats.chunk import RAW_LIMIT, Chunk, Spot
from sensorflow.core.profile import Profile
from sensorflow.errors import Code, Permanent

ROWS = 65536


def chunks(stream: BinaryIO, profile: Profile, resolve: Resolve) -> Iterator[Chunk]:
    try:
        file = pq.ParquetFile(stream)
        names = flat(file.schema_arrow.empty_table()).column_names
    except MemoryError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise Permanent(Code.UNREADABLE, f"not a Parquet file: {_first_line(error)}") from error
    if len(names) > profile.max_columns:
        limit = profile.max_columns
        raise Permanent(Code.TOO_MANY_COLUMNS, f"{len(names):,} columns, the limit is {limit:,}")
    doubled = {name for name in names if names.count(name) > 1}
    binding = resolve([Field(name) for name in names], "")
    if duplicates := sorted({names[i] for i in binding.needed} & doubled):
        raise Permanent(Code.COLUMN_MISSING, f"several columns are named {duplicates[0]!r}")
    wanted = list(dict.fromkeys(names[i] for i in binding.needed))
    row = 1
    try:
        for batch in batches(file, ROWS, wanted):
            yield _chunk(flat(pa.Table.from_batches([batch])), row, binding)
            row += len(batch)
    except MemoryError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise Permanent(
            Code.UNREADABLE, f"the Parquet file is broken: {_first_line(error)}", line=row
        ) from error


def batches(
    file: pq.ParquetFile, rows: int, columns: list[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a file in batches. A batch has about `rows` rows, and always fewer than twice as
    many. Only a few row groups are requested at a time, because pyarrow allocates at least 100 KiB for
    each requested row group in advance."""
    groups: list[int] = []
    held_bytes = 0
    for group in range(file.num_row_groups):
        groups.append(group)
        held_bytes += file.metadata.row_group(group).num_rows
        if held_bytes >= rows or group == file.num_row_groups - 1:
            size = held_bytes if 0 < held_bytes < 2 * rows else rows
            yield from file.iter_batches(size, groups, columns, use_threads=False)
            groups, held_bytes = [], 0


def flat(table: pa.Table) -> pa.Table:
    while any(pa.types.is_struct(field.type) for field in table.schema):
        table = table.flatten()
    return table


def _chunk(table: pa.Table, first: int, binding: Binding) -> Chunk:
    columns = {i: _plain(table[binding.names[i]]) for i in binding.needed}

    def spot(row: int) -> Spot:
        cells = {binding.names[i]: display_text(column, row) for i, column in columns.items()}
        return Spot(None, str(cells)[:RAW_LIMIT])

    lines = np.arange(first, first + len(table), dtype=np.int64)
    return Chunk(binding, columns, lines, spot)


def display_text(column: pa.Array, row: int) -> str:
    """Return a cell as text for display. It is converted by Arrow, because pyarrow converts nanoseconds
    to Python objects only if pandas is installed."""
    try:
        return str(column.slice(row, 1).cast(pa.string())[0].as_py())
    except pa.ArrowException:
        return str(column[row].as_py())


def _plain(column: pa.ChunkedArray) -> pa.Array:
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks else pa.array([], array.type)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_large_string(array.type) or pa.types.is_string_view(array.type):
        array = array.cast(pa.string())
    return array


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:300] if str(error) else type(error).__name__
