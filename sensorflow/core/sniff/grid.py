"""Splits a text into a grid of cells. Detects the delimiter and the rows that are data."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sensorflow.core.sniff import numeric

DELIMITERS = ("\t", ";", "|", ",", "whitespace")
TAIL = 300
"""The dialect is detected in this number of lines at the end of the sample, far from the header."""
SHORT = 20
"""In a file with at most this number of lines, half of the lines may be the header."""


@dataclass(frozen=True)
class Row:
    """A row of cells. line: the number of the line in which the row begins, from 0."""

    line: int
    text: str
    cells: list[str]


@dataclass(frozen=True)
class Grid:
    """The cells of a text table. rows: all rows of the text. first: the index of the first data row. width:
    the most frequent number of cells in a row. data: for each row, whether it is data.

    widths: the column widths in characters; () unless the table has fixed widths.
    """

    delimiter: str
    rows: list[Row]
    first: int
    width: int
    data: list[bool]
    widths: tuple[int, ...] = ()


def found(text: str) -> Grid | None:
    """Return the grid for the delimiter that gives the most regular rows and the plainest cells. Returns
    None if no delimiter gives a table."""
    lines = text.split("\n")
    best: tuple[float, Grid] | None = None
    for delimiter in DELIMITERS:
        tail = [r for r in rows_of(lines[-TAIL:], delimiter) if r.text.strip()]
        score = _score([r.cells for r in tail], delimiter)
        if score <= (best[0] + 1e-9 if best else 0.0):
            continue
        grid = bounds(rows_of(lines, delimiter), delimiter)
        if grid is not None:
            best = (score, grid)
    return best[1] if best else None


def rows_of(lines: Sequence[str], delimiter: str) -> list[Row]:
    """Split lines into rows. A quoted cell may extend over up to 20 lines. An unclosed quote affects
    only the line in which it opens."""
    found: list[Row] = []
    at = 0
    while at < len(lines):
        end = at + 1
        if delimiter != "whitespace" and lines[at].count('"') % 2:
            following = range(at + 1, min(at + 20, len(lines)))
            end = next((i + 1 for i in following if lines[i].count('"') % 2), at + 1)
        text = "\n".join(lines[at:end])
        found.append(Row(at, text, cells(text, delimiter)))
        at = end
    return found


def cells(text: str, delimiter: str) -> list[str]:
    if delimiter == "whitespace":
        return text.split()
    try:
        return [c.strip() for c in next(csv.reader([text], delimiter=delimiter), [])]
    except csv.Error:
        return [c.strip() for c in text.split(delimiter)]


def _score(rows: list[list[str]], delimiter: str) -> float:
    """Return a score for the rows that a delimiter gives. The score is higher if more rows have the same
    number of cells, and if more cells are plain. Numbers and empty cells are the plainest; a cell that
    contains another delimiter is the least plain."""
    counts = Counter(len(row) for row in rows)
    wide = {n: c for n, c in counts.items() if n > 1}
    if not wide:
        return 0.0
    width, often = max(wide.items(), key=lambda item: item[1])
    every = [cell for row in rows if len(row) == width for cell in row]
    plain = sum(_plainness(cell, delimiter) for cell in every) / len(every)
    return often / len(rows) * plain


def _plainness(cell: str, delimiter: str) -> float:
    if not cell or numeric.is_number(cell) or numeric.is_nothing(cell):
        return 1.0
    if any(d in cell for d in DELIMITERS[:4] if d != delimiter):
        return 0.2
    return 0.95 if any(c.isdigit() for c in cell) else 0.9


def bounds(rows: list[Row], delimiter: str) -> Grid | None:
    """Return the grid of these rows, or None if they are not a table. A row is data if its cells are of
    the same kinds as the cells at the end of the sample."""
    filled = [r for r in rows if r.text.strip()]
    tail = [r.cells for r in filled[-TAIL if len(filled) > SHORT else len(filled) // 2 :]]
    wide = Counter(len(c) for c in tail if len(c) > 1)
    if not wide:
        return None
    width = max(wide.items(), key=lambda item: item[1])[0]
    kinds = _kinds([c for c in tail if len(c) == width], width)
    if not set(kinds) & {"n", "t"}:
        return None
    data = [_is_data(r.cells, kinds) for r in rows]
    for index in range(len(rows)):
        window = [data[i] for i in range(index, min(index + 12, len(rows))) if rows[i].text.strip()]
        if data[index] and sum(window[:6]) >= 0.6 * len(window[:6]):
            return Grid(delimiter, rows, _earlier(rows, index, kinds), width, data)
    return None


def _earlier(rows: Sequence[Row], first: int, kinds: Sequence[str]) -> int:
    """Return the index of the first data row, which may be before `first`. Earlier rows with words in place
    of numbers are included, because a sensor may report ERROR until it is warm. These rows must have the
    same width, and times in the same columns."""
    timed = [i for i, k in enumerate(kinds) if k == "t"]
    while timed and first > 0:
        row = rows[first - 1].cells
        if len(row) != len(kinds) or not all(kind(row[i]) in "te" for i in timed):
            break
        if not any(kind(row[i]) == "t" for i in timed):
            break
        first -= 1
    return first


def kind(cell: str) -> str:
    """Return the kind of a cell: "n" for a number, "t" for a time, "e" if the cell is empty, otherwise
    "x"."""
    if not cell or numeric.is_nothing(cell):
        return "e"
    if numeric.is_number(cell) or re.fullmatch(r"[+-]?[\d.,]+\s?[^\d\s]{1,3}", cell):
        return "n"
    digits = sum(c.isdigit() for c in cell)
    if (
        digits >= 2
        and re.match(r"(\d|[A-Za-z]{3,9}\.?,? \d)", cell)
        and re.search(r"\d[-/:.T ]", cell)
    ):
        return "t" if len(cell) < 60 else "x"
    return "x"


def _kinds(rows: list[list[str]], width: int) -> list[str]:
    out = []
    for index in range(width):
        counts = Counter(kind(row[index]) for row in rows)
        counts.pop("e", None)
        out.append(max(counts, key=lambda k: (counts[k], k != "x")) if counts else "e")
    return out


def _is_data(row: list[str], kinds: list[str]) -> bool:
    """Return whether the cells of a row are of the expected kinds. This is required for all times and
    for most numbers. kinds: the kind of each column."""
    if len(row) < max(2, (len(kinds) + 1) // 2) or any(row[len(kinds) :]):
        return False
    comparable = [(kind(cell), k) for cell, k in zip(row, kinds, strict=False) if k in "nt"]
    some = [(mine, theirs) for mine, theirs in comparable if mine != "e"]
    if "t" in kinds and not any(theirs == "t" for _, theirs in some):
        return False
    if not some or any(theirs == "t" and mine != "t" for mine, theirs in some):
        return False
    return sum(mine == theirs for mine, theirs in some) >= 0.6 * len(some)
