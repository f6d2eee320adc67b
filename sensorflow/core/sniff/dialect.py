"""Detects the table in a text. Finds the header, and the profile keys with which a reader splits the
text in the same way."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from sensorflow.core.sniff import fixed, header, numeric, times
from sensorflow.core.sniff import grid as grids
from sensorflow.core.sniff.grid import Grid, Row
from sensorflow.core.sniff.guess import Line
from sensorflow.core.sniff.head import PROBE, Text
from sensorflow.core.sniff.header import Header
from sensorflow.core.sniff.table import Column, Table, references
from sensorflow.core.sniff.units import unit_like
from sensorflow.errors import UsageError

NAMES = {
    "\t": "tabs",
    ";": "semicolons",
    "|": "bars",
    ",": "commas",
    "whitespace": "runs of spaces",
}
COMMENT = re.compile(r"(#+|%+|//|\*+|!+)\s?")
HEADERS = 6
"""Maximum number of rows above the data that may belong to the header."""
DIGIT = r'^\s*"?\d'


def table(text: Text) -> Table:
    """Return the table in a text. Raises UsageError if there is none."""
    grid = grids.found(text.text)
    if grid is None:
        raise UsageError(
            "no table found: no delimiter splits the lines into the same number of cells"
        )
    if grid.width > PROBE.max_columns:
        raise UsageError(f"{grid.width:,} columns, the limit is {PROBE.max_columns:,}")
    return tabled(fixed.aligned(grid) or grid, text)


def tabled(grid: Grid, text: Text) -> Table:
    """Return the table in a grid. Its settings are the profile keys with which a reader reads the same
    table."""
    above = [r for r in grid.rows[: grid.first] if r.text.strip()]
    titles, prefix = _titles(grid, above)
    names, reason = _renamed(grid, titles, prefix)
    if names:
        titles, prefix = [], ""
    mark = _mark(grid, titles, prefix)
    data = [r for r in grid.rows[grid.first :] if r.text.strip()]
    data = [r for r in data if not mark or not r.text.startswith(mark)]
    data, keeping = _data_rows(grid, titles, data, text.complete)
    head = _header(grid, titles, prefix, names, reason, data)
    before = [r for r in above if not titles or r.line < titles[0].line]
    width = max(grid.width, len(head.names))
    short = sum(len(r.cells) < _least(head.names) for r in data)
    columns = _columns(head, [r for r in data if not any(r.cells[width:])])
    settings = [*text.settings, *_opening(grid, before, titles, prefix, mark), *keeping]
    settings += head.settings
    todo = list(head.todo)
    if short and grid.delimiter == "whitespace" and not grid.widths:
        todo.append(
            f"{_count(short, 'row')} shorter than the header: which columns have no cell in these rows?"
        )
    elif short and not grid.widths:
        reason = f"{_count(short, 'row')} shorter than the header"
        settings.append(Line("short_rows", "missing", reason))
    if numeric.decimal_comma(columns):
        settings.append(Line("decimal", ",", "as in " + _example(columns)))
    preamble = "\n".join(r.text for r in before)
    return Table(
        tuple(columns),
        tuple(settings),
        preamble,
        sensors=head.sensors,
        complete=text.complete,
        todo=tuple(todo),
    )


def _titles(grid: Grid, above: list[Row]) -> tuple[list[Row], str]:
    """Return (header rows directly above the data, comment prefix of these rows). The prefix is "" if there
    is none.

    A header row has about as many cells as a data row. At least 40 % of its cells are not empty, and at
    most a third of these are numbers. A row such as a line of dashes may separate the header from the data.
    """
    title_rows: list[Row] = []
    prefix = ""
    for row in reversed(above[-HEADERS:]):
        if title_rows and _ends(title_rows, row, grid.width):
            break
        match = COMMENT.match(row.text)
        if match and match.end() == len(row.text.rstrip()) and not title_rows:
            continue  # an empty comment between header and data
        if _is_title(_bare(row, match[0] if match else "", grid), grid.width):
            prefix = prefix or (match[0] if match else "")
        elif title_rows or row is not above[-1] or not _is_rule(row, grid.width):
            break
        title_rows.insert(0, row)
    if not title_rows and above and _is_short(above[-1].cells, grid.width):
        title_rows = [above[-1]]
    while title_rows and not any(any(c.isalpha() for c in cell) for cell in title_rows[0].cells):
        title_rows.pop(0)
    if prefix and not all(COMMENT.match(r.text) for r in title_rows):
        return [r for r in title_rows if not COMMENT.match(r.text)], ""
    return title_rows, prefix


def _ends(title_rows: Sequence[Row], row: Row, width: int) -> bool:
    """Return whether the header begins after `row`. title_rows: the header rows that were found below
    `row`. The header begins there if `title_rows` has titles for almost all columns, and `row` is
    followed by an empty line or looks like a label with its value."""
    titles = title_rows[0].cells
    named = [c for c in titles if c]
    full = len(named) >= width - 1 and len({*named}) == len(named)
    full = full and sum(unit_like(c) and header.is_bare(c) for c in named) < 0.5 * len(named)
    if full and row.line + row.text.count("\n") + 1 < title_rows[0].line:
        return True
    some = [c for c in row.cells if c]
    label = bool(some) and len(some) <= 2 and some[0].rstrip('"').endswith((":", "="))
    sparse = len(some) < 0.75 * width and row.cells[0] != ""
    assignments = sum(re.search(r"[a-z]\S*\s-?\d+[.,]\d", c, re.I) is not None for c in some)
    return full and width > 2 and (label or sparse or assignments >= 0.5 * len(some) > 0)


def _is_rule(row: Row, width: int) -> bool:
    """Return whether a row may separate the header from the data. Such a row consists of dashes or
    similar characters, or has an empty cell before its other cells, as a row of column numbers does."""
    ruled = re.fullmatch(r"[-=+|,;\s\t]+", row.text) is not None
    return ruled or (len(row.cells) == width and not row.cells[0])


def _is_title(row: list[str], width: int) -> bool:
    while len(row) > width and not row[-1]:
        row = row[:-1]
    if not max(2, width - 1) <= len(row) <= width + 1:
        return False
    some = [cell for cell in row if cell]
    numbers = sum(numeric.is_number(cell) for cell in some)
    timed = any(grids.kind(cell) == "t" and times.read([cell]) is not None for cell in some)
    if not any(row[1:]):  # a caption
        return False
    return len(some) >= 0.4 * width and numbers <= 0.34 * len(some) and not timed


def _is_short(row: list[str], width: int) -> bool:
    """Return whether a row contains titles, but none for the last columns."""
    while row and not row[-1]:
        row = row[:-1]
    some = [c for c in row if c]
    words = not any(numeric.is_number(c) or grids.kind(c) != "x" for c in some)
    alone = len(set(some)) == len(some) >= len(row) - 1
    return words and alone and 4 < 0.6 * width <= len(row) < width - 1


def _bare(row: Row, prefix: str, grid: Grid) -> list[str]:
    return grids.cells(row.text.removeprefix(prefix), grid.delimiter) if prefix else row.cells


def _renamed(grid: Grid, titles: list[Row], prefix: str) -> tuple[list[str], str]:
    """Return (column names, reason) if there is one header row, and its number of cells differs from
    that of the data rows. Otherwise return ([], "")."""
    row = _bare(titles[0], prefix, grid) if len(titles) == 1 else []
    if not row or len(row) == grid.width:
        return [], ""
    if grid.delimiter == "whitespace":
        names = re.split(r"\s{2,}", titles[0].text.removeprefix(prefix).strip())
        if len(names) == grid.width:
            return names, "the titles contain spaces"
    if _is_short(row, grid.width):
        rest = [
            t or f"column{i + 1}" for i, t in enumerate([*row, *[""] * (grid.width - len(row))])
        ]
        return rest, "the header has no titles for the last columns"
    data = [r.cells for r, good in zip(grid.rows, grid.data, strict=True) if good][:200]
    if len(row) != grid.width - 1 or not any(_at(cells, grid.width - 1) for cells in data):
        return [], ""
    first, second = [_at(c, 0) for c in data], [_at(c, 1) for c in data]
    if times.read(first) is not None and times.clock(second):
        return ["date", "time", *row[1:]], "the header has one title for date and time"
    return ["row", *row], "the header has no title for the first column"


def _header(
    grid: Grid, titles: list[Row], prefix: str, names: list[str], reason: str, data: list[Row]
) -> Header:
    if names:
        return header.named(names, reason)
    if titles:
        return Header.of([_bare(r, prefix, grid) for r in titles], grid.width)
    return header.nameless([[_at(r.cells, i) for r in data] for i in range(grid.width)])


def _mark(grid: Grid, titles: list[Row], prefix: str) -> str:
    """Return the prefix of comment lines, or "" if there are no comment lines.

    If the header rows have a comment prefix, only lines after the header count as comment lines.
    """
    header_end = titles[-1].line if titles and prefix else -1
    rows = [r for r in grid.rows if r.line > header_end and r.text.strip()]
    marks = Counter(m[1][0] for r in rows if (m := COMMENT.match(r.text)))
    if not marks:
        return ""
    mark = max(marks, key=lambda m: marks[m])
    return "//" if mark == "/" else mark


def _data_rows(
    grid: Grid, titles: list[Row], data: list[Row], complete: bool
) -> tuple[list[Row], list[Line]]:
    """Return (data rows, settings that exclude other lines). The excluded lines are certainly not rows:
    a footer, repeated headers, or lines that contain only delimiters."""
    good = {r.line for r, is_data in zip(grid.rows, grid.data, strict=True) if is_data}
    last = max(good, default=0)
    again = {r.text for r in titles}
    blank = {r.line for r in data if not any(r.cells)}
    excluded = {r.line for r in data if r.text in again or (complete and r.line > last)} | blank
    data_rows = [r for r in data if r.line not in excluded]
    gone = [r for r in data if r.line in excluded]
    if not gone or len(gone) > len(data_rows):
        return data, []
    begin = [re.match(DIGIT, r.text) is not None for r in gone]
    if all(re.match(DIGIT, r.text) for r in data_rows) and not any(begin):
        reason = f"excludes {_count(len(gone), 'line')} at the end or between rows"
        return data_rows, [Line("keep", DIGIT, reason)]
    if len(blank) == len(gone):
        pattern = rf"^[\s{re.escape(grid.delimiter)}]+$"
        return data_rows, [Line("drop", pattern, f"{_count(len(gone), 'row')} without values")]
    return data, []


def _opening(
    grid: Grid, before: list[Row], titles: list[Row], prefix: str, mark: str
) -> list[Line]:
    settings = []
    if grid.widths:
        settings.append(
            Line("widths", list(grid.widths), "fixed widths, because some cells are empty")
        )
    elif grid.delimiter != ",":
        settings.append(Line("delimiter", grid.delimiter, NAMES[grid.delimiter]))
    only = bool(mark) and all(r.text.startswith(mark) for r in before)
    after = bool(mark) and any(r.text.startswith(mark) for r in grid.rows if r not in before)
    if mark and (only or after):
        settings.append(Line("comment", mark, f"lines that begin with {mark} are ignored"))
    if before and (prefix or not only):
        settings.append(_skipping(before, titles, grid))
    if prefix:
        settings.append(Line("header_prefix", prefix, "the header begins with this prefix"))
    return settings


def _skipping(before: list[Row], titles: list[Row], grid: Grid) -> Line:
    """Return the setting that skips the lines before the header. If no earlier line begins like the header,
    this is `skip_until` with the beginning of the header. Otherwise it is `skip` with the number of
    lines."""
    if not titles:
        count = grid.rows[grid.first].line
        return Line("skip", count, f"{_count(count, 'line')} before the data")
    count, text = titles[0].line, titles[0].text
    sign = " " if grid.delimiter == "whitespace" else grid.delimiter
    words = text.split(sign)
    reason = f"{_count(count, 'line')} before the header"
    for some in (1, 2, 3):
        start = sign.join(words[:some])
        pattern = "^" + re.sub(r"([\\.^$*+?{}\[\]|()])", r"\\\1", start)
        clear = len(start) > 2 and start.isprintable() and '"' not in start[1:-1]
        if clear and not any(re.search(pattern, r.text, re.MULTILINE) for r in before):
            return Line("skip_until", pattern, reason)
    return Line("skip", count, reason)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _least(names: Sequence[str]) -> int:
    return max((i + 1 for i, name in enumerate(names) if name), default=0)


def _example(columns: Iterable[Column]) -> str:
    cells = (t for c in columns for t in c.counts)
    return next(t for t in cells if re.fullmatch(r"[+-]?[\d.]*,\d+", t))


def _columns(head: Header, data: list[Row]) -> list[Column]:
    refs = references(head.names)
    return [
        Column(
            i,
            refs[i],
            head.names[i],
            [_at(r.cells, i) for r in data],
            head.titles[i],
            head.units[i],
            has_known_unit=bool(head.units[i]),
        )
        for i in range(len(refs))
    ]


def _at(row: list[str], index: int) -> str:
    return row[index] if index < len(row) else ""
