"""Detects tables with fixed column widths. If their rows were split at runs of spaces, empty cells would
be lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from sensorflow.core.sniff import grid as grids
from sensorflow.core.sniff.grid import Grid, Row

MIN_ALIGNED_SHARE = 0.9
"""Minimum share of the cells of a column that must be of the same kind."""


def aligned(grid: Grid) -> Grid | None:
    """Return the grid split at fixed character positions, if its rows have different numbers of cells
    and are aligned in columns. Otherwise return None."""
    filled = [r for r in grid.rows if r.text.strip()]
    data = [r for r in filled if r.line >= grid.rows[grid.first].line]
    lines = [r.text.rstrip() for r in data]
    if grid.delimiter != "whitespace" or len({len(r.cells) for r in data}) < 2 or len(data) < 4:
        return None
    if any("\t" in line or "\n" in line for line in lines):
        return None
    above = [r.text.rstrip() for r in filled if r.line < data[0].line][-1:]
    for mask in (above + lines, lines):
        widths = _widths(_fields(mask), lines)
        if _fits(widths, data) and all(_is_one_column(title, widths) for title in above):
            rows = [replace(r, cells=cut(r.text, widths)) for r in grid.rows]
            bounds = grids.bounds(rows, grid.delimiter)
            return bounds and replace(bounds, widths=tuple(widths))
    return None


def _fits(widths: Sequence[int], data: Sequence[Row]) -> bool:
    """Return whether the cells of each column are of one kind, and a row has an empty cell before other
    cells."""
    limit = max(len(r.cells) for r in data)
    if not limit - 1 <= len(widths) <= limit + 1:
        return False
    rows = [cut(r.text, widths) for r in data]
    gaps = any("" in row and any(row[row.index("") :]) for row in rows)
    return gaps and _is_aligned(rows, len(widths))


def _is_one_column(title: str, widths: Sequence[int]) -> bool:
    """Return whether no word of the titles is split at these column widths."""
    return " ".join(cut(title, widths)).split() == title.split()


def cut(text: str, widths: Sequence[int]) -> list[str]:
    found, at = [], 0
    for width in widths:
        found.append(text[at : at + width].strip())
        at += width
    return found


def _fields(lines: Sequence[str]) -> list[tuple[int, int]]:
    """Return (begin, end) of each range of character positions at which at least one line is not blank."""
    length = max(map(len, lines))
    used = [any(i < len(line) and line[i] != " " for line in lines) for i in range(length)]
    found: list[tuple[int, int]] = []
    for i, full in enumerate(used):
        if full and (i == 0 or not used[i - 1]):
            found.append((i, i + 1))
        elif full:
            found[-1] = (found[-1][0], i + 1)
    return found


def _widths(fields: Sequence[tuple[int, int]], data: Sequence[str]) -> list[int]:
    """Return the column widths. If the cells of a column are right-aligned, the column begins where the
    previous column ends. Otherwise it begins at the first character of its cells."""
    ends = []
    for (_, end), (start, stop) in pairwise(fields):
        cells = [line[start:stop] for line in data if line[start:stop].strip()]
        right = all(len(c.rstrip()) == stop - start for c in cells)
        ends.append(end if right else start)
    ends.append(max(fields[-1][1], *(len(line) for line in data)) if fields else 0)
    return [b - a for a, b in pairwise([0, *ends])]


def _is_aligned(rows: Sequence[Sequence[str]], width: int) -> bool:
    for index in range(width):
        kinds = Counter(grids.kind(row[index]) for row in rows)
        kinds.pop("e", None)
        if kinds and max(kinds.values()) < MIN_ALIGNED_SHARE * sum(kinds.values()):
            return False
    return True
