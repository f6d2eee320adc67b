"""Finds the columns that contain the type of the readings, if their titles do not say so."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from sensorflow.core.formats.records import KEY
from sensorflow.core.sniff import units, words
from sensorflow.core.sniff.numeric import Numeric
from sensorflow.core.sniff.table import Column

_QUANTITY = (
    r"(?i)temp|hum|press|^rh\b|wind|gust|rain|precip|flow|level|volt|curr|power|energy|pm\d|pm_?\d|\bno2|co2|^o3"
    r"|ozone|moist|light|lux|batt|dew|radiat|solar|speed|direction|turbid|conduct|salin|oxygen|^ph$|noise|voc"
    r"|weight|distance|rssi|snr|frequency|irradiance"
)
_NAMING = (
    r"(?i)^(names?|@key|key|id|n|comp|component|label|tag|code|sensor|sensor.?(id|type|name)|channel|item"
    r"|point|series|datastream\S*|observed.?property\S*|entity_?id|what|of)$"
)


def unnamed(texts: Sequence[Column], values: Sequence[Numeric]) -> list[Column]:
    """Return the columns that may contain the type, for a table with one reading per row. Returns [] if
    there are none.

    Columns whose texts are names of quantities are preferred. The next choice is columns in which each text
    occurs with only one unit, and then columns of names, if another column contains the device. The last
    choice is columns outside the records.
    """
    if len(values) != 1 or re.search(_QUANTITY, values[0].column.title):
        return []
    some = [c for c in texts if c.filled > 0.9 * len(c.cells) and _repeats(c)]
    aside = (words.UNIT, words.REMARK, words.FLAG)
    some = [c for c in some if not any(map(c.says, aside))]
    own = [c for c in some if not c.above]
    for found in (
        [c for c in own if _is_quantity(c)],
        [c for c in own if _has_units(c, texts)],
        [c for c in own if re.search(_NAMING, c.title) and _is_named_apart(c, some)],
        [c for c in some if c.above and _is_quantity(c) and len(c.counts) > 1],
    ):
        if found:
            return found
    return []


def tells_type(column: Column, texts: Sequence[Column]) -> bool:
    return _is_quantity(column) or _has_units(column, texts)


def _repeats(column: Column) -> bool:
    count = len(column.counts)
    return column.reference == KEY or count <= max(4, 0.6 * column.filled)


def _is_quantity(column: Column) -> bool:
    known = sum(re.search(_QUANTITY, text) is not None for text in column.counts)
    return known > 0.5 * len(column.counts) and not re.search(r"(?i)device|station", column.title)


def _has_units(column: Column, texts: Iterable[Column]) -> bool:
    """Return whether each text of the column occurs with only one unit, and these units are of different
    quantities."""
    unit = next((c for c in texts if c.says(words.UNIT) and len(c.counts) > 1), None)
    if unit is None or len(column.counts) < 2 or units.are_akin(unit.counts):
        return False
    pairs = {(a, b) for a, b in zip(column.cells, unit.cells, strict=True) if a}
    return len(pairs) == len(column.counts)


def _is_named_apart(column: Column, texts: Iterable[Column]) -> bool:
    return any(c is not column and c.says(words.DEVICE) for c in texts)
