"""Spreadsheets (Office Open XML), row by row by openpyxl. Line numbers are the sheet's rows.

A date is told in ISO 8601, as the clock without zone that a spreadsheet has; a number as the shortest
text that gives the same double; a formula is the value that was last computed.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from itertools import chain, islice
from typing import Any, BinaryIO
from xml.etree import ElementTree

import numpy as np
import openpyxl
import pyarrow as pa

from sensorflow.core.formats import titles
from sensorflow.core.formats.chunk import RAW_LIMIT, Chunk, Number, Reject, Spot, typed_cells
from sensorflow.core.formats.compression import RATIO
from sensorflow.core.layout import Layout, Resolve
from sensorflow.core.patterns import compiled, found_in
from sensorflow.core.profile import Profile
from sensorflow.errors import Code, Permanent

ROWS = 8192
CELLS, CELLS_PER_BYTE = 10_000_000, 2
"""Cells that are walked, empty ones among them, whatever the sheet's size; and for each byte of it more."""
HELD = 64 << 20
TYPES = "[Content_Types].xml"
WORKSHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"
ROWS_OF_A_SHEET = 1_048_576
Row = tuple[int, list[str]]


def chunks(stream: BinaryIO, profile: Profile, resolve: Resolve) -> Iterator[Chunk]:
    rows = sheet_rows(stream, profile)
    before, rows = _preamble(rows, profile)
    head = list(islice(rows, titles.header_rows(profile)))
    first = next(rows, None)
    width = max([len(cells) for _, cells in [*head, *([first] if first else [])]], default=0)
    fields = titles.fields([cells for _, cells in head], profile, width)
    while fields and not fields[-1].name:
        fields.pop()
    layout = resolve(fields, before)
    rest = chain([first] if first else [], rows)
    most = max(1, min(ROWS, (1 << 20) // max(len(fields), 1)))
    while part := list(islice(rest, most)):
        yield _chunk(part, layout, len(fields), profile)


def sheet_rows(stream: BinaryIO, profile: Profile) -> Iterator[Row]:
    """The rows that hold anything, as texts."""
    try:
        size = _check_archive(stream, profile)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and extensions, which hold no reading
            book = openpyxl.load_workbook(stream, read_only=True, data_only=True)
            sheet = _sheet(book, profile)
            most = profile.max_cells or CELLS + CELLS_PER_BYTE * size
            walked = 0
            for number, row in enumerate(sheet.iter_rows(values_only=True), 1):
                walked += len(row) or 1
                if walked > most:
                    what = f"more than {most:,} cells, empty ones among them"
                    raise Permanent(Code.TOO_MANY_CELLS, what, line=number)
                if number > ROWS_OF_A_SHEET:
                    what = f"a sheet has {ROWS_OF_A_SHEET:,} rows at most"
                    raise Permanent(Code.UNREADABLE, what, line=number)
                if len(row) > profile.max_columns:
                    what = f"{len(row):,} columns, the limit is {profile.max_columns:,}"
                    raise Permanent(Code.TOO_MANY_COLUMNS, what, line=number)
                cells = [_text(cell) for cell in row]
                if max(map(len, cells), default=0) > profile.max_line:
                    what = f"a cell is longer than {profile.max_line:,} bytes"
                    raise Permanent(Code.LINE_TOO_LONG, what, line=number)
                while cells and not cells[-1]:
                    cells.pop()
                if cells:
                    yield number, cells
    except (Permanent, MemoryError):
        raise
    except Exception as error:
        raise Permanent(
            Code.UNREADABLE, f"not a spreadsheet: {' '.join(str(error).split())[:300]}"
        ) from error


def _check_archive(stream: BinaryIO, profile: Profile) -> int:
    """The bytes that the book is unpacked. openpyxl holds every part that is no sheet, the texts of all
    cells above all, whatever the parts are called: these are bounded before."""
    with zipfile.ZipFile(stream) as archive:
        infos = archive.infolist()
        size = sum(info.file_size for info in infos)
        packed = sum(info.compress_size for info in infos)
        if size > profile.max_decompressed:
            raise Permanent(Code.TOO_LARGE, f"decompressed, the spreadsheet has {size:,} bytes")
        if size > HELD and size > packed * profile.max_ratio:
            what = f"the spreadsheet grows to {size:,} bytes: a bomb?"
            raise Permanent(Code.TOO_LARGE, what, do=RATIO)
        if size > HELD:
            sheets = _sheets(archive)
            held = sum(info.file_size for info in infos if info.filename not in sheets)
            if held > (most := int(profile.max_parts)):
                what = f"beside its sheets the spreadsheet has {held:,} bytes of texts, styles and images"
                what += f", which may have to be held in memory; max_parts allows {most:,}"
                do = "raise max_parts if the file is honest, then replay"
                raise Permanent(Code.TOO_LARGE, what, do=do)
    stream.seek(0)
    return size


def _sheets(archive: zipfile.ZipFile) -> set[str]:
    """The parts that are worksheets and nothing else, by their content types (ECMA-376 part 2, 10.1.2)."""
    kinds: dict[str, set[str]] = {}
    if archive.getinfo(TYPES).file_size > HELD:
        what = f"{TYPES} is larger than {HELD:,} bytes"
        raise Permanent(
            Code.TOO_LARGE, what, do="save the table as CSV: no honest spreadsheet has this"
        )
    with archive.open(TYPES) as types:
        for element in ElementTree.parse(types).getroot():
            name = element.get("PartName", "").removeprefix("/")
            kinds.setdefault(name, set()).add(element.get("ContentType", ""))
    return {name for name, found in kinds.items() if found == {WORKSHEET}}


def _sheet(book: Any, profile: Profile) -> Any:
    names, wanted = book.sheetnames, profile.sheet
    if isinstance(wanted, int):
        wanted = names[wanted - 1] if 1 <= wanted <= len(names) else ""
    if wanted not in names:
        found = ", ".join(map(repr, names))
        raise Permanent(
            Code.UNREADABLE,
            f"no sheet {profile.sheet!r}; found: {found}",
            do="set sheet in the profile to one of those found, then replay",
        )
    sheet = book[wanted]
    sheet.reset_dimensions()  # what the file says of its size may be wrong
    return sheet


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        whole = cell.is_integer() and abs(cell) < 2**53
        return Number(int(cell)) if whole else Number(repr(cell))
    if isinstance(cell, datetime | date | time):
        return cell.isoformat()
    if isinstance(cell, timedelta):
        return str(cell.total_seconds())
    return Number(cell) if isinstance(cell, int) else str(cell)


def _preamble(rows: Iterator[Row], profile: Profile) -> tuple[str, Iterator[Row]]:
    before: list[str] = []
    first = compiled(profile.skip_until) if profile.skip_until else None
    for number, cells in rows:
        line = "\t".join(cells)
        skipped = number > profile.skip
        comment = profile.comment is not None and line.startswith(profile.comment)
        if skipped and (found_in(first, line, number) if first else not comment):
            return "\n".join(before), chain([(number, cells)], rows)
        before.append(line)
    if first is not None:
        what = f"no row matches skip_until = {profile.skip_until!r}"
        raise Permanent(Code.UNREADABLE, what, do=titles.UNMATCHED)
    return "\n".join(before), iter(())


def _chunk(part: list[Row], layout: Layout, width: int, profile: Profile) -> Chunk:
    rows: list[Row] = []
    rejects: list[Reject] = []
    for number, cells in part:
        if any(cells[width:]):
            reason = f"{len(cells)} cells where the header has {width}"
            raw = "\t".join(cells)[:RAW_LIMIT]
            rejects.append(Reject(number, None, None, Code.COLUMN_COUNT, reason, raw))
        elif not _dropped("\t".join(cells), number, profile):
            rows.append((number, cells))
    columns = {
        i: pa.array([cells[i] if i < len(cells) else "" for _, cells in rows], pa.string())
        for i in layout.needed
    }
    lines = np.array([number for number, _ in rows], np.int64)
    typed = typed_cells(layout, lambda i: (cells[i] if i < len(cells) else "" for _, cells in rows))

    def spot(row: int) -> Spot:
        return Spot(None, "\t".join(rows[row][1])[:RAW_LIMIT])

    return Chunk(layout, columns, lines, spot, rejects, typed=typed)


def _dropped(line: str, number: int, profile: Profile) -> bool:
    if profile.comment is not None and line.startswith(profile.comment):
        return True
    if profile.keep is not None and not found_in(compiled(profile.keep), line, number):
        return True
    return profile.drop is not None and found_in(compiled(profile.drop), line, number)
