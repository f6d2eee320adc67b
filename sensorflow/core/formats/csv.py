"""Text tables: separated by a delimiter (RFC 4180), by runs of spaces, or of fixed widths.

A block in which every line is one row of plain cells goes to pyarrow whole. Any other (a quote that
spans lines, a row of the wrong width, a byte that is not UTF-8) is read line by line with the
standard library's reader, so that one bad row costs one row. Both cut rows into the same cells.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pacsv

from sensorflow.core.formats import titles
from sensorflow.core.formats.chunk import Chunk, Reject, Spot, text_of
from sensorflow.core.formats.encoding import Plain
from sensorflow.core.formats.lines import Block, Line, Lines
from sensorflow.core.growth import Part
from sensorflow.core.layout import Layout, Resolve
from sensorflow.core.patterns import compiled, found_in
from sensorflow.core.profile import Profile
from sensorflow.errors import DO, Code, Permanent

ROWS = 16384
"""Rows of a chunk that is read line by line."""

CELLS = 1 << 20
"""Cells of such a chunk, however wide its rows are."""

PREAMBLE = 1 << 16
"""Bytes of the text before the header in which patterns are searched."""


class NoHeader(Permanent):
    """The file ends before its header does."""

    def __init__(self, message: str, do: str = "") -> None:
        super().__init__(Code.UNREADABLE, message, do=do or None)

    def __reduce__(self) -> tuple[type[NoHeader], tuple[str, str]]:
        return (NoHeader, (self.message, self.place.get(DO, "")))


def chunks(
    stream: BinaryIO, profile: Profile, resolve: Resolve, part: Part | None = None
) -> Iterator[Chunk]:
    csv.field_size_limit(1 << 30)  # what a line may hold is the profile's to say
    plain = Plain(stream, profile.encoding)
    table = _Table(Lines(plain, profile.max_line, plain.start), profile, resolve)
    if table.lines.peek() is None:
        return
    try:
        table.open()
    except NoHeader:
        if part is None:
            raise
        return  # a file that grows: its header is not whole yet
    if part is not None and table.lines.number <= part.line_base:
        table.lines.jump(part.byte_offset, part.line_base + 1)
    yield from table.chunks()


class _Table:
    def __init__(self, lines: Lines, profile: Profile, resolve: Resolve) -> None:
        self.lines, self.profile, self.resolve = lines, profile, resolve
        self.layout: Layout
        self.width = self.least = 0
        self.splitting = _Splitting(profile)

    def open(self) -> None:
        """Read up to the first row of data."""
        before = self._preamble()
        rows = [self._header_row() for _ in range(titles.header_rows(self.profile))]
        width = 0
        if not rows and not self.profile.names:
            line = self.lines.peek()
            cells, _ = self.splitting.cells(self.lines, line) if line else ([], None)
            width = len(cells)
        fields = titles.fields(rows, self.profile, width)
        self.width = len(fields)
        named = [i for i, field in enumerate(fields) if field.name]
        self.least = named[-1] + 1 if named else 0
        self.layout = self.resolve(fields, before)

    def _preamble(self) -> str:
        profile, size = self.profile, 0
        before: list[str] = []
        first = compiled(profile.skip_until) if profile.skip_until else None
        skipped = 0
        while (line := self.lines.peek()) is not None:
            text = line.raw.decode("utf-8", "backslashreplace").rstrip("\r\n")
            if skipped >= profile.skip and (
                found_in(first, text, line.number) if first else not self._is_aside(text)
            ):
                return "\n".join(before)
            self.lines.next()
            skipped += 1
            size += len(text)
            if size <= PREAMBLE:
                before.append(text)
        if first is not None:
            what = f"no line matches skip_until = {profile.skip_until!r}"
            raise NoHeader(what, titles.UNMATCHED)
        return "\n".join(before)

    def _is_aside(self, text: str) -> bool:
        comment = self.profile.comment
        prefixed = comment is not None and text.startswith(comment)
        return not text.strip() or (prefixed and not self.profile.header_prefix)

    def _header_row(self) -> list[str]:
        line = self.lines.next()
        if line is None:
            raise NoHeader("the file ends before its header does", titles.SHORT)
        prefix = self.profile.header_prefix.encode()
        bare = line._replace(raw=line.raw.removeprefix(prefix))
        cells, problem = self.splitting.cells(self.lines, bare)
        if problem is not None:
            what = f"the header cannot be read: {problem.reason}"
            raise Permanent(Code.UNREADABLE, what, line=line.number, do=titles.WRONG)
        return cells

    def chunks(self) -> Iterator[Chunk]:
        block = self.lines.rest()
        while True:
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
        """The whole block by pyarrow; None where a line may not be one row of plain cells."""
        profile, splitting = self.profile, self.splitting
        if not splitting.by_pyarrow or b"\0" in block.data or not _is_utf8(block.data):
            return None
        quote = splitting.quote
        if quote and quote in block.data and not _quotes_are_plain(block, profile):
            return None
        if profile.header_again and splitting.first_match(block):
            return None
        kept = splitting.kept(block)
        data = splitting.plain(block, kept)
        needed = self.layout.needed
        if not len(kept):
            empty = {i: pa.array([], pa.string()) for i in needed}
            return Chunk(self.layout, empty, kept, lambda _: Spot(None, ""))
        try:
            options = splitting.options(self.width, needed, len(data))
            table = pacsv.read_csv(pa.BufferReader(data), *options)
        except pa.ArrowInvalid:
            return None
        if table.num_rows != len(kept):
            return None
        arrays = [c.combine_chunks() for c in table.columns]

        def spot(row: int) -> Spot:
            at = int(kept[row])
            return Spot(block.offset + int(block.starts[at]), text_of(block.raw(at)))

        columns = dict(zip(needed, arrays, strict=True))
        return Chunk(self.layout, columns, kept + block.line, spot)

    def _slow(self) -> Chunk:
        rows: list[list[str]] = []
        spots: list[tuple[Line, str]] = []
        rejects: list[Reject] = []
        lines, layout, needed = self.lines, self.layout, self.layout.needed
        most = max(1, min(ROWS, CELLS // max(self.width, 1)))
        while len(rows) + len(rejects) < most and (lines.pending or not (rows or rejects)):
            line = lines.next()
            if line is None:
                break
            if self.splitting.begins_table(line):
                if rows or rejects:
                    lines.back([line])
                    break
                lines.back([line])
                self.open()
                layout, needed = self.layout, self.layout.needed
                continue
            if not self.splitting.wanted(line):
                continue
            fields, problem = self.splitting.cells(lines, line)
            if problem is None:
                fields, problem = self._fitted(line, fields)
            if problem is not None:
                rejects.append(problem)
            else:
                rows.append([fields[i] for i in needed])
                spots.append((line, text_of(line.raw)))
        cells = list(zip(*rows, strict=True)) or [()] * len(needed)
        columns = {i: pa.array(c, pa.string()) for i, c in zip(needed, cells, strict=True)}
        numbers = np.array([line.number for line, _ in spots], np.int64)
        return Chunk(
            layout, columns, numbers, lambda row: Spot(spots[row][0].offset, spots[row][1]), rejects
        )

    def _fitted(self, line: Line, cells: list[str]) -> tuple[list[str], Reject | None]:
        """Exactly as many cells as columns: empty ones at the end are nothing, too few are a fault."""
        count = len(cells)
        if count > self.width and not any(cell.strip() for cell in cells[self.width :]):
            cells = cells[: self.width]
        short = self.profile.short_rows == "missing"
        if len(cells) < self.width and (len(cells) >= self.least or short):
            cells = cells + [""] * (self.width - len(cells))
        if len(cells) == self.width:
            return cells, None
        reason = f"{count} cells where the header has {self.width}"
        return [], refuse(line, Code.COLUMN_COUNT, reason)


Options = tuple[pacsv.ReadOptions, pacsv.ParseOptions, pacsv.ConvertOptions]


def _options(
    width: int, needed: tuple[int, ...], cut: tuple[str, str, str | None], room: int
) -> Options:
    """How pyarrow is to read.

    cut: the delimiter, the quote, the escape.
    """
    delimiter, quote, escape = cut
    names = [str(i) for i in range(width)]
    return (
        pacsv.ReadOptions(column_names=names, use_threads=False, block_size=room),
        pacsv.ParseOptions(
            delimiter=delimiter,
            quote_char=quote or False,
            escape_char=escape or False,
            ignore_empty_lines=False,
        ),
        pacsv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            include_columns=[str(i) for i in needed],
            strings_can_be_null=False,
        ),
    )


NARROW = 100
"""Columns; what is made for wider tables is not remembered."""

_known = lru_cache(256)(_options)
"""Made once for files of one kind, for it takes as long as a small file's reading."""


class _Splitting:
    """How lines are chosen, and cut into cells."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.quote = profile.quote.encode()
        whitespace = profile.delimiter == "whitespace"
        self.by_pyarrow = not profile.widths and (whitespace or len(profile.delimiter) == 1)
        if whitespace:
            self.quote = b""
        self.keep = compiled(profile.keep) if profile.keep else None
        self.drop = compiled(profile.drop) if profile.drop else None
        self.comment = profile.comment.encode() if profile.comment else None
        again = profile.skip_until if profile.header_again else None
        self.again = compiled(again) if again else None
        ends: list[int] = np.cumsum((0, *profile.widths)).tolist()
        self.slices = [slice(a, b) for a, b in pairwise(ends)]

    def wanted(self, line: Line) -> bool:
        raw = line.raw.rstrip(b"\r\n")
        if not raw.strip() or (self.comment is not None and raw.startswith(self.comment)):
            return False
        if self.keep is None and self.drop is None:
            return True
        text = _shown(raw)
        if self.keep is not None and not found_in(self.keep, text, line.number):
            return False
        return self.drop is None or not found_in(self.drop, text, line.number)

    def begins_table(self, line: Line) -> bool:
        return self.again is not None and found_in(self.again, _shown(line.raw), line.number)

    def first_match(self, block: Block) -> bool:
        lines = block.data.split(b"\n")
        return self.again is not None and any(
            found_in(self.again, _shown(raw), block.line + i) for i, raw in enumerate(lines)
        )

    def kept(self, block: Block) -> npt.NDArray[np.int64]:
        """The indexes of the lines of a block that are rows."""
        if self.keep is None and self.drop is None and self.comment is None:
            short = np.flatnonzero(np.diff(block.starts, append=len(block.data)) <= 2)
            blank = [i for i in short.tolist() if not block.raw(i).strip()]
            every = np.arange(len(block), dtype=np.int64)
            return np.delete(every, blank) if blank else every
        rows = (i for i in range(len(block)) if self.wanted(Line(block.raw(i), 0, block.line + i)))
        return np.fromiter(rows, np.int64)

    def plain(self, block: Block, kept: npt.NDArray[np.int64]) -> bytes:
        """The chosen lines of a block as pyarrow's reader wants them."""
        if self.profile.delimiter == "whitespace":
            return b"\n".join(b"\t".join(block.raw(i).split()) for i in kept.tolist()) + b"\n"
        if len(kept) == len(block):
            return block.data
        return b"".join(block.raw(i) for i in kept.tolist())

    def options(self, width: int, needed: tuple[int, ...], size: int) -> Options:
        """For pyarrow's reader of `size` bytes, which are to be one block."""
        delimiter = "\t" if self.profile.delimiter == "whitespace" else self.profile.delimiter
        cut = (delimiter, self.quote.decode(), self.profile.escape)
        made = _known if width <= NARROW else _options
        return made(width, needed, cut, 1 << max(size.bit_length(), 16))

    def cells(self, lines: Lines, line: Line) -> tuple[list[str], Reject | None]:
        profile = self.profile
        if profile.delimiter != "whitespace" and len(profile.delimiter) == 1 and not profile.widths:
            return _record(lines, line, profile)
        if (bad := undecodable(line)) is not None:
            return [], bad
        if profile.delimiter == "whitespace" and not profile.widths:
            # bytes: only ASCII's spaces separate, as in `plain`; a no-break space is part of its cell
            return [cell.decode() for cell in line.raw.split()], None
        text = line.raw.decode().rstrip("\r\n")
        if profile.widths:
            if rest := text[self.slices[-1].stop :].strip():
                why = f"{rest[:40]!r} stands behind the last of {len(self.slices)} widths"
                return [], refuse(line, Code.COLUMN_COUNT, why)
            return [text[part].strip() for part in self.slices], None
        return text.split(profile.delimiter), None


def _shown(raw: bytes) -> str:
    """A line for patterns: what is not UTF-8 is escaped."""
    return raw.decode("utf-8", "backslashreplace").rstrip("\r\n")


def _is_utf8(data: bytes) -> bool:
    """Of every column, also those that are not needed: as the way line by line looks at them."""
    try:
        return data.isascii() or bool(data.decode())
    except UnicodeDecodeError:
        return False


def _quotes_are_plain(block: Block, profile: Profile) -> bool:
    """Whether quotes come in pairs within lines, opening after a delimiter and closing before one."""
    quote = profile.quote.encode()
    if profile.escape and profile.escape.encode() in block.data:
        return False
    data = np.frombuffer(block.data, np.uint8)
    quotes = np.flatnonzero(data == quote[0])
    line = np.searchsorted(block.starts, quotes, "right")
    if len(quotes) % 2 or (line[::2] != line[1::2]).any():
        return False
    padded = np.concatenate(([10], data, [10])).astype(np.uint8)
    borders = np.frombuffer(b"\r\n" + quote + profile.delimiter.encode(), np.uint8)
    before, after = padded[quotes[::2]], padded[quotes[1::2] + 2]
    return bool(np.isin(before, borders).all() and np.isin(after, borders).all())


def _record(lines: Lines, line: Line, profile: Profile) -> tuple[list[str], Reject | None]:
    """The cells of the record that begins at `line`, taking on lines while a quote is open.

    A quote that is never closed costs its own line: the lines after it are given back, to be judged
    for themselves, also when one of them cannot be decoded.
    """
    taken: list[Line] = []
    texts: list[str] = []
    size = 0
    current = line
    while True:
        bad = undecodable(current)
        if bad is not None and taken:
            lines.back(taken)
            return [], refuse(line, Code.MALFORMED_ROW, "quotes are not right: never closed")
        if bad is not None:
            return [], bad
        texts.append(current.raw.decode())
        size += len(current.raw)
        following: Line | None
        if taken and profile.quote.encode() not in current.raw and size < 65536:
            following = lines.next()  # nothing here closes what is open
            if following is not None:
                taken.append(following)
                current = following
                continue
        reader = csv.reader(
            texts,
            delimiter=profile.delimiter,
            quotechar=profile.quote or None,
            quoting=csv.QUOTE_MINIMAL if profile.quote else csv.QUOTE_NONE,
            escapechar=profile.escape,
            strict=True,
        )
        try:
            return next(reader, []), None
        except csv.Error as error:
            following = lines.next() if "unexpected end" in str(error) and size < 65536 else None
            if following is None:
                lines.back(taken)
                return [], refuse(line, Code.MALFORMED_ROW, f"quotes are not right: {error}")
            taken.append(following)
            current = following


def undecodable(line: Line) -> Reject | None:
    at = line.raw.find(b"\0")
    if at >= 0:
        return refuse(line, Code.NUL_BYTE, f"a NUL byte at position {at} of the line", at)
    try:
        line.raw.decode()
    except UnicodeDecodeError as error:
        return refuse(
            line, Code.INVALID_UTF8, f"not UTF-8 at position {error.start} of the line", error.start
        )
    return None


def refuse(line: Line, code: Code, reason: str, at: int = 0) -> Reject:
    return Reject(line.number, line.offset + at, None, code, reason, text_of(line.raw))
