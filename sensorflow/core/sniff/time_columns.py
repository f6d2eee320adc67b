"""Finds the column with the time of measurement, or the columns that together form this time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from sensorflow.core.sniff import nameless, split, times, words
from sensorflow.core.sniff.guess import Line, Value
from sensorflow.core.sniff.table import Column, Table
from sensorflow.core.sniff.times import Read
from sensorflow.core.times.zones import ABBREVIATIONS, check_zone

_MIDNIGHT = r"\d{4}-\d\d-\d\d[T ]00:00(:00(\.0+)?)?"
_DAY = r"^(\d{4}-\d\d-\d\d)"


@dataclass(frozen=True)
class TimeColumns:
    """The columns that form the time of measurement. aside: columns of other times, which are not readings.
    pad: the width to which each column is padded with zeros, or () if none is. weight: the likelihood of
    this combination, compared with other combinations.

    days: a column whose times of day are all midnight, so that only its dates are used; None if there is no
    such column.
    """

    columns: tuple[Column, ...]
    read: Read
    pad: tuple[int, ...] = ()
    aside: tuple[Column, ...] = ()
    weight: float = 0.0
    days: Column | None = None

    @property
    def cells(self) -> list[str]:
        return [" ".join(row) for row in zip(*(c.cells for c in self.columns), strict=True)]


def find_time_columns(table: Table, prefer: str = "") -> TimeColumns | None:
    """Return the most likely time columns, or None if there are none. prefer: the order of day and month
    in ambiguous dates, "dmy" or "mdy"."""
    columns = [c for c in table.columns if c.counts and not c.above]
    found = _candidates(columns, prefer)
    if not found:
        found = [w for w in _candidates(table.above, prefer) if w]
        return max(found, key=lambda w: w.weight) if found else None
    best = max(_finest(found), key=lambda w: w.weight)
    others = {c.index: c for w in found for c in w.columns if w is not best}
    used = {c.index for c in best.columns}
    more = tuple(c for i, c in others.items() if i not in used)
    return replace(best, aside=(*best.aside, *more))


def _finest(found: Sequence[TimeColumns]) -> list[TimeColumns]:
    """Return the candidates, with a lower weight for coarse times. A time is coarse if it is equal in
    many rows in which another time differs."""
    limit = max(len(set(w.cells)) for w in found)
    coarse = [len(set(w.cells)) < 0.6 * limit for w in found]
    return [
        replace(w, weight=w.weight - 3) if low and w.read.clock else w
        for w, low in zip(found, coarse, strict=True)
    ]


def _candidates(columns: Sequence[Column], prefer: str) -> list[TimeColumns]:
    complete = [w for c in columns if (w := _alone(c, prefer))]
    clocks = [(c, f) for c in columns if (f := _clock(c))]
    dates = [w for w in complete if not w.read.clock]
    full = [w for w in complete if w.read.clock]
    full = [_with_offset(w, columns) for w in full]
    days = [w for w in full if clocks and _only_days(w)]
    dates += days
    full = [w for w in full if w not in days]
    if dates and clocks:
        full += [joined for w in dates if (joined := _joined(w, clocks))]
    parts = split.titled(columns)
    if parts is None and not full and not dates:
        parts = split.placed(columns)
    if parts is not None:
        full.append(_of_parts(split.once_more(parts, columns)))
    found = full or dates
    if full:
        found = [*full, *(replace(w, weight=w.weight - 5) for w in dates)]
        found += [TimeColumns((c,), Read(f, ""), weight=-20) for c, f in clocks if ":" in f[0]]
    return [_weighed(w, columns) for w in found]


def _alone(column: Column, prefer: str) -> TimeColumns | None:
    """Return the time columns for one column that contains dates; None if it contains no dates. A column
    of plain numbers must have a title for times, or be one of the first two columns and increase from
    row to row."""
    if column.instant:
        zoned = all(re.search(r"([+-]\d\d:\d\d|Z)$", t) for t in list(column.counts)[:100])
        return TimeColumns((column,), Read(("iso8601",), "a typed timestamp", zoned))
    titled = column.says(words.TIME)
    bare = all(re.fullmatch(r"[\d.]+", t) for t in list(column.counts)[:50])
    if bare and all(re.fullmatch(r"(19|20)\d{6}(\d\d){0,3}", t) for t in column.counts) and titled:
        packed = times.read(column.cells, column.title, prefer)
        if packed is not None:
            return TimeColumns((column,), packed)
    if bare:
        # a column without a title for times must increase from row to row
        found = times.epoch(column.cells, column.title) if titled or _counts_on(column) else None
        if found is not None:
            return TimeColumns((column,), found)
    dotted = bare and all(t.count(".") == 2 for t in list(column.counts)[:50])
    if bare and not (titled or dotted):
        return None
    found = times.read(column.cells, " ".join((*column.titles, column.title)), prefer)
    return TimeColumns((column,), found) if found else None


def _counts_on(column: Column) -> bool:
    named = column.says(words.IDENTITY) or column.says(words.PLAIN_SENSOR)
    if named or (column.filled > 2 and len(column.counts) == 1):
        return False
    values = [float(t) for t in column.cells[:2000] if re.fullmatch(r"\d+(\.\d+)?", t)]
    steps = [b - a for a, b in pairwise(values)]
    onward = sum(s >= 0 for s in steps) / len(steps) if steps else 1.0
    return column.index < 2 and onward > 0.9 and min(values, default=0) >= 3e8


def _clock(column: Column) -> tuple[str, ...]:
    """Return the formats of a column of times of day, such as "14:30". Numbers such as 1430 or 14 count
    as times of day if the title or the values indicate this. Returns () for any other column."""
    if column.instant:
        return ()
    found = times.clock(column.cells)
    if found or not column.counts or not all(re.fullmatch(r"\d{1,6}", t) for t in column.counts):
        return found
    values = [int(t) for t in column.counts]
    if re.search(split.PARTS["%Y"][0], column.title.strip(), re.I) and min(values) >= 1900:
        return ()
    if column.says(words.CLOCK) and max(values) > 24:
        packed = max(values) <= 2400 and all(v % 100 < 60 for v in values)
        seconds = max(len(t) for t in column.counts) > 4 and max(values) <= 240000
        return ("%H%M",) if packed else ("%H%M%S",) if seconds else ()
    if max(values) > 24 and all(
        len(t) == 4 and t[:2] < "25" and t[2:] < "60" for t in column.counts
    ):
        return ("%H%M",)
    hours = column.says(words.HOUR) or nameless.hours(column)
    return ("%H",) if hours and max(values) <= 24 else ()


def _only_days(found: TimeColumns) -> bool:
    """Return whether all times of day are midnight, as for the dates of a spreadsheet."""
    column = found.columns[0]
    alone = len(found.columns) == 1 and not column.instant
    return alone and all(re.fullmatch(_MIDNIGHT, t) for t in column.counts)


def _joined(
    date: TimeColumns, clocks: Sequence[tuple[Column, tuple[str, ...]]]
) -> TimeColumns | None:
    """Return a date together with the nearest column of times of day, or None. clocks: (column of times
    of day, its formats)."""
    at = date.columns[0].index
    adjacent = [(c, f) for c, f in clocks if c.index != at and not c.says(words.ASIDE)]
    if not adjacent:
        return None
    column, formats = min(adjacent, key=lambda pair: (abs(pair[0].index - at), pair[0].index < at))
    days = ("%Y-%m-%d",) if date.read.formats == ("iso8601",) else date.read.formats
    if _only_days(date):
        return _beside_midnights(date, column, formats)
    width = {"%H%M": 4, "%H%M%S": 6}.get(formats[0], 0)
    combined = tuple(f"{d} {f}" for d in days for f in formats)
    read = replace(
        date.read, formats=combined, reason=date.read.reason or "date and time of day", clock=True
    )
    return TimeColumns((date.columns[0], column), read, (0, width) if width else ())


def _beside_midnights(date: TimeColumns, column: Column, formats: tuple[str, ...]) -> TimeColumns:
    day = date.columns[0]
    combined = tuple(f"%Y-%m-%d {f}" for f in formats)
    read = replace(
        date.read,
        formats=combined,
        reason="the date is in the first column, the time of day in the second",
    )
    return TimeColumns((day, column), read, days=day)


def _with_offset(found: TimeColumns, columns: Sequence[Column]) -> TimeColumns:
    """Return the time columns together with a column that contains the zone of each row, such as "EST".
    They are unchanged if there is no such column."""
    if found.read.offset or found.read.formats[0].startswith("epoch"):
        return found
    for column in columns:
        names = [t.upper() for t in column.counts]
        if column.says(words.OFFSET) and names:
            known = all(n in ABBREVIATIONS for n in names)
            fixed = all(re.fullmatch(r"[+-]\d{2}:?\d{2}", n) for n in names)
            formats = found.read.formats
            formats = times.spelled(found.cells) if formats == ("iso8601",) else formats
            if (known or fixed) and formats:
                sign = "%Z" if known else "%z"
                formats = tuple(f"{f} {sign}" for f in formats)
                reason = f"{column.title} contains the offset of each row"
                read = replace(found.read, formats=formats, offset=True, reason=reason)
                return replace(found, columns=(*found.columns, column), read=read)
    return found


def _of_parts(parts: split.Parts) -> TimeColumns:
    clock = "%H" in parts.formats[0]
    read = Read(parts.formats, parts.reason, clock=clock)
    return TimeColumns(parts.columns, read, parts.pad, parts.aside)


def _weighed(found: TimeColumns, columns: Sequence[Column]) -> TimeColumns:
    """Return the time columns with their weight. The weight depends on the titles, the zone, the position,
    and on whether the time changes from row to row."""
    titles = [c for c in found.columns if c.says(words.TIME)]
    weight = found.weight + 2 * bool(titles) + 3 * found.read.clock
    weight += 1.5 * (found.read.offset or zone_of(found) is not None)
    weight -= 4 * any(c.says(words.ASIDE) for c in found.columns)
    weight -= 9 * any(c.says(words.SLEEP) for c in found.columns)
    weight -= 1 * any(c.says(words.LATER) for c in found.columns)
    weight -= 0.1 * min(c.index for c in found.columns)
    rows = found.columns[0].filled
    changes = max(len(c.counts) for c in found.columns)
    weight -= 4 * (rows > 3 and changes <= 1)
    weight -= 3 * (rows < 0.5 * len(found.columns[0].cells))
    return replace(found, weight=weight)


def zone_of(found: TimeColumns) -> Line | None:
    """Return the line for the profile key `zone` if a title contains UTC or an offset from UTC.
    Otherwise return None."""
    for column in found.columns:
        for title in (column.title, *column.titles):
            if re.search(r"(?:GMT|UTC)\s*[+-]\d{1,2}(?::?\d{2})?", title):
                pattern = r"(?:GMT|UTC)\s*([+-]\d{1,2}(?::?\d{2})?)"
                return Line("zone", {"header": pattern}, f"according to the title {title}")
            if re.search(r"(?i)(^|[^a-z])(utc|gmt|zulu)([^a-z]|$)", title):
                return Line("zone", "UTC", f"according to the title {title}")
    return None


def abbreviated(found: TimeColumns) -> list[str]:
    """Return a question for the user if a title contains an abbreviation such as CET, which may or may
    not mean that daylight saving time applies. Otherwise return []."""
    for column in found.columns:
        for name in ABBREVIATIONS:
            if re.search(rf"(^|[^A-Za-z]){name}([^A-Za-z]|$)", column.title):
                told = f"the title {column.title!r} says {name}"
                return [f"{told}: does {name} apply all year, or only in its season?"]
    return []


def zone_above(preamble: str) -> Line | None:
    """Return the line for the profile key `zone` if the lines before the header state the zone.
    Otherwise return None."""
    named = r"(?im)^\W*(?:time ?zone|tz|utc offset|time ?reference|times? (?:are )?in)\b"
    for line in re.findall(named + r"[^\n]*", preamble):
        offset = re.search(r"(?:UTC|GMT)\s*([+-]\d{1,2}(?::?\d{2})?)\b", line)
        if offset:
            return Line("zone", _plus(offset[1]), f'"{line.strip()[:60]}" is before the header')
        if re.search(r"\b(UTC|GMT|UT|Universal time|Zulu)\b(?!\s*[+-]?\s*\d)", line, re.IGNORECASE):
            return Line("zone", "UTC", f'"{line.strip()[:60]}" is before the header')
    return None


def zone_around(above: Sequence[Column]) -> Line | None:
    """Return the line for the profile key `zone` if a value outside the records states the zone, as
    <timeZone>1.0</timeZone> does. Otherwise return None."""
    for column in above:
        called = re.search(r"(^|\.)(time_?zone|tz|utc_?offset)$", column.title, re.IGNORECASE)
        is_filled = column.counts and column.filled == len(column.cells)
        if called and is_filled and all(map(_is_zone, column.counts)):
            examples = ", ".join(list(column.counts)[:3])
            return Line("zone", {"column": column.reference}, f"this column contains {examples}")
    return None


def _is_zone(text: str) -> bool:
    """Return whether a text states a zone. An offset must be in hours; a number of seconds or minutes is
    not accepted."""
    offset = re.fullmatch(r"(?:UTC|GMT)?[+-]?(\d{1,2})(\.\d{1,2}|:\d\d|(?<=[+-]\d\d)\d\d)?", text)
    if offset is None and re.fullmatch(r"UTC|GMT|Z|[A-Z]\w+(/[\w+-]+)+", text) is None:
        return False
    try:
        check_zone(text)
    except ValueError:
        return False
    return offset is None or int(offset[1]) <= 14


def _plus(offset: str) -> str:
    sign, digits = offset[0], offset[1:].replace(":", "")
    hours, minutes = (digits[:-2], digits[-2:]) if len(digits) > 2 else (digits, "00")
    return f"{sign}{int(hours):02}:{minutes}"


def lines(found: TimeColumns) -> list[Line]:
    """Return the lines of [time] without the zone."""
    read = found.read
    refs: list[Value] = [
        {"column": c.reference, "match": _DAY} if c is found.days else c.reference
        for c in found.columns
    ]
    new_lines: list[Line] = []
    if len(refs) == 1:
        new_lines.append(Line("column", refs[0]))
    else:
        new_lines.append(Line("columns", refs))
    if read.formats != ("iso8601",) or read.reason:
        formats = read.formats[0] if len(read.formats) == 1 else list(read.formats)
        new_lines.append(Line("format", formats, read.reason))
    if found.pad:
        new_lines.append(Line("pad", list(found.pad), "numbers may lack leading zeros"))
    if read.extract:
        new_lines.append(Line("extract", read.extract))
    if read.since:
        new_lines.append(Line("since", read.since))
    return new_lines
