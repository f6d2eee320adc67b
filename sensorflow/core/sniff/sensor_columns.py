"""Finds the name of the sensor. It may be in one or several columns, in a line before the header, or in
the file's name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

from sensorflow.core.sniff import filename, units, words
from sensorflow.core.sniff.guess import Line, Value
from sensorflow.core.sniff.numeric import Numeric
from sensorflow.core.sniff.table import Column, Table

MAX_NAME_NUMBERS = 12
"""A column with at most this number of distinct numbers may contain names, even if its numbers change in
small steps."""
_AFTER_NAME = r'"?\s*[:=,;\t](?:\s*[,;\t])*\s*"?'


def titled(columns: Iterable[Column]) -> list[Column]:
    """Return the column whose title says that it contains names of sensors, or [] if there is none. If
    there are several, the title decides which one: ids and serial numbers are preferred."""
    some = [c for c in columns if c.says(words.SENSOR) or is_long(c)]
    some = [c for c in some if c.filled > 0.95 * len(c.cells)]
    some = [c for c in some if c.says(words.IDENTITY) or not c.says(words.FLAG)]
    some = [c for c in some if _repeats(c) and not c.says(words.ZONE) and may_name(c)]
    return sorted(some, key=lambda c: (-_idness(c), c.index))[:1]


def may_name(column: Column) -> bool:
    """Return whether the texts of a column may be names. Durations, truth values, dates, versions, and
    numbers of events or messages are not names."""
    is_unnamed = all(re.fullmatch(words.NO_NAME, t, re.I) for t in column.counts)
    return not is_unnamed and not column.says(words.OF_EVENT)


def _repeats(column: Column) -> bool:
    few = len(column.counts) <= max(1, 0.6 * column.filled) or is_long(column)
    return few or column.filled < 5 or column.above


def _idness(column: Column) -> int:
    serial = column.says(r"serial|s/n|\bsn\b|_id$|\bid$|eui|^station$") and column.says(
        words.DEVICE
    )
    generic = re.fullmatch(r"(?i)name|topic|title", column.title) is not None
    rank = 2 * column.says(words.DEVICE) + column.says(words.IDENTITY) + (len(column.counts) > 1)
    return 2 * rank + 3 * serial - generic


def needed(
    texts: Sequence[Column], readings: Sequence[Numeric], cells: Sequence[str]
) -> list[Column]:
    """Return the columns that contain the name of the sensor, for a table with several readings per row.
    cells: the time of each row.

    The result includes a column whose title says that it contains sensors, if there is one. If many rows
    have the same time, the result also includes a column that distinguishes these rows.
    """
    rest = [c for c in texts if c.filled > 0.9 * len(c.cells)]
    numbered = [n.column for n in readings if n.column.says(words.SENSOR) or is_long(n.column)]
    numbered = [c for c in numbered if is_name(c) and not is_measured(c, cells)]
    sensor = titled([*rest, *numbered])
    if not sensor and tells_rows_apart(cells, []) < 0.8:
        # each row may be from another station, and all have about the same time
        sensor = [c for c in rest if re.search(words.STATION, c.title.strip(), re.I)][:1]
    if tells_rows_apart(cells, sensor) < 0.8:
        codes = [n.column for n in readings if is_code(n.column) and len(readings) > 1]
        better = [c for c in [*rest, *codes] if c not in sensor and _may_tell(c, cells)]
        better = [c for c in better if tells_rows_apart(cells, [*sensor, c]) > 0.99]
        once = len(set(cells)) == 1
        better = [c for c in better if c not in codes or once or is_panel(cells, c)]
        sensor += sorted(better, key=lambda c: c.index)[:1]
    if not sensor and len(rest) == 1 and len(rest[0].counts) == 1:
        # if a text with a number is the same in all rows, it is more likely a name than a remark
        text = next(iter(rest[0].counts))
        return rest if re.search(r"\d", text) and may_name(rest[0]) else []
    return sensor


def is_code(column: Column) -> bool:
    return len(column.counts) < 500 and all(re.fullmatch(r"\d{1,6}", t) for t in column.counts)


def _may_tell(column: Column, cells: Sequence[str]) -> bool:
    """Return whether a column may distinguish sensors. Usually its texts must occur more than once. If
    all rows have the same time, its texts must all differ. cells: the time of each row."""
    if len(set(cells)) == 1:
        return len(column.counts) == len(cells)
    return 1 < len(column.counts) <= 0.5 * column.filled


def is_name(column: Column) -> bool:
    """Return whether the numbers of a column may be names. Such numbers are integers that occur more
    than once."""
    repeated = 0 < len(column.counts) <= max(1, 0.5 * column.filled)
    if is_long(column):
        return True
    return repeated and all(re.fullmatch(r"\d{1,20}", t) for t in column.counts)


def has_quantity(column: Column) -> bool:
    """Return whether the title of a column contains a unit or a quantity, as "Sensor Temp (C)" does.
    Such a column does not contain names."""
    unit_text = column.unit or units.split_unit(column.title)[1]
    return bool(unit_text) or (column.says(words.QUANTITY) and not _plainly_names(column))


def is_measured(column: Column, cells: Sequence[str]) -> bool:
    """Return whether a column contains readings although its title contains a word for sensors. cells: the
    time of each row.

    A title such as "Sensor_1" is ambiguous. A column with such a title counts as names only if it is needed
    to distinguish rows with the same time.
    """
    if has_quantity(column):
        return True
    if is_long(column):
        return False
    if _plainly_names(column):
        return not column.says(words.IDENTITY_ONLY) and _is_drifting(column, cells)
    return tells_rows_apart(cells, []) > 0.99


def _plainly_names(column: Column) -> bool:
    title = column.title.strip()
    return column.says(words.IDENTITY) or re.search(words.PLAIN_SENSOR, title, re.I) is not None


def _is_drifting(column: Column, cells: Sequence[str]) -> bool:
    """Return whether the numbers of a column move up and down in small steps over time. cells: the time
    of each row."""
    if len(column.counts) <= MAX_NAME_NUMBERS or tells_rows_apart(cells, []) < 0.99:
        return False
    values = [int(t) for t in column.cells if t.isdigit()]
    steps = [b - a for a, b in pairwise(values) if a != b]
    small = sum(abs(s) <= 0.25 * (max(values) - min(values)) for s in steps)
    down = sum(s < 0 for s in steps)
    return small > 0.9 * len(steps) and 0.2 < down / max(len(steps), 1) < 0.8


def is_long(column: Column) -> bool:
    """Return whether a column contains names of ten or more digits, such as an IMEI. Unlike the values
    of a counter, such names occur more than once."""
    texts = [t for t in column.cells if t]
    if not texts or not all(re.fullmatch(r"[1-9]\d{9,19}", t) for t in texts):
        return False
    titled = column.says(words.SENSOR) or column.says(words.LONG)
    values = [int(t) for t in texts]
    grows = len(column.counts) > 1 and all(b >= a for a, b in pairwise(values))
    repeated = len(column.counts) < len(texts) and (titled or not grows)
    return repeated and not has_quantity(column) and not column.says(words.TIME)


def tells_rows_apart(cells: Sequence[str], columns: Sequence[Column]) -> float:
    """Return the number of distinct combinations of a time and the cells of these columns, divided by the
    number of rows. It is 1 if no two rows have the same combination. cells: the time of each row."""
    keys = set(zip(cells, *(c.cells for c in columns), strict=True))
    return len(keys) / max(len(cells), 1)


def is_panel(keys: Sequence[str], column: Column) -> bool:
    """Return whether a column has the same set of texts, such as depths or channels, for almost every
    key, and each text only once per key. keys: a key for each row, such as the time."""
    groups: dict[str, list[str]] = {}
    for key, cell in zip(keys, column.cells, strict=True):
        groups.setdefault(key, []).append(cell)
    sets = Counter(tuple(sorted(group)) for group in groups.values())
    often, count = sets.most_common(1)[0]
    return len(groups) > 1 and count > 0.8 * len(groups) and len(set(often)) == len(often) > 1


def line(table: Table, sensor: Sequence[Column]) -> tuple[list[Line], str]:
    """Return (lines for the profile key `sensor`, question for the user or ""). There is no line if a
    header row contains the names of the sensors. sensor: the columns that contain the name."""
    if table.sensors:
        return [], ""
    if len(sensor) > 1:
        template = "/".join(f"{{{c.reference}}}" for c in sensor)
        return [
            Line("sensor", template, "these columns together distinguish rows with the same time")
        ], ""
    if sensor:
        return [Line("sensor", origin(sensor[0]), few(sensor[0]))], ""
    if (around := _around(table) or _above(table.preamble)) is not None:
        return [around], ""
    from_name, doubt = filename.sensor(table.name)
    return [from_name], doubt


def origin(column: Column) -> Value:
    """Return the text source for a column: its reference. If the reference contains braces, return the
    table `{column = ...}`, because a string with braces would be a template."""
    reference = column.reference
    return {"column": reference} if re.search(r"[{}]", reference) else reference


def few(column: Column) -> str:
    texts = ", ".join(list(column.counts)[:5])
    return f"{len(column.counts)} different: {texts}{', …' if len(column.counts) > 5 else ''}"


def _around(table: Table) -> Line | None:
    """Return the line for the profile key `sensor` if the name of the sensor is outside the records.
    Otherwise return None."""
    found = [c for c in table.above if c.says(words.SENSOR) and c.filled == len(c.cells) > 0]
    found = [c for c in found if may_name(c)]
    best = max(found, key=_idness, default=None)
    return None if best is None else Line("sensor", origin(best), few(best))


def _above(preamble: str) -> Line | None:
    """Return the line for the profile key `sensor` if the name of the sensor is in the lines before the
    header. Otherwise return None."""
    for word in words.LABELS:
        found = re.search(rf'(?im)^\W*({word}){_AFTER_NAME}([^\s,;"][^,;"\n\t]*)', preamble)
        if found is None or found[2].rstrip().endswith(":"):
            continue
        label = re.sub(r"([\\.^$*+?{}\[\]|()])", r"\\\1", found[1])
        reason = f'"{found[1]} {found[2].strip()[:40]}" is before the header'
        return Line("sensor", {"preamble": rf'^\W*{label}{_AFTER_NAME}([^,;"\n\t]+)'}, reason)
    return None
