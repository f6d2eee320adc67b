"""Detects a time whose parts are in several columns, such as year, month, day and hour."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sensorflow.core.sniff import times
from sensorflow.core.sniff.table import Column

PARTS = {
    "%Y": (r"^(year|yr|yyyy|yy|jahr|a[nñ]o|ann[ée]e|ano)$", 1900, 2199),
    "%m": (r"^(month|mon|mo|mm|monat|mes|mois|m)$", 1, 12),
    "%d": (r"^(day|dy|dd|dom|tag|d[ií]a|jour|day.?of.?month|d)$", 1, 31),
    "%j": (r"^(doy|jday|yday|jd|julian.?day|julian|day.?of.?year|yearday)$", 1, 366),
    "%H": (r"^(hour|hr|hh|h|stunde|hora|heure|hours)$", 0, 24),
    "%H%M": (r"^(hhmm.*|hrmn|hour.?min(ute)?|time|[ecmp]st|utc|gmt|lst)$", 0, 2400),
    "%M": (r"^(minute|min|mn|mi|minutes|mm)$", 0, 60),
    "%S": (r"^(second|sec|ss|s|seconds)$", 0, 60),
}
"""Directive of strptime -> (pattern of its titles, minimum value, maximum value)."""

LAYOUTS = (
    ("%Y", "%m", "%d", "%H", "%M", "%S"),
    ("%Y", "%m", "%d", "%H", "%M"),
    ("%Y", "%m", "%d", "%H%M"),
    ("%Y", "%m", "%d", "%H"),
    ("%Y", "%j", "%H", "%M", "%S"),
    ("%Y", "%j", "%H", "%M"),
    ("%Y", "%j", "%H%M"),
    ("%Y", "%j", "%H"),
    ("%Y", "%m", "%d"),
    ("%Y", "%j"),
)


@dataclass(frozen=True)
class Parts:
    """A time whose parts are in several columns. columns: these columns. formats: the time formats; each
    joins the formats of the columns by spaces. pad: the width to which each column is padded with zeros,
    or () if none is. aside: other columns of times, which are not readings."""

    columns: tuple[Column, ...]
    formats: tuple[str, ...]
    pad: tuple[int, ...] = ()
    reason: str = ""
    aside: tuple[Column, ...] = ()


def titled(columns: Sequence[Column]) -> Parts | None:
    """Find the parts of the time by titles such as Year, Month, Day, hh, mm. Returns None if there are
    none."""
    named: dict[str, Column] = {}
    for column in columns:
        for directive in _directives(column, named):
            named.setdefault(directive, column)
            break
    for layout in LAYOUTS:
        if all(d in named for d in layout) and (
            parts := _parts([named[d] for d in layout], layout)
        ):
            return parts
    return None


def is_part(column: Column) -> bool:
    """Return whether the title and the values of a column are those of a part of a time, such as the
    month. Titles of one letter are ambiguous, so they do not count."""
    title = column.title.strip().lower()
    named = [d for d, (names, _, _) in PARTS.items() if re.search(names, title)]
    return len(title) > 1 and any(_within(column, d) for d in named)


def _directives(column: Column, used: dict[str, Column]) -> list[str]:
    """Return the strptime directives that the title of a column may mean. "mm" means the month if no
    other column contains the month, otherwise the minute. used: directive -> column that already has
    this directive."""
    title = re.sub(r"[\s_.]+", " ", column.title).strip().lower()
    title = re.sub(r"\s*[(\[].*", "", title)
    fit = [d for d, (names, _, _) in PARTS.items() if re.search(names, title)]
    if column.title in ("MM", "M"):
        fit.sort(key=lambda d: d != "%m")
    if column.title in ("mm", "mn", "min"):
        fit.sort(key=lambda d: d != "%M" if "%m" in used else d != "%m")
    return [d for d in fit if d not in used and _within(column, d)]


def placed(columns: Sequence[Column]) -> Parts | None:
    """Find the parts of the time by their positions, in a table without titles: a year, followed by the
    other parts in order. Returns None if there are none."""
    for start, column in enumerate(columns[:4]):
        if not _within(column, "%Y"):
            continue
        following = columns[start + 1 :]
        # the day of the year may be between the year and the month
        for skip in (0, 1):
            for layout in LAYOUTS:
                wanted = [column, *following[skip : skip + len(layout) - 1]]
                if len(wanted) < len(layout) or "%S" in layout or len(layout) < 3:
                    continue
                if all(_within(c, d) for c, d in zip(wanted, layout, strict=True)):
                    parts = _parts(wanted, layout)
                    if parts and _passes(parts):
                        return replace(parts, aside=tuple(following[:skip]))
    return None


def once_more(parts: Parts, columns: Sequence[Column]) -> Parts:
    """Find a second set of the same parts after the first set, such as the time in another zone. Returns
    the parts with the columns of the second set in `aside`."""
    layout = " ".join(parts.formats[-1].split()).split()
    last = max(c.index for c in parts.columns)
    following = [c for c in columns if c.index > last][: len(layout)]
    same = len(following) == len(layout) > 2 and all(map(_within, following, layout))
    return replace(parts, aside=(*parts.aside, *following)) if same else parts


def _within(column: Column, directive: str) -> bool:
    _, low, high = PARTS[directive]
    seconds = r"\d{1,2}(\.\d*)?" if directive == "%S" else r"\d{1,4}(\.0*)?"
    if not column.counts or not all(re.fullmatch(seconds, t) for t in column.counts):
        return False
    values = [float(t) for t in column.counts]
    if directive == "%Y" and max(values) < 100:
        return bool(re.search(PARTS["%Y"][0], column.title.lower())) and min(values) >= 0
    if directive == "%H%M":
        return high >= max(values) > 24 and all(v % 100 < 60 for v in values)
    return low <= min(values) and max(values) <= high


def _parts(columns: Sequence[Column], layout: Sequence[str]) -> Parts | None:
    directives = list(layout)
    if max(float(t) for t in columns[0].counts) < 100:
        directives[0] = "%y"
    pad = [4 if d == "%H%M" else 2 if d == "%y" else 0 for d in directives]
    plain = " ".join(directives)
    formats = [plain]
    if directives[-1] == "%S" and any("." in t for t in columns[-1].counts):
        formats = [f"{plain}.%f", plain]
    parts = Parts(
        tuple(columns), tuple(formats), tuple(pad) if any(pad) else (), "a column for each part"
    )
    return parts if len(readable(parts)) >= times.MIN_READABLE_SHARE * len(texts(parts)) else None


def texts(parts: Parts) -> list[str]:
    """Return the text of the time in each row. The reader builds the same text from the columns."""
    pads = parts.pad or (0,) * len(parts.columns)
    cells = [
        [cell.rjust(width, "0") for cell in column.cells[: times.MAX_ROWS]]
        for column, width in zip(parts.columns, pads, strict=True)
    ]
    return [" ".join(row) for row in zip(*cells, strict=True)]


def readable(parts: Parts) -> list[int]:
    found: list[int] = times.instants(texts(parts), parts.formats).tolist()
    return found


def _passes(parts: Parts) -> bool:
    """Return whether the time increases from almost every row to the next."""
    steps = np.diff(np.array(readable(parts)))
    return len(steps) > 1 and float((steps > 0).mean()) > 0.9
