"""Determines the purpose of the columns of a table without a header. Only the contents of the columns
are known."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

from sensorflow.core.sniff import sensor_columns
from sensorflow.core.sniff.numeric import Numeric
from sensorflow.core.sniff.table import Column
from sensorflow.core.sniff.units import unit_like

_QUANTITY = (
    r"(?i)temp|hum|press|^rh$|wind|gust|rain|precip|flow|level|volt|curr|power|energy|^pm_?\d|^no[2x]?$|^s?o[23]$|co2|"
    r"ozone|moist|light|lux|batt|dew|radiat|solar|speed|turbid|conduct|salin|oxygen|^ph$|noise|voc|irradiance|rssi"
)
MAX_NAMES = 500
"""Maximum number of different texts in a column of sensors or types."""


@dataclass(frozen=True)
class Long:
    """The columns of a table that has one reading per row. value: the column with the values. kind: the
    column with the types. sensor: the columns that name the sensor. unit: the column with the units, or
    None."""

    value: Numeric
    kind: Column | None
    sensor: tuple[Column, ...] = ()
    unit: Column | None = None


def is_named(column: Column) -> bool:
    return re.fullmatch(r"column\d+|time\d*", column.title) is None


def hours(column: Column) -> bool:
    """Return whether a column contains hours of the day. From row to row, the hour stays the same or
    grows by one."""
    if is_named(column) or not all(re.fullmatch(r"\d{1,2}", t) for t in column.counts):
        return False
    values = [int(t) for t in column.cells[:2000] if t]
    steps = [(b - a) % 24 for a, b in pairwise(values)]
    day = len(set(values)) > 2 and max(values) <= 24
    return day and bool(steps) and sum(s in (0, 1) for s in steps) > 0.9 * len(steps)


def points(columns: Sequence[Column]) -> tuple[Column, ...]:
    """Return the adjacent columns that contain the same geographic position in all rows, or () if there
    are none."""
    degrees = {c.index: c for c in columns if _is_degree(c)}
    return tuple(c for i, c in degrees.items() if i - 1 in degrees or i + 1 in degrees)


def _is_degree(column: Column) -> bool:
    text = next(iter(column.counts), "")
    alone = len(column.counts) == 1 and column.filled > 4 and not is_named(column)
    return (
        alone and re.fullmatch(r"-?\d{1,3}\.\d{2,}", text) is not None and abs(float(text)) <= 180
    )


def long(texts: Sequence[Column], numbers: Sequence[Numeric], cells: Sequence[str]) -> Long | None:
    """Return the columns of a table with one reading per row, or None for any other table. In a table with
    one reading per row, some columns contain names of quantities, or distinguish rows that have the same
    time.

    texts, numbers: the columns of the table. cells: the time of each row.
    """
    named = [c for c in texts if _names(c)]
    codes = [n.column for n in numbers if _names(n.column) and sensor_columns.is_name(n.column)]
    values = [n for n in numbers if n.column not in codes and len(n.column.counts) > 1]
    if not values or any(map(is_named, [*texts, *(n.column for n in numbers)])):
        return None
    kinds = [c for c in named if _is_quantity(c)]
    key_columns = _key_columns([*named, *codes], kinds, cells)
    if not kinds and not key_columns:
        return None
    kind = next((c for c in kinds if c in key_columns), None) or next(iter(kinds), None)
    values_left = [n for n in values if kind is None or not _follows(n.column, kind)]
    if not values_left or (len(values_left) > 1 and kind is not None and len(kind.counts) < 2):
        return None
    value = max(values_left, key=lambda n: (len(n.column.counts), n.column.index))
    sensor = tuple(c for c in key_columns if c is not kind)
    unit = next((c for c in named if _is_unit(c) and c is not kind and c not in sensor), None)
    if kind is None:
        return None
    return Long(value, kind, sensor or _constant(named, kind, unit), unit)


def _names(column: Column) -> bool:
    count = len(column.counts)
    return column.filled > 0.9 * len(column.cells) and 0 < count <= min(
        MAX_NAMES, 0.5 * column.filled
    )


def _is_quantity(column: Column) -> bool:
    known = sum(re.search(_QUANTITY, text) is not None for text in column.counts)
    return known > 0.5 * len(column.counts)


def _is_unit(column: Column) -> bool:
    return all(unit_like(t) for t in column.counts)


def _key_columns(
    columns: Sequence[Column], kinds: Sequence[Column], cells: Sequence[str]
) -> tuple[Column, ...]:
    """Return the smallest set of columns that distinguishes rows with the same time. A set with a column
    of types is preferred, and then a set with columns further to the left. kinds: the columns of types.
    cells: the time of each row."""
    if sensor_columns.tells_rows_apart(cells, []) > 0.99:
        return ()
    some = sorted((c for c in columns if len(c.counts) > 1), key=lambda c: c.index)[:8]
    for count in (1, 2, 3):
        sets = list(combinations(some, count))
        sets.sort(key=lambda s: not any(c in kinds for c in s))
        for chosen in sets:
            if sensor_columns.tells_rows_apart(cells, chosen) > 0.99:
                return chosen
    return ()


def _follows(column: Column, kind: Column) -> bool:
    """Return whether the numbers of a column depend only on the type. Such numbers may be codes or
    limits."""
    pairs = set(zip(kind.cells, column.cells, strict=True))
    return len(pairs) == len(kind.counts)


def _constant(columns: Sequence[Column], *but: Column | None) -> tuple[Column, ...]:
    """Return the first column that has the same text in all rows, if this text contains a digit. Such a
    text is probably a name. Returns () if there is no such column. but: columns that are excluded."""
    alone = [c for c in columns if len(c.counts) == 1 and c not in but]
    return tuple(c for c in alone if re.search(r"\d", next(iter(c.counts))))[:1]


def code(columns: Sequence[Column]) -> Column | None:
    """Return the leftmost column if it contains the code of a station: the same integer of several
    digits in all rows. Otherwise return None."""
    first = next((c for c in columns if c.index == 0), None)
    if first is None or is_named(first) or len(first.counts) != 1 or first.filled < 4:
        return None
    return first if re.fullmatch(r"\d{2,12}", next(iter(first.counts))) else None
