"""Reads many lines of JSON at once if they have the same shape (see `scan`). The resulting columns are
identical to those that `records.Columns` builds from single records.

The parser reads one line of each shape. Before that, each leaf in this line is replaced by the leaf's
index. The profile's paths are then evaluated on the line, so the result for each path is an index. In every
line of this shape, the leaf with this index is the value at the path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sensorflow.core.binding.binding import EMPTY_BINDING
from sensorflow.core.binding.fields import Field
from sensorflow.core.formats import scan as scanning
from sensorflow.core.formats.chunk import Chunk, Number, Spot, text_of
from sensorflow.core.formats.keys import Place
from sensorflow.core.formats.lines import Block
from sensorflow.core.formats.oneline import Fault, loads
from sensorflow.core.formats.records import (
    CELLS,
    EVERY,
    Columns,
    Getter,
    Path,
    Record,
    explode,
    flat,
    is_unicode,
    label,
    repeated,
    text,
)
from sensorflow.core.formats.scan import Bools, Ints, NotUniform, Scan

SHAPES = 64
"""Maximum number of shapes in a block. If a block has more shapes than this, its lines are read one by
one."""
KNOWN = 256
MIN_FAST_LINES = 24
"""The lines of a block with fewer lines than this are read one by one, because this is faster for few
lines."""
MAX_GAP_LINES = 128
"""Regular lines between two irregular lines are read at once only if there are at least this many."""
ROUNDS = 3
Cell = int | str | None
"""The value of a cell: the index of a leaf, a constant text, or None."""


@dataclass(frozen=True)
class Shape:
    """Describes the records in the lines of one shape. rows: for each record of a line, column name ->
    cell, which is usually the index of a leaf. bare: for each record of a line, whether it is a value
    other than an object."""

    rows: tuple[dict[str, Cell], ...]
    bare: tuple[bool, ...]


class Shaped:
    """Reads the records in the lines of one file, many lines at once."""

    def __init__(
        self, columns: Columns, steps: Path, comment: bytes | None = None, above: int = 0
    ) -> None:
        """columns: collects the records. steps: the path from the value in a line to the records.
        comment: the beginning of comment lines, or None. above: the number of steps from the document to
        the value in a line. The last of these steps selects an element of a list."""
        self.columns, self.steps, self.comment, self.above = columns, steps, comment, above
        self.nesting = columns.profile.max_nesting
        self._shapes: dict[bytes, Shape | None] = {}

    def read(
        self,
        block: Block,
        one_by_one: Callable[[Block], Iterator[Chunk]],
        make_chunk: Callable[[Block, Chunk], Chunk],
        rounds: int = ROUNDS,
    ) -> Iterator[Chunk]:
        """Yield the chunks of a block. one_by_one: reads a block that contains irregular lines.
        make_chunk: a function that adapts a chunk of many lines to the format. rounds: how often the
        regular lines of a block are tried again as separate blocks."""
        if len(block) < MIN_FAST_LINES or not rounds:
            yield from one_by_one(block)
            return
        try:
            chunk = make_chunk(block, self.chunk(block))
        except NotUniform as irregular:
            for begin, end, plain in scanning.runs(irregular.lines, MAX_GAP_LINES):
                piece = block.between(begin, end)
                again = self.read(piece, one_by_one, make_chunk, rounds - 1)
                yield from again if plain else one_by_one(piece)
            return
        if chunk.rows:
            yield chunk

    def chunk(self, block: Block) -> Chunk:
        """Return the block as one chunk. Raises NotUniform if some lines must be read one by one. No
        records have been counted in this case."""
        found = scanning.scan(block.data, block.starts)
        names = found.shapes.dictionary.to_pylist()
        codes = found.shapes.indices.to_numpy(zero_copy_only=False)
        if len(names) > SHAPES:
            raise NotUniform(np.ones(len(block), np.bool_))
        first = {
            int(code): int(line)
            for code, line in zip(*np.unique(codes, return_index=True), strict=True)
        }
        blank = np.array([not name.strip(b" \t\r\n") for name in names])
        shapes = [
            None if blank[i] else self.shape(n, found, block, first[i]) for i, n in enumerate(names)
        ]
        irregular = np.array([shape is None for shape in shapes]) & ~blank
        irregular = irregular[codes]
        if self.comment:
            irregular |= _beginning(block, self.comment)
        if irregular.any():
            raise NotUniform(irregular)
        return _Rows(self, block, found, codes, [s or Shape((), ()) for s in shapes]).chunk()

    def shape(self, name: bytes, found: Scan, block: Block, line: int) -> Shape | None:
        """Return the shape with this name, or None if its lines are irregular. line: the index of a line
        of this shape."""
        if name not in self._shapes:
            if len(self._shapes) >= KNOWN:
                self._shapes.clear()
            self._shapes[name] = self._read(found, block, line)
        return self._shapes[name]

    def _read(self, found: Scan, block: Block, line: int) -> Shape | None:
        value = loads(_numbered(found, block, line), self.nesting, bool(self.above))
        if isinstance(value, Fault) or not _all_numbered(value, found, line):
            return None
        records = list(self.explode(value))
        rows = [self._row(record) for record in records]
        if not rows or any(row is None for row in rows):
            return None
        bare = tuple(not isinstance(record.value, dict) for record in records)
        return Shape(tuple(row for row in rows if row is not None), bare)

    def explode(self, value: Any, place: int = 0) -> Iterator[Record]:
        if self.above:
            return explode(value, self.steps, (None,) * self.above, (Place(place),))
        return explode(value, self.steps)

    def _row(self, record: Record) -> dict[str, Cell] | None:
        columns = self.columns
        every = self.steps[-1] == EVERY if self.steps else bool(self.above)
        if isinstance(record.value, Number) and not every:
            return None  # the value may be null in other lines, and null is not a record
        row: dict[str, Cell] = {}
        for name, get in columns.getters.items():
            value = get(record)
            if isinstance(get, Getter) and get.is_constant:
                row[name] = label(value) if name in columns.labels else text(value)
                continue
            if isinstance(value, dict | list):
                return None
            row[name] = _cell(value)
        leaves = list(flat(record.value))
        if repeated(leaves) is not None:
            return None
        row.update((k, _cell(v)) for k, v in leaves if k and k not in columns.getters)
        plain = all(
            is_unicode(k) and (not isinstance(v, str) or is_unicode(v)) for k, v in row.items()
        )
        each = columns.profile.each
        measures = not each or any(columns.matches(name) for name in row)
        return row if plain and measures else None


def _all_numbered(value: Any, found: Scan, line: int) -> bool:
    """Return whether `value` contains the index of each leaf exactly once. value: a line that was parsed
    after each leaf was replaced by its index (see `_numbered`).

    This detects two strings without a comma between them, such as "a""b". The line is not valid JSON, but
    their indexes become one number, so the line with the indexes can be parsed."""
    last = int(found.first[line + 1]) if line + 1 < len(found.first) else len(found.starts)
    leaves = [leaf for _, leaf in flat(value) if isinstance(leaf, Number)]
    count = last - int(found.first[line])
    return len(leaves) == count and set(leaves) == {str(number) for number in range(count)}


def _cell(value: Any) -> Cell:
    if isinstance(value, Number):
        return int(value)
    return None if value is None else str(value) if isinstance(value, Place) else value


def _numbered(found: Scan, block: Block, line: int) -> bytes:
    """Return the text of a line in which each leaf is replaced by its index."""
    begin = int(block.starts[line])
    end = int(block.starts[line + 1]) if line + 1 < len(block) else len(block.data)
    first = int(found.first[line])
    last = int(found.first[line + 1]) if line + 1 < len(found.first) else len(found.starts)
    pieces = []
    for number, leaf in enumerate(range(first, last)):
        quote = int(found.is_text[leaf])
        pieces += [block.data[begin : int(found.starts[leaf]) - quote], b"%d" % number]
        begin = int(found.ends[leaf]) + quote
    return b"".join([*pieces, block.data[begin:end]])


def _beginning(block: Block, sign: bytes) -> Bools:
    return np.array([block.data.startswith(sign, start) for start in block.starts.tolist()])


class _Rows:
    """The records in the lines of one block. The shapes of these lines are already known."""

    def __init__(
        self, shaped: Shaped, block: Block, found: Scan, codes: Ints, shapes: list[Shape]
    ) -> None:
        self.block, self.found, self.shapes = block, found, shapes
        self.columns, self.steps = shaped.columns, shaped.steps
        sizes = np.array([len(shape.rows) for shape in shapes], np.int64)[codes]
        self.of = [np.flatnonzero(codes == code) for code in range(len(shapes))]
        self.begins = np.cumsum(sizes) - sizes
        self.count = int(sizes.sum())
        self.lines = np.repeat(np.arange(len(block)), sizes)
        self.read = int((sizes > 0).sum())
        self.constants: dict[str, int] = {}
        self.slots = self._slots()

    def _slots(self) -> Ints:
        """Return, for each leaf, the index of its text in `texts`; -1 for null."""
        slots = 2 * np.arange(len(self.found.starts))
        slots[self.found.is_null] = -1
        leaves, meant = self.found.decoded
        coded = meant.dictionary_encode()
        places = [self._constant(text) for text in coded.dictionary.to_pylist()]
        slots[leaves] = np.array(places, np.int64)[coded.indices.to_numpy(zero_copy_only=False)]
        return slots

    def _constant(self, text: str) -> int:
        return 2 * len(self.found.starts) + self.constants.setdefault(text, len(self.constants))

    @cached_property
    def texts(self) -> pa.Array:
        """The texts to which the slots refer. Each leaf is followed by the text between this leaf and
        the next one. The constants, that is, decoded texts and fixed values, are at the end."""
        ends = self.found.ends
        bounds = np.stack((self.found.starts, ends), axis=1).ravel()
        more = [text.encode() for text in self.constants]
        sizes = np.array([0, *map(len, more)], np.int64)
        bounds = np.concatenate((bounds, len(self.found.data) + np.cumsum(sizes))).astype(np.int32)
        data = b"".join([self.found.data, *more]) if more else self.found.data
        buffers = [None, pa.py_buffer(bounds), pa.py_buffer(data)]
        return pa.Array.from_buffers(pa.string(), len(bounds) - 1, buffers)

    def places(self, name: str) -> tuple[Ints, Bools]:
        """Return two arrays with one item per record: the slot of the record's value in column `name`
        (-1 if there is none), and whether the value is a number."""
        found = np.full(self.count, -1, np.int64)
        typed = np.zeros(self.count, np.bool_)
        for shape, lines in zip(self.shapes, self.of, strict=True):
            for place, row in enumerate(shape.rows):
                cell = row.get(name)
                offsets = self.begins[lines] + place
                if isinstance(cell, str):
                    found[offsets] = self._constant(cell)
                    typed[offsets] = isinstance(cell, Number)
                elif cell is not None:
                    leaves = self.found.first[lines] + cell
                    found[offsets] = self.slots[leaves]
                    typed[offsets] = self.found.is_number[leaves]
        return found, typed

    def chunk(self) -> Chunk:
        columns = self.columns
        if not self.count:  # empty lines
            return Chunk(EMPTY_BINDING, {}, self.lines, self.spot)
        named = {name: self.places(name) for name in columns.named}
        names = self.names()
        columns.check_width(names)
        binding = columns.resolve([Field(name) for name in names], "")
        if self.count * len(binding.needed) > CELLS:
            raise NotUniform(np.ones(len(self.block), np.bool_))
        needed = {i: named.get(names[i]) or self.places(names[i]) for i in binding.needed}
        self.check(named)
        arrays = {i: self.array(slots) for i, (slots, _) in needed.items()}
        columns.never -= {names[i] for i, a in arrays.items() if a.null_count < self.count}
        columns.rows += self.count
        styled = {m.column for m in binding.measures if m.style.is_for_texts}
        typed = {i: pa.array(needed[i][1]) for i in styled}
        numbers = self.block.line + self.lines
        records = self.read if self.steps else None
        return Chunk(binding, arrays, numbers, self.spot, [], records, typed)

    def names(self) -> list[str]:
        extra = dict.fromkeys(name for shape in self.shapes for row in shape.rows for name in row)
        known = self.columns.getters
        return [*self.columns.named, *(name for name in extra if name not in known)]

    def array(self, slots: Ints) -> pa.Array:
        return self.texts.take(pa.array(slots, mask=slots < 0))

    def check(self, named: dict[str, tuple[Ints, Bools]]) -> None:
        """Raise NotUniform if a record is not an object and has no value in any column of the profile."""
        some = np.ones(self.count, np.bool_)
        bare = np.zeros(self.count, np.bool_)
        for shape, lines in zip(self.shapes, self.of, strict=True):
            for place, is_bare in enumerate(shape.bare):
                bare[self.begins[lines] + place] = is_bare
        if bare.any():
            texts = [self.array(slots) for slots, _ in named.values()]
            full = [pc.greater(pc.binary_length(t), 0).fill_null(False) for t in texts]
            some = ~bare
            for array in full:
                some |= np.asarray(array.to_numpy(zero_copy_only=False), np.bool_)
        if not some.all():
            irregular = np.zeros(len(self.block), np.bool_)
            irregular[self.lines[~some]] = True
            raise NotUniform(irregular)

    def spot(self, row: int) -> Spot:
        line = int(self.lines[row])
        return Spot(self.block.offset + int(self.block.starts[line]), text_of(self.block.raw(line)))
