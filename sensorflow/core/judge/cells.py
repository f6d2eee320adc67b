"""The cells of a chunk as texts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sensorflow.core.formats.chunk import Chunk


def selected(chunk: Chunk) -> Chunk:
    """The rows that the profile's `where` lets through."""
    if not chunk.layout.where or not len(chunk):
        return chunk
    keep = pa.array(np.ones(len(chunk), np.bool_))
    for index, texts in chunk.layout.where:
        column = pc.utf8_trim_whitespace(as_text(chunk.columns[index]))
        keep = pc.and_(keep, pc.is_in(column, value_set=pa.array(texts, pa.string())))
    rows = np.flatnonzero(keep.to_numpy(zero_copy_only=False))
    places = pa.array(rows)
    return replace(
        chunk,
        columns={i: column.take(places) for i, column in chunk.columns.items()},
        typed={i: cells.take(places) for i, cells in chunk.typed.items()},
        lines=chunk.lines[rows],
        spot=lambda row: chunk.spot(int(rows[row])),
        records=None,
    )


def as_text(column: pa.Array) -> pa.Array:
    if pa.types.is_string(column.type):
        return column
    try:
        return column.cast(pa.string())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        texts = [None if v is None else str(v) for v in column.to_pylist()]
        return pa.array(texts, pa.string())
