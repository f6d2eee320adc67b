"""Comma-separated text (RFC 4180), with a header line.

A block in which every line is one row of plain cells goes to pyarrow whole. Any other (a quote that
spans lines, a row of the wrong width, a byte that is not UTF-8) is read line by line with the
standard library's reader, so that one bad row costs one row. Both cut rows into the same cells.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from sensorflow.core.formats.chunk import Chunk, Reject, Spot, text_of
from sensorflow.core.formats.lines import Block, Line, Lines
from sensorflow.core.profile import Profile
from sensorflow.errors import Code, Permanent

BOM = b"\xef\xbb\xbf"
ROWS = 16384
"""Rows of a chunk that is read line by line."""


def chunks(stream: BinaryIO, profile: Profile) -> Iterator[Chunk]:
    lines = Lines(stream, profile.max_line)
    first = lines.block()
    if first is None:
        return
    lines.open(first)
    header = _header(lines, profile)
    block = lines.rest()
    while True:
        if not lines.pending:
            block = block or lines.block()
            if block is None:
                return
            if (plain := _fast(block, header, profile)) is not None:
                yield plain
                block = None
                continue
            lines.open(block)
            block = None
        yield _slow(lines, header, profile)


def _header(lines: Lines, profile: Profile) -> list[str]:
    line = lines.next()
    assert line is not None
    raw = line.raw.removeprefix(BOM)
    fields, problem = _cells(lines, line._replace(raw=raw), profile)
    if problem is not None:
        raise Permanent(Code.UNREADABLE, f"the header cannot be read: {problem.reason}", line=1)
    names = [name.strip() for name in fields]
    for wanted in profile.needed:
        count = names.count(wanted)
        if count != 1:
            what = "is not in" if count == 0 else f"stands {count} times in"
            raise Permanent(
                Code.COLUMN_MISSING,
                f"column {wanted!r} {what} the header; found: {', '.join(map(repr, names))[:500]}",
                line=line.number,
                column=wanted,
            )
    return names


def _fast(block: Block, header: list[str], profile: Profile) -> Chunk | None:
    """The whole block by pyarrow; None where a line may not be one row of plain cells."""
    data = block.data
    if b"\0" in data or not _is_utf8(data):
        return None
    if b'"' in data and not _quotes_are_plain(block, profile.delimiter):
        return None
    try:
        table = pacsv.read_csv(
            pa.BufferReader(data),
            pacsv.ReadOptions(
                column_names=[str(i) for i in range(len(header))],
                use_threads=False,
                block_size=len(data) + 1,
            ),
            pacsv.ParseOptions(delimiter=profile.delimiter, ignore_empty_lines=False),
            pacsv.ConvertOptions(
                column_types={str(i): pa.string() for i in range(len(header))},
                include_columns=[str(header.index(name)) for name in profile.needed],
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid:
        return None
    if table.num_rows != len(block):
        return None
    arrays = [c.combine_chunks() for c in table.columns]
    columns = dict(zip(profile.needed, arrays, strict=True))
    numbers = np.arange(block.line, block.line + len(block), dtype=np.int64)

    def spot(row: int) -> Spot:
        return Spot(block.offset + int(block.starts[row]), text_of(block.raw(row)))

    return Chunk(columns, numbers, spot)


def _is_utf8(data: bytes) -> bool:
    """Of every column, also those that are not needed: as the way line by line looks at them."""
    try:
        return data.isascii() or bool(data.decode())
    except UnicodeDecodeError:
        return False


def _quotes_are_plain(block: Block, delimiter: str) -> bool:
    """Whether quotes come in pairs within lines, opening after a delimiter and closing before one."""
    data = np.frombuffer(block.data, np.uint8)
    quotes = np.flatnonzero(data == 34)
    line = np.searchsorted(block.starts, quotes, "right")
    if len(quotes) % 2 or (line[::2] != line[1::2]).any():
        return False
    padded = np.concatenate(([10], data, [10])).astype(np.uint8)
    borders = np.frombuffer(b'\r\n"' + delimiter.encode(), np.uint8)
    before, after = padded[quotes[::2]], padded[quotes[1::2] + 2]
    return bool(np.isin(before, borders).all() and np.isin(after, borders).all())


def _slow(lines: Lines, header: list[str], profile: Profile) -> Chunk:
    places = [header.index(name) for name in profile.needed]
    rows: list[list[str]] = []
    spots: list[tuple[Line, str]] = []
    rejects: list[Reject] = []
    while len(rows) + len(rejects) < ROWS and (lines.pending or not (rows or rejects)):
        line = lines.next()
        if line is None:
            break
        fields, problem = _cells(lines, line, profile)
        if problem is None and len(fields) != len(header):
            if not fields:
                continue  # an empty line is no row
            problem = _refuse(
                line, Code.COLUMN_COUNT, f"{len(fields)} cells where the header has {len(header)}"
            )
        if problem is not None:
            rejects.append(problem)
        else:
            rows.append([fields[i] for i in places])
            spots.append((line, text_of(line.raw)))
    cells = list(zip(*rows, strict=True)) or [()] * len(places)
    columns = {
        name: pa.array(c, pa.string()) for name, c in zip(profile.needed, cells, strict=True)
    }
    numbers = np.array([line.number for line, _ in spots], np.int64)
    return Chunk(columns, numbers, lambda row: Spot(spots[row][0].offset, spots[row][1]), rejects)


def _cells(lines: Lines, line: Line, profile: Profile) -> tuple[list[str], Reject | None]:
    """The cells of the record that begins at `line`, taking on lines while a quote is open.

    A quote that is never closed costs its own line: the lines after it are given back, to be judged
    for themselves, also when one of them cannot be decoded.
    """
    taken: list[Line] = []
    texts: list[str] = []
    size = 0
    current = line
    while True:
        bad = _undecodable(current)
        if bad is not None and taken:
            lines.back(taken)
            return [], _refuse(line, Code.MALFORMED_ROW, "quotes are not right: never closed")
        if bad is not None:
            return [], bad
        texts.append(current.raw.decode())
        size += len(current.raw)
        reader = csv.reader(texts, delimiter=profile.delimiter, strict=True)
        try:
            return next(reader, []), None
        except csv.Error as error:
            following = lines.next() if "unexpected end" in str(error) and size < 65536 else None
            if following is None:
                lines.back(taken)
                return [], _refuse(line, Code.MALFORMED_ROW, f"quotes are not right: {error}")
            taken.append(following)
            current = following


def _undecodable(line: Line) -> Reject | None:
    at = line.raw.find(b"\0")
    if at >= 0:
        return _refuse(line, Code.NUL_BYTE, f"a NUL byte at position {at} of the line", at)
    try:
        line.raw.decode()
    except UnicodeDecodeError as error:
        return _refuse(
            line, Code.INVALID_UTF8, f"not UTF-8 at position {error.start} of the line", error.start
        )
    return None


def _refuse(line: Line, code: Code, reason: str, at: int = 0) -> Reject:
    return Reject(line.number, line.offset + at, None, code, reason, text_of(line.raw))
