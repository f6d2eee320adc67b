"""Selects the lines of a text table that are rows, and splits them into cells.

The same rules apply to rows that pyarrow reads and to rows that are split one by one.
"""

from __future__ import annotations

import csv
from functools import lru_cache
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pacsv

from sensorflow.core.formats import checksums
from sensorflow.core.formats.chunk import Reject, text_of
from sensorflow.core.formats.lines import Block, Line
from sensorflow.core.patterns import compiled, found_in
from sensorflow.core.profile import Profile
from sensorflow.errors import Code

Options = tuple[pacsv.ReadOptions, pacsv.ParseOptions, pacsv.ConvertOptions]


def _options(
    width: int, needed: tuple[int, ...], cut: tuple[str, str, str | None], room: int
) -> Options:
    """Return pyarrow's reader options. width: number of columns. needed: the columns to read. cut: the
    delimiter, quote and escape characters. room: the block size in bytes."""
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


SPACES = b" \t\r\n\x0b\x0c"
MAX_LINE_CHECKS = 100
"""A line is possibly empty if its first and last bytes may occur in an empty line. If a block has more such
lines than this, all bytes of its lines are examined before any line is split into cells."""
NARROW = 100
"""Maximum number of columns for which options are cached."""

_known = lru_cache(256)(_options)
"""`_options` with a cache, because building the options takes as long as reading a small file."""


class Splitting:
    """Selects the lines of a text table that are rows, and splits them into cells, according to the
    profile."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.quote = profile.quote.encode()
        whitespace = profile.delimiter == "whitespace"
        self.by_pyarrow = not profile.widths and (whitespace or len(profile.delimiter) == 1)
        self.by_pyarrow &= profile.checksum is None or not whitespace
        if whitespace or profile.widths or len(profile.delimiter) > 1:
            self.quote = b""  # such tables have no quotes
        self.keep = compiled(profile.keep) if profile.keep else None
        self.drop = compiled(profile.drop) if profile.drop else None
        self.comment = profile.comment.encode() if profile.comment else None
        again = profile.skip_until if profile.header_again else None
        self.repeated_header = compiled(again) if again else None
        self.stop = compiled(profile.stop_at) if profile.stop_at else None
        ends: list[int] = np.cumsum((0, *profile.widths)).tolist()
        self.slices = [slice(a, b) for a, b in pairwise(ends)]
        cut_by_spaces = whitespace or bool(profile.widths)
        self.delimiter = b"" if cut_by_spaces else profile.delimiter.encode()
        self.blank_bytes = frozenset(SPACES + self.delimiter[:1] + self.quote)
        """The bytes with which a line may begin if all of its cells are empty."""

    def wanted(self, line: Line) -> bool:
        raw = line.raw.rstrip(b"\r\n")
        if self.blank(raw) or (self.comment is not None and raw.startswith(self.comment)):
            return False
        if self.keep is None and self.drop is None:
            return True
        text = display_text(raw)
        if self.keep is not None and not found_in(self.keep, text, line.number):
            return False
        return self.drop is None or not found_in(self.drop, text, line.number)

    def blank(self, raw: bytes) -> bool:
        """Return whether all cells of a line are empty."""
        if raw and raw[0] not in self.blank_bytes:
            return False
        other_bytes = raw.replace(self.delimiter, b"") if self.delimiter else raw
        other_bytes = other_bytes.translate(None, SPACES)
        if not other_bytes:
            return True
        if not self.quote or other_bytes.strip(self.quote):
            return False
        cells, wrong = _parsed([raw.decode()], self.profile)
        return wrong is None and not any(cell.strip() for cell in cells)

    def begins_table(self, line: Line) -> bool:
        return self.repeated_header is not None and found_in(
            self.repeated_header, display_text(line.raw), line.number
        )

    def ends_table(self, line: Line) -> bool:
        return self.stop is not None and found_in(self.stop, display_text(line.raw), line.number)

    def borders(self, block: Block) -> bool:
        """Return whether a table begins or ends within a block."""
        patterns = [pattern for pattern in (self.repeated_header, self.stop) if pattern is not None]
        return bool(patterns) and any(
            found_in(pattern, display_text(block.raw(i)), block.line + i)
            for i in range(len(block))
            for pattern in patterns
        )

    def kept_lines(self, block: Block) -> npt.NDArray[np.int64]:
        """Return the indexes of the lines of a block that are rows."""
        if self.keep is None and self.drop is None and self.comment is None:
            every = np.arange(len(block), dtype=np.int64)
            blank = [i for i in self._maybe_blank_lines(block) if self.blank(block.raw(i))]
            return np.delete(every, blank) if blank else every
        rows = (i for i in range(len(block)) if self.wanted(Line(block.raw(i), 0, block.line + i)))
        return np.fromiter(rows, np.int64)

    def _maybe_blank_lines(self, block: Block) -> list[int]:
        """Return the indexes of the lines that may consist only of delimiters, spaces and quotes. The
        caller must check each of them."""
        is_text = np.ones(256, np.uint8)
        is_text[list(self.blank_bytes)] = 0
        data, starts = np.frombuffer(block.data, np.uint8), block.starts
        lasts = np.maximum(np.append(starts[1:], len(data)) - 2, starts)
        maybe_blank = np.flatnonzero(is_text[data[starts]] + is_text[data[lasts]] == 0)
        if (
            len(maybe_blank) > MAX_LINE_CHECKS
        ):  # rows with padded cells may begin and end like empty lines
            maybe_blank = np.flatnonzero(np.maximum.reduceat(is_text[data], starts) == 0)
        found: list[int] = maybe_blank.tolist()
        return found

    def plain(self, block: Block, kept_lines: npt.NDArray[np.int64]) -> bytes | None:
        """Return the rows of a block as bytes that pyarrow's reader can parse. Returns None if a checksum
        may be wrong, because the rows must then be read one by one. kept_lines: the indexes of the lines
        that are rows."""
        if self.profile.checksum is not None:
            return checksums.all_nmea(block, kept_lines)
        if self.profile.delimiter == "whitespace":
            return b"\n".join(b"\t".join(block.raw(i).split()) for i in kept_lines.tolist()) + b"\n"
        if len(kept_lines) == len(block):
            return block.data
        return b"".join(block.raw(i) for i in kept_lines.tolist())

    def options(self, width: int, needed: tuple[int, ...], size: int) -> Options:
        """Return the options with which pyarrow reads `size` bytes as one block."""
        delimiter = "\t" if self.profile.delimiter == "whitespace" else self.profile.delimiter
        cut = (delimiter, self.quote.decode(), self.profile.escape)
        make = _known if width <= NARROW else _options
        return make(width, needed, cut, 1 << max(size.bit_length(), 16))

    def checked(self, line: Line) -> tuple[Line, Reject | None]:
        """Return (line without its checksum, None), or (unchanged line, reject) if the checksum is
        wrong. If the profile has no checksum, the line is returned unchanged."""
        if self.profile.checksum is None:
            return line, None
        raw, wrong = checksums.nmea(line.raw)
        if wrong is not None:
            return line, refuse(line, Code.CHECKSUM, wrong)
        return line._replace(raw=raw), None

    def cells(self, lines: Following, line: Line) -> tuple[list[str], Reject | None]:
        profile = self.profile
        if profile.delimiter != "whitespace" and len(profile.delimiter) == 1 and not profile.widths:
            return _record(lines, line, profile)
        if (bad := undecodable(line)) is not None:
            return [], bad
        if profile.delimiter == "whitespace" and not profile.widths:
            # as in `plain`, only ASCII spaces separate cells; str.split would also split at no-break spaces
            return [cell.decode() for cell in line.raw.split()], None
        text = line.raw.decode().rstrip("\r\n")
        if profile.widths:
            rest = text[self.slices[-1].stop :].strip()
            if rest and profile.long_rows == "reject":
                reason = f"{rest[:40]!r} is after the last of {len(self.slices)} columns"
                return [], refuse(line, Code.COLUMN_COUNT, reason)
            return [text[part].strip() for part in self.slices], None
        return text.split(profile.delimiter), None


class Following(Protocol):
    """A stream of the lines after a given line. A quoted cell may continue in these lines."""

    def next(self) -> Line | None: ...

    def back(self, lines: list[Line]) -> None: ...


def display_text(raw: bytes) -> str:
    """Return a line as text for pattern matching. Bytes that are not UTF-8 are escaped."""
    return raw.decode("utf-8", "backslashreplace").rstrip("\r\n")


def is_utf8(data: bytes) -> bool:
    """Return whether all bytes are valid UTF-8. The bytes of unused columns are checked too, because they
    are also checked if lines are read one by one."""
    try:
        return data.isascii() or bool(data.decode())
    except UnicodeDecodeError:
        return False


def quotes_are_plain(block: Block, profile: Profile) -> bool:
    """Return whether each quoted cell fills the space between two delimiters of the same line. The begin
    and end of a line count as delimiters."""
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


def _record(lines: Following, line: Line, profile: Profile) -> tuple[list[str], Reject | None]:
    """Return (cells of the record that begins at `line`, None), or ([], reject) if they cannot be read. A
    record continues in the next line while a quote is open.

    An unclosed quote rejects only the line in which it opens. The lines after it are then read separately.
    """
    seen_lines: list[Line] = []
    texts: list[str] = []
    size = 0
    current = line
    while True:
        bad = undecodable(current)
        if bad is not None and seen_lines:
            lines.back(seen_lines)
            return [], refuse(line, Code.MALFORMED_ROW, "unclosed quote")
        if bad is not None:
            return [], bad
        texts.append(current.raw.decode())
        size += len(current.raw)
        following: Line | None
        if seen_lines and profile.quote.encode() not in current.raw and size < 65536:
            following = lines.next()  # no quote in this line, so the open quote continues
            if following is not None:
                seen_lines.append(following)
                current = following
                continue
        cells, wrong = _parsed(texts, profile)
        if wrong is None:
            return cells, None
        following = lines.next() if "unexpected end" in wrong and size < 65536 else None
        if following is None:
            lines.back(seen_lines)
            return [], refuse(line, Code.MALFORMED_ROW, f"invalid quotes: {wrong}")
        seen_lines.append(following)
        current = following


def _parsed(texts: list[str], profile: Profile) -> tuple[list[str], str | None]:
    """Return (cells of the record in these lines, None), or ([], reason) if the record must be rejected."""
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
        return [], str(error)


def undecodable(line: Line) -> Reject | None:
    at = line.raw.find(b"\0")
    if at >= 0:
        what = "a NUL byte at" if line.raw[at:].strip(b"\0\r\n") else "only NUL bytes from"
        return refuse(line, Code.NUL_BYTE, f"{what} position {at} of the line", at)
    try:
        line.raw.decode()
    except UnicodeDecodeError as error:
        return refuse(
            line, Code.INVALID_UTF8, f"not UTF-8 at position {error.start} of the line", error.start
        )
    return None


def refuse(line: Line, code: Code, reason: str, at: int = 0) -> Reject:
    return Reject(line.number, line.offset + at, None, code, reason, text_of(line.raw))
