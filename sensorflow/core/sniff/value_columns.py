"""Determines which columns of a table are readings, and finds their types and units."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from sensorflow.core.sniff import (
    angles,
    ignored_columns,
    nameless,
    numeric,
    sensor_columns,
    split,
    times,
    types,
    units,
    unused_columns,
    words,
)
from sensorflow.core.sniff.guess import Line, Value
from sensorflow.core.sniff.numeric import Numeric
from sensorflow.core.sniff.table import Column, Table
from sensorflow.core.sniff.time_columns import TimeColumns
from sensorflow.core.sniff.units import split_unit
from sensorflow.errors import UsageError

FLAG = "a flag"
MAX_SEPARATE_COLUMNS = 100
"""If there are more measured columns than this, the proposal has one line for all of them."""


@dataclass
class SniffState:
    """The classification of a table's columns. ignored: column name -> reason why the column is ignored.
    todo: questions for the user. units: column of numbers -> column that contains its units."""

    table: Table
    when: TimeColumns
    texts: list[Column] = field(default_factory=list)
    numbers: list[Numeric] = field(default_factory=list)
    ignored: dict[str, str] = field(default_factory=dict)
    todo: list[str] = field(default_factory=list)
    settings: list[Line] = field(default_factory=list)
    units: dict[Column, Column] = field(default_factory=dict)
    flags: list[Numeric] = field(default_factory=list)
    angles: dict[Column, angles.Angle] = field(default_factory=dict)

    @property
    def sparse(self) -> bool:
        """Whether the records are objects or elements, in which members may be missing."""
        kind = next((line.value for line in self.table.settings if line.key == "format"), "")
        return kind in ("json", "jsonl", "xml")

    @property
    def comma(self) -> bool:
        return any(line.key == "decimal" for line in self.table.settings)


def lines(table: Table, found: TimeColumns) -> tuple[list[Line], list[Line], list[str]]:
    """Return (lines of profile keys, lines of [columns], questions for the user). Raises UsageError if
    there are no readings."""
    state = SniffState(table, found)
    _sort(state)
    long = _long(state)
    if long is not None:
        return _settings(state, *_long_lines(state, *long)), [], state.todo
    bare = nameless.long(state.texts, state.numbers, found.cells)
    if bare is not None:
        return _settings(state, bare.sensor, _nameless_lines(state, bare)), [], state.todo
    named = [c for c in state.texts if c.says(words.UNIT)]
    _unreadable(state)
    halves = [a.hemisphere for a in state.angles.values()]
    texts = [c for c in state.texts if c not in [*named, *halves] and not _clocklike(c)]
    sensor = [] if table.sensors else sensor_columns.needed(texts, state.numbers, found.cells)
    if not sensor and (station := nameless.code([n.column for n in state.numbers])) is not None:
        sensor = [station]
    state.numbers = _without_names(state, [n for n in state.numbers if n.column not in sensor])
    state.numbers = ignored_columns.without_ignored(state.numbers, sensor, state.ignored)
    if not state.numbers:
        names = ", ".join(repr(c.title or c.reference) for c in table.columns[:12])
        raise UsageError(f"no column of numbers besides the time; found {names}")
    unit = named[:1] if len(state.numbers) == 1 else []
    state.units = units.beside([n.column for n in state.numbers], state.texts)
    halves = [a.hemisphere for n in state.numbers if (a := state.angles.get(n.column)) is not None]
    needed = {*sensor, *unit, *state.units.values(), *filter(None, halves)}
    _ignore_rest(state, state.texts, needed)
    state.todo += unused_columns.scales(
        [f for f in state.flags if f not in state.numbers], table.columns
    )
    unused = [c for c in texts if c not in needed and not c.above]
    state.todo += unused_columns.words_among(unused, state.comma)
    state.numbers = numeric.with_sentinels(state.numbers)
    columns = _wide(state)
    return _settings(state, sensor, unit), columns, state.todo


def _settings(state: SniffState, sensor: Sequence[Column], unit: Sequence[Column]) -> list[Line]:
    result, doubt = sensor_columns.line(state.table, sensor)
    state.todo += [doubt] if doubt else []
    result += [Line("unit", sensor_columns.origin(c), sensor_columns.few(c)) for c in unit]
    result += [*state.settings, *_missing(state)]
    if any(n.thousands for n in state.numbers):
        result.append(Line("thousands", "." if state.comma else ",", "thousands separator"))
    if state.ignored:
        result.append(Line("ignore", list(state.ignored), f"ignored: {_reasons(state.ignored)}"))
    return result


def _reasons(ignored: dict[str, str]) -> str:
    groups: dict[str, list[str]] = {}
    for reference, reason in ignored.items():
        groups.setdefault(reason, []).append(reference)
    return "; ".join(
        f"{', '.join(refs[:4])}{' …' if len(refs) > 4 else ''}: {reason}"
        for reason, refs in groups.items()
    )


def _sort(state: SniffState) -> None:
    """Classify each column as text, as readings, or as ignored with a reason."""
    used = {c.reference for c in state.when.columns}
    aside = {c.reference for c in state.when.aside}
    columns = [c for c in state.table.columns if c.reference not in used]
    state.angles = angles.found([c for c in columns if not c.above])
    for column in columns:
        if column.above:
            _take_above(state, column)
            continue
        typed = column.instant or _is_padded(column)
        angle = state.angles.get(column)
        number = None if typed else numeric.numeric(column, state.comma)
        number = number if angle is None else angles.numeric_of(column)
        if column.reference in aside or column.instant:
            state.ignored[column.reference] = "another time"
        elif number is None:
            state.texts.append(column)
        elif (reason := _no_reading(column)) is not None:
            state.ignored[column.reference] = reason
            state.flags += [number] if reason == FLAG and column.counts else []
        else:
            state.numbers.append(number)
    if not state.numbers:  # if a table contains only flags, they are the readings
        state.numbers = state.flags
        state.ignored = {r: reason for r, reason in state.ignored.items() if reason != FLAG}


def _is_padded(column: Column) -> bool:
    """Return whether the texts are codes such as "00060": digits with leading zeros, of equal length."""
    same = len({len(t) for t in column.counts}) == 1
    zero = any(re.fullmatch(r"0\d+", t) for t in column.counts)
    named = column.says(words.KIND) or column.says(words.SENSOR)
    return named and same and zero and all(t.isdigit() and len(t) > 2 for t in column.counts)


def _take_above(state: SniffState, column: Column) -> None:
    """Classify a column from outside the records. It may contain names, but never readings."""
    digits = any(map(str.isdigit, "".join(column.counts)))  # else "mm" is a unit, not a marker
    coded = numeric.numeric(column) is not None and (digits or not column.says(words.UNIT))
    named = column.says(words.SENSOR) and column.says(words.IDENTITY)
    named = named and all(re.fullmatch(r"\d{1,20}", t) for t in column.counts)
    named = named or _is_padded(column)
    if column.counts and (named or not coded) and times.read(column.cells) is None:
        state.texts.append(column)


def _no_reading(column: Column) -> str | None:
    """Return why a column of numbers does not contain readings, or None if it may contain them."""
    if not column.title or re.match(r"Unnamed: \d+$", column.title):
        return "has no name"
    if split.is_part(column) or re.search(words.PART, column.title, re.I):
        return "a part of the time"
    if _counts_rows(column):
        return "counts rows"
    if re.search(words.CARRIED, column.reference, re.I):
        return "about the transmission"
    seconds = re.search(words.SECONDS, column.title, re.I) is not None and _grows(column)
    if seconds or column.says(words.ELAPSED):
        return "elapsed time"
    if column.says(words.FLAG) and len(column.counts) <= 60 and _small(column):
        return FLAG
    if not column.counts and column.says(words.REMARK):
        return "empty here"
    return None


def _grows(column: Column) -> bool:
    values = [float(t) for t in column.cells if numeric.POINT.fullmatch(t)]
    return len(values) > 2 and all(b > a for a, b in pairwise(values))


def _small(column: Column) -> bool:
    return all(re.fullmatch(r"-?\d{1,4}(\.0*)?", t) or numeric.is_nothing(t) for t in column.counts)


def _counts_rows(column: Column) -> bool:
    """Return whether the column contains row numbers."""
    named = re.search(words.COUNTER, column.title.strip(), re.IGNORECASE) is not None
    cells = [t for t in column.cells[:2000] if t]
    if not cells or not all(re.fullmatch(r"\d{1,15}(\.0*)?", t) for t in cells):
        return False
    values = [int(float(t)) for t in cells]
    steps = [b - a for a, b in pairwise(values)]
    if not steps:
        return named and not re.fullmatch(r"(?i)count|sample|number|id", column.title)
    ones = sum(step == 1 for step in steps) / len(steps)
    if named:
        return ones > 0.5 or column.title == "RECORD"
    placed = column.index == 0
    return placed and ones > 0.9 and len(steps) > 3


def _long(state: SniffState) -> tuple[Column, Numeric] | None:
    """Return (column of types, column of values) if each row contains one reading; otherwise None."""
    called = [n for n in state.numbers if re.search(words.VALUE, _bare(n.column), re.IGNORECASE)]
    values = called or (state.numbers if len(state.numbers) == 1 else [])
    texts = [c for c in state.texts if c.says(words.KIND) and not c.says(words.UNIT)]
    texts = [c for c in texts if not c.says(words.KIND_OF_MESSAGE)]
    kinds = [c for c in texts if c.filled > 0.9 * len(c.cells) and _is_kind(c, state)]
    kinds = kinds or types.unnamed(state.texts, values)
    if not values or not kinds:
        return None
    named = [c for c in kinds if re.search(words.KIND_NAMED, c.title, re.IGNORECASE)]
    best = min(
        named or kinds,
        key=lambda c: (len(c.counts) == 1, c.says(words.SENSOR), len(c.counts), c.index),
    )
    return best, values[0]


def _is_kind(column: Column, state: SniffState) -> bool:
    """Return whether a column may contain types: it has few distinct texts. If it has only one, its
    title must be that of a type, or the table must have few columns of texts."""
    count = len(column.counts)
    few = count <= max(2, 0.6 * column.filled) and count <= 500
    plain = re.search(words.KIND_PLAIN, column.title.strip(), re.IGNORECASE) is not None
    in_records = [c for c in state.texts if not c.above]
    return few and (count > 1 or plain or len(in_records) < 4)


def _bare(column: Column) -> str:
    return split_unit(column.title)[0].split(".")[-1].strip()


def _long_lines(
    state: SniffState, kind: Column, value: Numeric
) -> tuple[list[Column], list[Column]]:
    """Return (columns of the sensor, columns of the unit) for a table with one reading per row."""
    unit = [c for c in state.texts if c.says(words.UNIT)][:1]
    sensor = sensor_columns.titled([c for c in state.texts if c is not kind and c not in unit])
    others = [n.column for n in state.numbers if n is not value]
    others_named = [
        c for c in others if sensor_columns.is_name(c) and not sensor_columns.has_quantity(c)
    ]
    sensor = sensor or sensor_columns.titled(others_named)
    used = {kind, value.column, *sensor, *unit}
    _ignore_rest(state, [*state.texts, *others], used)
    state.numbers = numeric.with_sentinels([value])
    state.settings += [
        Line("type", sensor_columns.origin(kind), sensor_columns.few(kind)),
        Line("value", value.column.reference),
    ]
    return sensor, unit


def _nameless_lines(state: SniffState, found: nameless.Long) -> list[Column]:
    """Return the columns of the unit for a table without a header that has one reading per row."""
    units = [found.unit] if found.unit else []
    kinds = [found.kind] if found.kind else []
    used = {*kinds, found.value.column, *found.sensor, *units}
    _ignore_rest(state, [*state.texts, *(n.column for n in state.numbers)], used)
    state.numbers = numeric.with_sentinels([found.value])
    state.settings += [Line("type", sensor_columns.origin(c), sensor_columns.few(c)) for c in kinds]
    state.settings.append(Line("value", found.value.column.reference))
    return units


def _unreadable(state: SniffState) -> None:
    """Add a question for each column of times of day that cannot be read, such as 10:30p."""
    for column in filter(_clocklike, (c for c in state.texts if not c.above)):
        example = next(iter(column.counts))
        state.todo.append(f"times of day such as {example!r} in {column.title!r} cannot be read")


def _clocklike(column: Column) -> bool:
    some = list(column.counts)[:50]
    return bool(some) and all(re.match(r"\d{1,2}[:.]\d\d(?!\d)", t) for t in some)


def _without_names(state: SniffState, readings: list[Numeric]) -> list[Numeric]:
    """Return the readings without columns of names, such as the code of a station. If none would remain,
    return the columns that are not numbers of devices."""
    cells = state.when.cells
    measured = [n for n in readings if n.column.says(words.SENSOR)]
    measured = [n for n in measured if sensor_columns.is_measured(n.column, cells)]
    values = [n for n in readings if n in measured or not _is_called(n.column)]
    if values:
        gone = [n.column.reference for n in readings if n not in values]
        state.ignored |= dict.fromkeys(gone, "a name, not a reading")
    return values or [n for n in readings if not n.column.says(words.NUMBERED)]


def _is_called(column: Column) -> bool:
    """Return whether the title and the cells of a column are those of an id, as in applicationID."""
    if sensor_columns.is_long(column):
        return True
    called = column.says(words.IDENTITY) or re.search(r"[a-z](ID|Id)$|_id$", column.title)
    single = column.filled == 1 or column.says(words.NUMBERED)
    alone = single and all(t.isdigit() for t in column.counts)
    return bool(called) and (sensor_columns.is_name(column) or alone)


def _ignore_rest(state: SniffState, columns: Iterable[Column], used: set[Column]) -> None:
    for column in columns:
        if column in used or column.above or column.reference in state.ignored:
            continue
        text = numeric.numeric(column, state.comma) is None
        state.ignored[column.reference] = (
            "empty here" if not column.counts else "text" if text else "not needed"
        )


def _missing(state: SniffState) -> list[Line]:
    """Return the line for the key `missing` of the table. Each number occurs in only one notation."""
    codes: dict[str | float, str] = {
        float(t) if numeric.POINT.fullmatch(t) else t: t for t in state.table.markers
    }
    for each in state.numbers:
        for text in each.markers:
            codes.setdefault(text, text)
        for text in each.numbers:
            if _everywhere(text, state):
                codes.setdefault(float(text.replace(",", ".")), text)
    if not codes:
        return []
    far = any(isinstance(k, float) for k in codes)
    reason = "they occur in place of numbers" + (", or far outside the other values" if far else "")
    return [Line("missing", list(codes.values()), reason)]


def _everywhere(text: str, state: SniffState) -> bool:
    """Return whether a marker is not a value of any column, and is unlikely to become a value."""
    value = float(text.replace(",", "."))
    others = [n for n in state.numbers if value not in _numbers(n)]
    if any(value in n.values for n in others):
        return False
    return value < 0 or all(max(n.values, default=0.0) < value / 3 for n in others)


def _numbers(style: Numeric) -> list[float | None]:
    return [numeric.number(text, style) for text in style.numbers]


def _wide(state: SniffState) -> list[Line]:
    """Return a line for each measured column, or set `each` if there are too many columns."""
    if state.table.sensors or len(state.numbers) > MAX_SEPARATE_COLUMNS:
        state.settings.append(Line("each", ".+", f"{len(state.numbers)} columns of numbers"))
        return []
    out: list[Line] = []
    seen: set[str] = set()
    for each in state.numbers:
        column = each.column
        cell = _cell(state, each)
        kind = str(cell.get("type", column.reference))
        if kind in seen:
            kind = f"{kind} {column.index + 1}"
            cell = {**cell, "type": kind}
            state.todo.append(f"two columns have the same type; is {kind!r} right?")
        seen.add(kind)
        reason = f"{each.other_count} cells are not numbers" if each.other_count else ""
        out.append(Line(column.reference, cell, reason or "" if column.counts else "empty here"))
    return out


def _cell(state: SniffState, each: Numeric) -> dict[str, Value]:
    column = each.column
    title, unit = (column.title, column.unit) if column.unit else split_unit(column.title)
    cell: dict[str, Value] = {}
    if title and title != column.reference:
        cell["type"] = title
    if (unit or each.suffix) and not column.has_known_unit:
        cell["unit"] = unit or each.suffix
    unit_column = None if unit or column.has_known_unit else state.units.get(column)
    if unit_column is not None and not re.search(r"[{}]", unit_column.reference):
        cell["unit"] = f"{{{unit_column.reference}}}"
    if state.sparse and column.filled < len(column.cells):
        cell["optional"] = True
    if each.suffix:
        cell["clean"] = rf"^(.+?)\s*{re.escape(each.suffix)}$"
    if (angle := state.angles.get(column)) is not None:
        cell["angle"] = angle.kind
        if angle.hemisphere is not None:
            cell["hemisphere"] = angle.hemisphere.reference
    own = [t for t in each.numbers if not _everywhere(t, state)]
    if own:
        cell["missing"] = own
    return cell
