"""Reads text tables. Their cells are separated by a delimiter (RFC 4180) or by runs of spaces, or have
fixed widths.

pyarrow parses a block if each of its lines is one row of plain cells. Python's csv module reads any other
block line by line, so that one bad row does not affect others. Such a block contains, for example, a quote
that spans lines, a row of the wrong width, or a byte that is not UTF-8. Both ways produce the same cells.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from sensorflow.core.binding.binding import Binding
from sensorflow.core.binding.resolve import Resolve
from sensorflow.core.formats import titles
from sensorflow.core.formats.cells import Splitting, is_utf8, quotes_are_plain, refuse
from sensorflow.core.formats.chunk import Chunk, Reject, Spot, text_of
from sensorflow.core.formats.encoding import Utf8Stream
from sensorflow.core.formats.lines import Block, Line, Lines, LookAhead
from sensorflow.core.formats.preamble import NoHeader, Preamble
from sensorflow.core.growth import Part
from sensorflow.core.profile import Profile
from sensorflow.errors import Code, Permanent

ROWS = 16384
"""Maximum number of rows in a chunk that is read line by line."""

CELLS = 1 << 20
"""Maximum number of cells in a chunk that is read line by line."""

FIRST = 1000
"""Maximum number of lines in which the first row is searched. The first row determines the width of the
table."""


def chunks(
    stream: BinaryIO, profile: Profile, resolve: Resolve, part: Part | None = None
) -> Iterator[Chunk]:
    csv.field_size_limit(1 << 30)  # no limit here, because the profile limits the length of lines
    plain = Utf8Stream(stream, profile.encoding)
    table = _Table(Lines(plain, profile.max_line, plain.start), profile, resolve)
    if table.lines.peek() is None:
        return
    try:
        table.open()
    except NoHeader:
        if part is None and not table.preamble.blank:
            raise
        return  # a growing file without a complete header, or a file of blank lines
    if part is not None and table.lines.number <= part.line_base:
        table.lines.jump(part.byte_offset, part.line_base + 1)
    yield from table.chunks()


class _Table:
    """Reads the table of a file. If the profile has `header_again`, it reads several consecutive tables,
    each of which has its own columns."""

    def __init__(self, lines: Lines, profile: Profile, resolve: Resolve) -> None:
        self.lines, self.profile, self.resolve = lines, profile, resolve
        self.binding: Binding
        self.width = self.least = 0
        self.splitting = Splitting(profile)
        self.preamble = Preamble(lines, profile, self.splitting)
        self.ended = False
        """Whether the file contains no further table."""
        self.begun = False
        """Whether a row of the table has been read."""

    def open(self) -> None:
        """Read the lines before the first data row."""
        before = self.preamble.read()
        if before is None:
            self.ended = True
            return
        number = self.lines.number
        rows = [self._header_row() for _ in range(titles.header_rows(self.profile))]
        nameless = not rows and not self.profile.names
        width = self._data_width() if nameless or self.profile.align == "right" else 0
        fields = titles.fields(rows, self.profile, width, number)
        self.width = len(fields)
        named = [i for i, field in enumerate(fields) if field.name]
        self.least = named[-1] + 1 if named else 0
        self.binding = self.resolve(fields, before)
        self.begun = False

    def _data_width(self) -> int:
        """Return the number of cells in the first data row."""
        ahead = LookAhead(self.lines)
        while (line := ahead.next()) is not None and len(ahead.read_lines) < FIRST:
            if self.splitting.wanted(line):
                break
        cells, _ = self.splitting.cells(ahead, line) if line else ([], None)
        self.lines.back(ahead.read_lines)
        return len(cells)

    def _header_row(self) -> list[str]:
        line = self.lines.next()
        if line is None:
            raise NoHeader("the file ends within its header", titles.SHORT)
        prefix = self.profile.header_prefix.encode()
        bare = line._replace(raw=line.raw.removeprefix(prefix))
        cells, problem = self.splitting.cells(self.lines, bare)
        if problem is not None:
            if not line.raw.strip(b"\0\r\n"):
                raise Permanent(Code.EMPTY, "the file contains only NUL bytes", line=line.number)
            what = f"the header cannot be read: {problem.reason}"
            raise Permanent(Code.UNREADABLE, what, line=line.number, do=titles.WRONG)
        return cells

    def chunks(self) -> Iterator[Chunk]:
        block = self.lines.remaining_block()
        while not self.ended:
            if not self.lines.pending:
                block = block or self.lines.block()
                if block is None:
                    return
                if (plain := self._fast(block)) is not None:
                    yield plain
                    block = None
                    continue
                self.lines.open(block)
                block = None
            yield self._slow()

    def _fast(self, block: Block) -> Chunk | None:
        """Return the chunk of a block that pyarrow parses at once. Returns None if the block must be
        read line by line."""
        profile, splitting = self.profile, self.splitting
        if not splitting.by_pyarrow or b"\0" in block.data or not is_utf8(block.data):
            return None
        quote = splitting.quote
        if quote and quote in block.data and not quotes_are_plain(block, profile):
            return None
        if splitting.borders(block):
            return None
        kept_lines = splitting.kept_lines(block)
        self.begun |= bool(len(kept_lines))
        needed = self.binding.needed
        if not len(kept_lines):
            empty = {i: pa.array([], pa.string()) for i in needed}
            return Chunk(self.binding, empty, kept_lines, lambda _: Spot(None, ""))
        if (data := splitting.plain(block, kept_lines)) is None:
            return None
        try:
            options = splitting.options(self.width, needed, len(data))
            table = pacsv.read_csv(pa.BufferReader(data), *options)
        except pa.ArrowInvalid:
            return None
        if table.num_rows != len(kept_lines):
            return None
        arrays = [c.combine_chunks() for c in table.columns]

        def spot(row: int) -> Spot:
            at = int(kept_lines[row])
            return Spot(block.offset + int(block.starts[at]), text_of(block.raw(at)))

        columns = dict(zip(needed, arrays, strict=True))
        return Chunk(self.binding, columns, kept_lines + block.line, spot)

    def _slow(self) -> Chunk:
        rows: list[list[str]] = []
        spots: list[tuple[Line, str]] = []
        rejects: list[Reject] = []
        lines, binding, needed = self.lines, self.binding, self.binding.needed
        limit = max(1, min(ROWS, CELLS // max(self.width, 1)))
        while len(rows) + len(rejects) < limit and (lines.pending or not (rows or rejects)):
            line = lines.next()
            if line is None:
                break
            if (ends := self._ends(line)) or self.splitting.begins_table(line):
                lines.back([line])
                if rows or rejects:
                    break
                if ends and not self.profile.header_again:
                    self.ended = True
                else:
                    self.open()
                if self.ended:
                    break
                binding, needed = self.binding, self.binding.needed
                continue
            if not self.splitting.wanted(line):
                continue
            bare, problem = self.splitting.checked(line)
            if problem is None:
                fields, problem = self.splitting.cells(lines, bare)
            if problem is None:
                fields, problem = self._fitted(line, fields)
            self.begun = True
            if problem is not None:
                rejects.append(problem)
            else:
                rows.append([fields[i] for i in needed])
                spots.append((line, text_of(line.raw)))
        cells = list(zip(*rows, strict=True)) or [()] * len(needed)
        columns = {i: pa.array(c, pa.string()) for i, c in zip(needed, cells, strict=True)}
        numbers = np.array([line.number for line, _ in spots], np.int64)
        return Chunk(
            binding,
            columns,
            numbers,
            lambda row: Spot(spots[row][0].offset, spots[row][1]),
            rejects,
        )

    def _ends(self, line: Line) -> bool:
        """Return whether a line ends the table. An empty line before the table's first row does not end
        it."""
        ends = self.splitting.ends_table(line)
        return ends and (self.begun or not self.splitting.blank(line.raw))

    def _fitted(self, line: Line, cells: list[str]) -> tuple[list[str], Reject | None]:
        """Return (cells, None) with exactly one cell per column, or ([], reject). Empty cells after the
        last column are removed. Cells with content after the last column reject the row, unless the profile
        ignores them. Too few cells reject the row, unless only columns without a name are missing or the
        profile allows short rows."""
        count = len(cells)
        ignored = self.profile.long_rows == "ignore"
        if ignored or not any(cell.strip() for cell in cells[self.width :]):
            cells = cells[: self.width]
        short = self.profile.short_rows == "missing"
        if len(cells) < self.width and (len(cells) >= self.least or short):
            cells = cells + [""] * (self.width - len(cells))
        if len(cells) == self.width:
            return cells, None
        what_has = (
            "the header has" if titles.header_rows(self.profile) else "the number of columns is"
        )
        cells_found = "1 cell" if count == 1 else f"{count} cells"
        reason = f"{cells_found} where {what_has} {self.width}"
        return [], refuse(line, Code.COLUMN_COUNT, reason)
