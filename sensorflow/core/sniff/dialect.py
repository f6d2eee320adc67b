"""A text table: its delimiter, where its rows begin, and which lines above are its header."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sensorflow.core.sniff import header, numeric, times
from sensorflow.core.sniff.guess import Line
from sensorflow.core.sniff.head import Text
from sensorflow.core.sniff.table import Column, Table, references
from sensorflow.errors import Misuse

DELIMITERS = ("\t", ";", "|", ",", "whitespace")
NAMES = {
    "\t": "tabs",
    ";": "semicolons",
    "|": "bars",
    ",": "commas",
    "whitespace": "runs of spaces",
}
TAIL = 300
"""Lines at the end of the sample by which the dialect is told: there the header is long over."""
COMMENT = re.compile(r"(#+|%+|//|\*+|!+)\s?")
HEADERS = 6


@dataclass(frozen=True)
class Row:
    """A record of the file, from the line `line` (0 is the first) on."""

    line: int
    text: str
    cells: list[str]


@dataclass(frozen=True)
class Grid:
    """Rows as the lines give them, where the data begin, and which are data. width: of most of them."""

    delimiter: str
    rows: list[Row]
    first: int
    width: int
    data: list[bool]


def table(text: Text) -> Table:
    """Misuse where the text holds no table."""
    grid = found(text.text)
    return tabled(grid, text)


def found(text: str) -> Grid:
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
    if best is None:
        raise Misuse("no table in it: no delimiter cuts its lines into the same number of cells")
    return best[1]


def rows_of(lines: Sequence[str], delimiter: str) -> list[Row]:
    """Records: a quote may span some lines, and one that is never closed costs its own line."""
    found: list[Row] = []
    at = 0
    while at < len(lines):
        end = at + 1
        if delimiter != "whitespace" and lines[at].count('"') % 2:
            far = range(at + 1, min(at + 20, len(lines)))
            end = next((i + 1 for i in far if lines[i].count('"') % 2), at + 1)
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
    """How regular, and how plain, the cells are that a delimiter makes."""
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
    """Where the rows of data begin, told by what their columns hold at the end of the sample."""
    filled = [r for r in rows if r.text.strip()]
    tail = [r.cells for r in filled[-TAIL:]]
    wide = Counter(len(c) for c in tail if len(c) > 1)
    if not wide:
        return None
    width = max(wide.items(), key=lambda item: item[1])[0]
    kinds = _kinds([c for c in tail if len(c) == width], width)
    if not set(kinds) & {"n", "t"}:
        return None
    data = [_is_data(r.cells, kinds) for r in rows]
    for index in range(len(rows)):
        near = [data[i] for i in range(index, min(index + 12, len(rows))) if rows[i].text.strip()]
        if data[index] and sum(near[:6]) >= 0.6 * len(near[:6]):
            return Grid(delimiter, rows, index, width, data)
    return None


def kind(cell: str) -> str:
    """What a cell looks like: n(umber), t(ime), e(mpty), or x."""
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
        out.append(max(counts.items(), key=lambda item: item[1])[0] if counts else "e")
    return out


def _is_data(row: list[str], kinds: list[str]) -> bool:
    """Whether its times are times, and most of its numbers numbers."""
    if len(row) < max(2, (len(kinds) + 1) // 2) or any(row[len(kinds) :]):
        return False
    told = [(kind(cell), k) for cell, k in zip(row, kinds, strict=False) if k in "nt"]
    some = [(mine, theirs) for mine, theirs in told if mine != "e"]
    if "t" in kinds and not any(theirs == "t" for _, theirs in some):
        return False
    if not some or any(theirs == "t" and mine != "t" for mine, theirs in some):
        return False
    return sum(mine == theirs for mine, theirs in some) >= 0.6 * len(some)


def tabled(grid: Grid, text: Text) -> Table:
    """The table of a grid, with the settings by which a profile finds the same."""
    marks = _comments(grid)
    above = [r for r in grid.rows[: grid.first] if r.text.strip()]
    titles, prefix = _titles(grid, above)
    names, why = _renamed(grid, [_bare(r, prefix, grid.delimiter) for r in titles], titles)
    if names:
        titles, prefix = [], ""
    before = above[: len(above) - len(titles)]
    data = [r for r in grid.rows[grid.first :] if r.text.strip()]
    if marks and not prefix:
        data = [r for r in data if not r.text.startswith(marks)]
    data, keeping = _kept(grid, titles, data, text.complete)
    head = header.Header.of([_bare(r, prefix, grid.delimiter) for r in titles], grid.width)
    settings = [*text.settings, *_opening(grid, before, titles, prefix, marks)]
    width = max(grid.width, len(head.names)) if titles else grid.width
    if names:
        head = header.named(names, why)
    elif not titles:
        head = header.nameless(width, [[_at(r.cells, i) for r in data] for i in range(width)])
    settings += keeping
    settings += head.settings
    short = sum(len(r.cells) < _least(head.names) for r in data)
    if short:
        settings.append(
            Line("short_rows", "missing", f"{_count(short, 'row')} shorter than the header")
        )
    data = [r for r in data if not any(r.cells[width:])]
    columns = _columns(head, data, width)
    if numeric.decimal_comma(columns):
        settings.append(Line("decimal", ",", "as in " + _example(columns)))
    preamble = "\n".join(r.text for r in before)
    return Table(
        tuple(columns), tuple(settings), preamble, head.sensors, text.complete, todo=head.todo
    )  # fmt: skip


def _kept(
    grid: Grid, titles: list[Row], data: list[Row], complete: bool
) -> tuple[list[Row], list[Line]]:
    """Without lines that are no rows for sure: those after the last one, headers that come again, rows
    of nothing but delimiters; and how a profile tells them."""
    good = {id(r) for r, is_data in zip(grid.rows, grid.data, strict=True) if is_data}
    last = max((i for i, r in enumerate(data) if id(r) in good), default=len(data))
    again = {r.text for r in titles}
    bare = f"[{re.escape(grid.delimiter[0])}\\s]*"
    blank = [r for r in data if grid.delimiter != "whitespace" and re.fullmatch(bare, r.text)]
    odd = [r for r in data if r.text in again or r in blank]
    odd += [r for i, r in enumerate(data) if i > last and complete and r not in odd]
    kept = [r for r in data if r not in odd]
    if not odd or len(odd) > len(kept):
        return data, []
    begins = r'^\s*"?\d'
    if all(re.match(begins, r.text) for r in kept) and not any(
        re.match(begins, r.text) for r in odd
    ):
        return kept, [
            Line("keep", begins, f"{_count(len(odd), 'line')} that are no rows begin otherwise")
        ]
    if len(blank) == len(odd):
        return kept, [
            Line("drop", f"^{re.escape(grid.delimiter)}+$", f"{_count(len(odd), 'row')} of nothing")
        ]
    return data, []


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _renamed(grid: Grid, rows: list[list[str]], titles: list[Row]) -> tuple[list[str], str]:
    """Names for the columns where the one row of the header has not as many cells as the data."""
    if len(rows) != 1 or len(rows[0]) == grid.width:
        return [], ""
    row, data = (
        rows[0],
        [r.cells for r, good in zip(grid.rows, grid.data, strict=True) if good][:200],
    )
    if grid.delimiter == "whitespace":
        apart = re.split(r"\s{2,}", titles[0].text.strip().lstrip("#%").strip())
        if len(apart) == grid.width:
            return apart, "the titles hold spaces"
    if len(row) != grid.width - 1 or not any(_at(cells, grid.width - 1) for cells in data):
        return [], ""
    first, second = [_at(c, 0) for c in data], [_at(c, 1) for c in data]
    if times.read(first) is not None and times.clock(second):
        return ["date", "time", *row[1:]], "the header has one title for date and time"
    return ["row", *row], "the header has no title for the first column"


def _least(names: Sequence[str]) -> int:
    named = [i for i, name in enumerate(names) if name]
    return named[-1] + 1 if named else 0


def _example(columns: Iterable[Column]) -> str:
    cells = (t for c in columns for t in c.counts)
    return next(t for t in cells if re.fullmatch(r"[+-]?[\d.]*,\d+", t))


def _columns(head: header.Header, data: list[Row], width: int) -> list[Column]:
    refs = references(head.names)
    return [
        Column(
            i, refs[i], head.names[i], [_at(r.cells, i) for r in data], head.titles[i],
            head.units[i], told=bool(head.units[i]),
        )
        for i in range(min(width, len(head.names)))
    ]  # fmt: skip


def _at(row: list[str], index: int) -> str:
    return row[index] if index < len(row) else ""


def _comments(grid: Grid) -> str:
    """What every line before the header begins with, or lines among the data; "" for nothing."""
    before = [r.text for r in grid.rows[: grid.first] if r.text.strip()]
    among = [r.text for r in grid.rows[grid.first :] if COMMENT.match(r.text)]
    marks = Counter(m[1][0] for t in [*before, *among] if (m := COMMENT.match(t)))
    if not marks:
        return ""
    mark = max(marks.items(), key=lambda item: item[1])[0]
    return "//" if mark == "/" else mark


def _bare(row: Row, prefix: str, delimiter: str) -> list[str]:
    return cells(row.text.removeprefix(prefix), delimiter) if prefix else row.cells


def _titles(grid: Grid, above: list[Row]) -> tuple[list[Row], str]:
    """The rows of the header, right above the data, and what they begin with.

    A row of about as many cells as the data, most of them filled, and few of them numbers; between
    such rows and the data may stand one that is neither, as of dashes.
    """
    taken: list[Row] = []
    prefix = ""
    for row in reversed(above[-HEADERS:]):
        match = COMMENT.match(row.text)
        bare = _bare(row, match[0] if match else "", grid.delimiter)
        if _is_title(bare, grid.width):
            if match and not prefix:
                prefix = match[0]
            taken.insert(0, row)
        elif not taken and row is above[-1] and _is_rule(row, grid.width):
            taken.insert(0, row)
        else:
            break
    while taken and not any(any(c.isalpha() for c in cell) for cell in taken[0].cells):
        taken.pop(0)
    if prefix and not all(COMMENT.match(r.text) for r in taken):
        taken = [r for r in taken if not COMMENT.match(r.text)]
        prefix = ""
    return taken, prefix


def _is_rule(row: Row, width: int) -> bool:
    """Whether it may stand between header and data: dashes, or numbers of the columns."""
    if re.fullmatch(r"[-=+|,;\s\t]+", row.text):
        return True
    return len(row.cells) == width and not row.cells[0]


def _is_title(row: list[str], width: int) -> bool:
    while len(row) > width and not row[-1]:
        row = row[:-1]
    if not max(2, width - 1) <= len(row) <= width + 1:
        return False
    some = [cell for cell in row if cell]
    numbers = sum(numeric.is_number(cell) for cell in some)
    times_ = sum(kind(cell) == "t" and times.read([cell]) is not None for cell in some)
    return len(some) >= 0.4 * width and numbers <= 0.34 * len(some) and not times_


def _opening(
    grid: Grid, before: list[Row], titles: list[Row], prefix: str, mark: str
) -> list[Line]:
    settings = []
    if grid.delimiter != ",":
        settings.append(Line("delimiter", grid.delimiter, NAMES[grid.delimiter]))
    only = all(r.text.startswith(mark) for r in before) if mark else False
    if (
        mark
        and not prefix
        and (only or any(r.text.startswith(mark) for r in grid.rows[grid.first :]))
    ):
        settings.append(Line("comment", mark, f"lines that begin with {mark} are left out"))
    if before and not (only and not prefix):
        settings.append(_skipping(before, titles, grid))
    if prefix:
        settings.append(Line("header_prefix", prefix, "the header begins so"))
    return settings


def _skipping(before: list[Row], titles: list[Row], grid: Grid) -> Line:
    """By what the header says, where that stands nowhere above it: the lines may be more next time."""
    count = titles[0].line if titles else grid.rows[grid.first].line
    if not titles:
        return Line("skip", count, f"{_count(count, 'line')} before the data")
    text = titles[0].text
    sign = {"whitespace": " "}.get(grid.delimiter, grid.delimiter)
    words = text.split(sign)
    for some in (1, 2, 3):
        start = sign.join(words[:some])
        pattern = "^" + re.sub(r"([\\.^$*+?{}\[\]|()])", r"\\\1", start)
        clear = len(start) > 2 and start.isprintable() and '"' not in start[1:-1]
        if clear and not any(re.search(pattern, r.text, re.MULTILINE) for r in before):
            return Line("skip_until", pattern, f"{_count(count, 'line')} before the header")
    return Line("skip", count, f"{_count(count, 'line')} before the header")
