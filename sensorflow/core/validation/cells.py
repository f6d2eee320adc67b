"""Builds the texts of a binding from the cells of a chunk."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sensorflow.core import numbers
from sensorflow.core.binding.binding import Extract, Text
from sensorflow.core.formats.chunk import Chunk
from sensorflow.core.texts import bare
from sensorflow.errors import Permanent


class Texts:
    """Builds texts for the rows of one chunk, and caches them."""

    def __init__(self, chunk: Chunk) -> None:
        self.chunk, self.count = chunk, len(chunk)
        self._texts: dict[Text, pa.Array] = {}

    def of(self, text: Text) -> pa.Array:
        """Return the text of each row without surrounding spaces. The result is null if a row has no
        text."""
        if text not in self._texts:
            self._texts[text] = self._evaluate(text)
        return self._texts[text]

    def _evaluate(self, text: Text) -> pa.Array:
        if not text.parts:
            return pa.nulls(self.count, pa.string())
        arrays = [self._part(part) for part in text.parts]
        if len(arrays) == 1:
            return arrays[0]
        return pc.binary_join_element_wise(*arrays, "", null_handling="emit_null")

    def _part(self, part: str | int | Extract) -> pa.Array:
        if isinstance(part, str):
            return pa.repeat(pa.scalar(part, pa.string()), self.count)
        if isinstance(part, Extract):
            return self._cut(part)
        return bare(as_text(self.chunk.columns[part]))

    def _cut(self, cut: Extract) -> pa.Array:
        found = self._part(cut.column)
        if cut.pattern is not None:
            found = self.first_group(found, cut.pattern, strict=True, group=cut.group)
        if cut.otherwise is not None:
            found = pc.coalesce(bare(found), self.of(cut.otherwise))
        return found if cut.default is None else pc.fill_null(bare(found), cut.default)

    def first_group(
        self, texts: pa.Array, pattern: str, strict: bool = False, group: str | None = None
    ) -> pa.Array:
        try:
            return numbers.first_group(texts, pattern, strict, group)
        except Permanent as error:
            if (row := error.place.pop("row", None)) is not None:
                error.place["line"] = int(self.chunk.lines[row])
            raise


def selected(chunk: Chunk) -> Chunk:
    """Return only the rows that match the profile's `where`."""
    if not chunk.binding.where or not len(chunk):
        return chunk
    keep = pa.array(np.ones(len(chunk), np.bool_))
    for index, texts in chunk.binding.where:
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
