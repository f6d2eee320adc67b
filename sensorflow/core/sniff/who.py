"""Which sensor measured: a column, several together, a line before the header, or the file's name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

from sensorflow.core.sniff import filename, units, words
from sensorflow.core.sniff.guess import Line, Value
from sensorflow.core.sniff.numeric import Numeric
from sensorflow.core.sniff.table import Column, Table

WANDERS = 12
"""Different numbers that may name sensors, however they change."""
_BEHIND = r'"?\s*[:=,;\t](?:\s*[,;\t])*\s*"?'


def titled(columns: Iterable[Column]) -> list[Column]:
    """The column that names sensors by its title, or none: an id before a name, and a filled one."""
    some = [c for c in columns if c.says(words.SENSOR) or is_long(c)]
    some = [c for c in some if c.filled > 0.95 * len(c.cells)]
    some = [c for c in some if c.says(words.IDENTITY) or not c.says(words.FLAG)]
    some = [c for c in some if _repeats(c) and not c.says(words.ZONE) and may_name(c)]
    return sorted(some, key=lambda c: (-_idness(c), c.index))[:1]


def may_name(column: Column) -> bool:
    """Whether its texts are none that tell something else: durations, truth values, dates, versions; nor
    the numbers of events and messages."""
    told = all(re.fullmatch(words.NO_NAME, t, re.I) for t in column.counts)
    return not told and not column.says(words.OF_EVENT)


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
    """The columns that name the sensor of a wide row. cells: the rows' times.

    One that its title tells; and where many rows are of the same time, one that tells these apart.
    """
    rest = [c for c in texts if c.filled > 0.9 * len(c.cells)]
    numbered = [n.column for n in readings if n.column.says(words.SENSOR) or is_long(n.column)]
    numbered = [c for c in numbered if is_name(c) and not is_measured(c, cells)]
    sensor = titled([*rest, *numbered])
    if not sensor and apart(cells, []) < 0.8:
        # a row for each station, all of about one time
        sensor = [c for c in rest if re.search(words.STATION, c.title.strip(), re.I)][:1]
    if apart(cells, sensor) < 0.8:
        whole = [n.column for n in readings if is_code(n.column) and len(readings) > 1]
        better = [c for c in [*rest, *whole] if c not in sensor and _may_tell(c, cells)]
        better = [c for c in better if apart(cells, [*sensor, c]) > 0.99]
        once = len(set(cells)) == 1
        better = [c for c in better if c not in whole or once or is_panel(cells, c)]
        sensor += sorted(better, key=lambda c: c.index)[:1]
    if not sensor and len(rest) == 1 and len(rest[0].counts) == 1:
        # a text that never changes, and has a number in it, is more likely a name than a remark
        text = next(iter(rest[0].counts))
        return rest if re.search(r"\d", text) and may_name(rest[0]) else []
    return sensor


def is_code(column: Column) -> bool:
    return len(column.counts) < 500 and all(re.fullmatch(r"\d{1,6}", t) for t in column.counts)


def _may_tell(column: Column, cells: Sequence[str]) -> bool:
    """Whether it repeats itself; or, where all rows are of one time, whether it differs in each."""
    if len(set(cells)) == 1:
        return len(column.counts) == len(cells)
    return 1 < len(column.counts) <= 0.5 * column.filled


def is_name(column: Column) -> bool:
    """Whether its numbers are names: whole, and repeated."""
    repeated = 0 < len(column.counts) <= max(1, 0.5 * column.filled)
    if is_long(column):
        return True
    return repeated and all(re.fullmatch(r"\d{1,20}", t) for t in column.counts)


def has_quantity(column: Column) -> bool:
    """Whether a title tells a unit or a quantity, and so no name: "Sensor Temp (C)"."""
    told = column.unit or units.split_unit(column.title)[1]
    return bool(told) or (column.says(words.QUANTITY) and not _plainly_names(column))


def is_measured(column: Column, cells: Sequence[str]) -> bool:
    """Whether numbers under a title that holds a word for sensors are measured. cells: the rows' times.

    A title that is no name by itself, as "Sensor_1", is one only if rows of the same time need it.
    """
    if has_quantity(column):
        return True
    if is_long(column):
        return False
    if _plainly_names(column):
        return not column.says(words.IDENTITY_ONLY) and _wanders(column, cells)
    return apart(cells, []) > 0.99


def _plainly_names(column: Column) -> bool:
    title = column.title.strip()
    return column.says(words.IDENTITY) or re.search(words.PLAIN_SENSOR, title, re.I) is not None


def _wanders(column: Column, cells: Sequence[str]) -> bool:
    """Whether it goes up and down in small steps from one time to the next."""
    if len(column.counts) <= WANDERS or apart(cells, []) < 0.99:
        return False
    values = [int(t) for t in column.cells if t.isdigit()]
    steps = [b - a for a, b in pairwise(values) if a != b]
    small = sum(abs(s) <= 0.25 * (max(values) - min(values)) for s in steps)
    down = sum(s < 0 for s in steps)
    return small > 0.9 * len(steps) and 0.2 < down / max(len(steps), 1) < 0.8


def is_long(column: Column) -> bool:
    """Whether it repeats numbers of ten digits or more, as an IMEI: no counter, which grows."""
    texts = [t for t in column.cells if t]
    if not texts or not all(re.fullmatch(r"[1-9]\d{9,19}", t) for t in texts):
        return False
    titled = column.says(words.SENSOR) or column.says(words.LONG)
    values = [int(t) for t in texts]
    grows = len(column.counts) > 1 and all(b >= a for a, b in pairwise(values))
    repeated = len(column.counts) < len(texts) and (titled or not grows)
    return repeated and not has_quantity(column) and not column.says(words.TIME)


def apart(cells: Sequence[str], columns: Sequence[Column]) -> float:
    """The part of the rows that times and columns together tell apart."""
    keys = set(zip(cells, *(c.cells for c in columns), strict=True))
    return len(keys) / max(len(cells), 1)


def is_panel(keys: Sequence[str], column: Column) -> bool:
    """Whether almost all keys, as times, have the same of its texts, each once: depths, channels, bins."""
    groups: dict[str, list[str]] = {}
    for key, cell in zip(keys, column.cells, strict=True):
        groups.setdefault(key, []).append(cell)
    sets = Counter(tuple(sorted(group)) for group in groups.values())
    often, count = sets.most_common(1)[0]
    return len(groups) > 1 and count > 0.8 * len(groups) and len(set(often)) == len(often) > 1


def line(table: Table, sensor: Sequence[Column]) -> tuple[list[Line], str]:
    """(the key `sensor`; none where a header row names the sensors, what is not certain of it)."""
    if table.sensors:
        return [], ""
    if len(sensor) > 1:
        whole = "/".join(f"{{{c.reference}}}" for c in sensor)
        return [Line("sensor", whole, "together they tell apart what was measured at once")], ""
    if sensor:
        return [Line("sensor", origin(sensor[0]), few(sensor[0]))], ""
    if (around := _around(table) or _above(table.preamble)) is not None:
        return [around], ""
    made, doubt = filename.sensor(table.name)
    return [made], doubt


def origin(column: Column) -> Value:
    """A column as the origin of a text; braces in its name would make it a template."""
    reference = column.reference
    return {"column": reference} if re.search(r"[{}]", reference) else reference


def few(column: Column) -> str:
    texts = ", ".join(list(column.counts)[:5])
    return f"{len(column.counts)} different: {texts}{', …' if len(column.counts) > 5 else ''}"


def _around(table: Table) -> Line | None:
    """What the members around the records call the logger."""
    found = [c for c in table.above if c.says(words.SENSOR) and c.filled == len(c.cells) > 0]
    found = [c for c in found if may_name(c)]
    best = max(found, key=_idness, default=None)
    return None if best is None else Line("sensor", origin(best), few(best))


def _above(preamble: str) -> Line | None:
    """What the lines before the header call the logger."""
    for word in words.LABELS:
        found = re.search(rf'(?im)^\W*({word}){_BEHIND}([^\s,;"][^,;"\n\t]*)', preamble)
        if found is None or found[2].rstrip().endswith(":"):
            continue
        label = re.sub(r"([\\.^$*+?{}\[\]|()])", r"\\\1", found[1])
        why = f'"{found[1]} {found[2].strip()[:40]}" stands before the header'
        return Line("sensor", {"preamble": rf'^\W*{label}{_BEHIND}([^,;"\n\t]+)'}, why)
    return None
