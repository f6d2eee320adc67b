"""Reads spreadsheets as tables. The line number of a row is the row's number in the sheet.

A date is a time without a zone; its text is in ISO 8601. The text of a number is the shortest text that
yields the same double. The value of a formula is the result that the file stores for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from itertools import chain, islice
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from sensorflow.core.binding.binding import Binding
from sensorflow.core.binding.resolve import Resolve
from sensorflow.core.formats import titles, workbook
from sensorflow.core.formats.chunk import RAW_LIMIT, Chunk, Number, Reject, Spot, typed_cells
from sensorflow.core.formats.sheetcells import Cell, Row
from sensorflow.core.patterns import compiled, found_in
from sensorflow.core.profile import Profile
from sensorflow.errors import Code, Permanent

ROWS = 8192
CELLS, CELLS_PER_BYTE = 10_000_000, 2
"""The default limit on the number of cells, including empty cells, is `CELLS` plus `CELLS_PER_BYTE` for
each byte of the decompressed spreadsheet."""


def chunks(stream: BinaryIO, profile: Profile, resolve: Resolve) -> Iterator[Chunk]:
    rows = sheet_rows(stream, profile)
    before, rows = _preamble(rows, profile)
    head, first = _head(rows, titles.header_rows(profile))
    if not head and first is None and not before:
        return
    width = max([len(cells) for _, cells in [*head, *([first] if first else [])]], default=0)
    fields = titles.fields([texts(cells) for _, cells in head], profile, width)
    while fields and not fields[-1].name:
        fields.pop()
    binding = resolve(fields, before)
    all_rows = chain([first] if first else [], rows)
    limit = max(1, min(ROWS, (1 << 20) // max(len(fields), 1)))
    while part := list(islice(all_rows, limit)):
        yield _chunk(part, binding, len(fields), profile)


def _head(rows: Iterator[Row], count: int) -> tuple[list[Row], Row | None]:
    """Return the header rows and the first data row. Some header rows may be empty."""
    head: list[Row] = []
    row = next(rows, None)
    while row is not None and len(head) < count:
        if head and row[0] > head[-1][0] + 1:
            head.append((head[-1][0] + 1, []))
            continue
        head.append(row)
        row = next(rows, None)
    return head, row


def sheet_rows(stream: BinaryIO, profile: Profile) -> Iterator[Row]:
    """Yield the rows that are not empty. Empty cells at the end of a row are removed."""
    size = workbook.size_of(stream, profile)
    limit = profile.max_cells or CELLS + CELLS_PER_BYTE * size
    walked = before = 0
    for number, cells in workbook.rows(stream, profile):
        walked += len(cells) + number - before - 1
        before = number
        if walked > limit:
            what = f"more than {limit:,} cells, including empty ones"
            raise Permanent(Code.TOO_MANY_CELLS, what, line=number)
        if isinstance(cells[-1], str) and not (cells := _filled(cells)):
            continue
        if len(cells) > profile.max_columns:
            what = f"{len(cells):,} columns, the limit is {profile.max_columns:,}"
            raise Permanent(Code.TOO_MANY_COLUMNS, what, line=number)
        if _longest(cells) > profile.max_line:
            what = f"a cell is longer than {profile.max_line:,} bytes"
            raise Permanent(Code.LINE_TOO_LONG, what, line=number)
        yield number, cells


def _filled(cells: list[Cell]) -> list[Cell]:
    """Return the cells without the empty and blank cells at the end."""
    while cells and isinstance(last := cells[-1], str) and not last.strip():
        cells.pop()
    return cells


def _longest(cells: Sequence[Cell]) -> int:
    return max([len(cell) for cell in cells if cell.__class__ is str], default=0)


def _text(cell: Cell) -> str:
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        is_integer = cell.is_integer() and abs(cell) < 2**53
        return Number(int(cell)) if is_integer else Number(repr(cell))
    if isinstance(cell, timedelta):
        return Number(repr(cell.total_seconds()))
    if isinstance(cell, datetime | time):
        return cell.isoformat()
    return f"{cell.isoformat()}T00:00:00"


def texts(cells: Sequence[Cell]) -> list[str]:
    """Return cells as texts, in the notation that column names and patterns in profiles use."""
    return list(map(_text, cells))


def _line(cells: Sequence[Cell]) -> str:
    return "\t".join(texts(cells))


def _preamble(rows: Iterator[Row], profile: Profile) -> tuple[str, Iterator[Row]]:
    before: list[str] = []
    first = compiled(profile.skip_until) if profile.skip_until else None
    for number, cells in rows:
        line = _line(cells)
        skipped = number > profile.skip
        comment = profile.comment is not None and line.startswith(profile.comment)
        if skipped and (found_in(first, line, number) if first else not comment):
            return "\n".join(before), chain([(number, cells)], rows)
        before.append(line)
    if first is not None:
        what = f"no row matches skip_until = {profile.skip_until!r}"
        raise Permanent(Code.UNREADABLE, what, do=titles.UNMATCHED)
    return "\n".join(before), iter(())


def _chunk(part: list[Row], binding: Binding, width: int, profile: Profile) -> Chunk:
    rejects: list[Reject] = []
    if max(map(len, (cells for _, cells in part))) > width or _chooses(profile):
        rows = list(_chosen(part, width, profile, rejects))
    else:
        rows = part
    even = (cells[:width] + [""] * (width - len(cells)) for _, cells in rows)
    across: list[tuple[Cell, ...]] = list(zip(*even, strict=True))
    columns = _columns(across, binding)
    typed = typed_cells(binding, lambda i: map(_text, across[i] if across else ()))
    lines = np.array([number for number, _ in rows], np.int64)

    def spot(row: int) -> Spot:
        return Spot(None, _line(rows[row][1])[:RAW_LIMIT])

    return Chunk(binding, columns, lines, spot, rejects, typed=typed)


def _chosen(part: list[Row], width: int, profile: Profile, rejects: list[Reject]) -> Iterator[Row]:
    """Yield the rows that the profile selects. If the profile rejects long rows, a row with cells after
    the last column is added to `rejects` instead."""
    for number, cells in part:
        extra_cells = cells[width:]
        if (
            extra_cells
            and profile.long_rows == "reject"
            and any(cell != "" for cell in extra_cells)
        ):
            reason = f"{len(cells)} cells where the header has {width}"
            raw = _line(cells)[:RAW_LIMIT]
            rejects.append(Reject(number, None, None, Code.COLUMN_COUNT, reason, raw))
        elif not (_chooses(profile) and _dropped(cells, number, profile)):
            yield number, cells


def _chooses(profile: Profile) -> bool:
    return any(text is not None for text in (profile.comment, profile.keep, profile.drop))


def _dropped(cells: Sequence[Cell], number: int, profile: Profile) -> bool:
    line = _line(cells)
    if profile.comment is not None and line.startswith(profile.comment):
        return True
    if profile.keep is not None and not found_in(compiled(profile.keep), line, number):
        return True
    return profile.drop is not None and found_in(compiled(profile.drop), line, number)


def _columns(across: list[tuple[Cell, ...]], binding: Binding) -> dict[int, pa.Array]:
    """Return column index -> cells, for the columns that the binding needs. A column that contains only
    numbers or only dates keeps its type. All other columns become texts."""
    measured = {measure.column for measure in binding.measures} - _used_columns(binding)
    single = len(binding.time) == 1 and binding.formats == ("iso8601",)
    dated = set(binding.time[0].columns) - _used_columns(binding) if single else set[int]()
    columns: dict[int, pa.Array] = {}
    for index in binding.needed:
        cells = across[index] if across else ()
        kinds = set(map(type, cells))
        if index in measured and kinds <= {float, str} and _is_typed(cells, kinds):
            found = pa.array([c if c != "" else None for c in cells], pa.float64())
        elif index in dated and kinds <= {datetime, date, str} and _is_typed(cells, kinds):
            found = pa.array([_instant(c) for c in cells], pa.timestamp("us"))
        else:
            found = pa.array(texts(cells), pa.string())
        columns[index] = found
    for joined in _joined(binding):
        _convert_dates(joined, across, columns)
    return columns


def _is_typed(cells: Sequence[Cell], kinds: set[type]) -> bool:
    return str not in kinds or all(cell == "" for cell in cells if isinstance(cell, str))


def _used_columns(binding: Binding) -> set[int]:
    """Return the indexes of the columns that the binding reads as texts, such as the column of the
    sensor."""
    texts = [text for m in binding.measures for text in (m.type, m.unit, m.sensor)]
    graded = {m.grade.column for m in binding.measures if m.grade}
    chosen = {column for column, _ in binding.where} | set(binding.rescued)
    return {c for text in texts for c in text.columns} | graded | chosen


def _instant(cell: Cell) -> datetime | None:
    if isinstance(cell, datetime):
        return cell
    return datetime.combine(cell, time()) if isinstance(cell, date) else None


def _joined(binding: Binding) -> Iterator[tuple[int, ...]]:
    """Yield the indexes of the columns that together form a time."""
    for parts in {binding.time, *(measure.time for measure in binding.measures)}:
        columns = tuple(c for part in parts for c in part.columns)
        if len(columns) > 1:
            yield columns


def _convert_dates(
    joined: tuple[int, ...], across: list[tuple[Cell, ...]], columns: dict[int, pa.Array]
) -> None:
    """Convert the cells of a date column to dates, and the cells of a time column to times of day, as
    the sheet displays them. A cell with a time of day may also contain a date; this date is ignored."""
    rows = zip(*(across[c] for c in joined), strict=True) if across else ()
    texts = [_times(cells) for cells in rows]
    for place, index in enumerate(joined):
        columns[index] = pa.array([cells[place] for cells in texts], pa.string())


def _times(cells: Sequence[Cell]) -> list[str]:
    found = texts(cells)
    first = next((i for i, cell in enumerate(cells) if isinstance(cell, date)), None)
    if first is None:
        return found
    later = [i for i in range(first + 1, len(cells)) if cells[i] != ""]
    clocks = [i for i in later if isinstance(cells[i], date | time | timedelta)]
    day = cells[first]
    assert isinstance(day, date)
    midnight = not isinstance(day, datetime) or day.time() == time()
    counted = any(isinstance(cells[i], float) or found[i][:1].isdigit() for i in later)
    if not clocks:
        if counted and midnight:
            found[first] = _day(day).isoformat()
        return found
    for i in clocks:
        clock = cells[i]
        if isinstance(clock, timedelta):  # 24:00 is 0:00 of the next day
            combined = datetime.combine(_day(day), time()) + clock
            day, clock = combined, combined.time()
        found[i] = _clock(clock)
    found[first] = _day(day).isoformat()
    return found


def _day(cell: date) -> date:
    return cell.date() if isinstance(cell, datetime) else cell


def _clock(cell: Cell) -> str:
    if isinstance(cell, datetime):
        return cell.time().isoformat()
    return cell.isoformat() if isinstance(cell, time) else "00:00:00"
