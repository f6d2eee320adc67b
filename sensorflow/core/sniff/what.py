"""Which columns are readings, of which sensor, type and unit; and which are none."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sensorflow.core.sniff import header, numeric, when
from sensorflow.core.sniff.guess import Line, Value
from sensorflow.core.sniff.numeric import Numeric
from sensorflow.core.sniff.table import Column, Table
from sensorflow.core.sniff.when import When
from sensorflow.errors import Misuse

FILE_NAME = r"^(.+?)(?:\.[^.]*)?(?:\.gz)?$"
SENSOR = (
    r"(^|[^a-z])(sensors?|device|station|site|logger|node|serial|probe|mote|unit_?id|meter|nmi|mac|eui|dev_?eui|location"
    r"|entity|host|tag|asset|stn|stid|sid|buoy|well|point|channel_?id|thing|gateway|source_?id|id|name|topic|instance|standort|estacion|boitier)([^a-z]|$)"
    r"|(sensor|device|station|site|logger|node|probe|meter|entity|location|deployment|platform)[_ ]?(id|name|no|number|code|serial|key|eui|uid)?$"
    r"|(device|sensor|station|site|node)_?id"
)
KIND = (
    r"(^|[^a-z])(type|parameter|param|variable|quantity|metric|measurand|measurement|property|field|characteristic"
    r"|observable|observed_?property|pollutant|channel|element|signal|attribute|reading_?type|sensor_?type|what|kind|datatype|grandeur|__name__|target)([^a-z]|$)"
    r"|(parameter|variable|metric|quantity|element)(_?(name|code|id|cd))?$|observed_?property"
)
VALUE = (
    r"^(raw_?)?(value|val|values|reading|readings|result|measurement|measured_?value|wert|messwert|mean|data|amount"
    r"|observation|concentration|sample_?measurement|sensor_?value|v|valeur|valor|state|_value|result_?value|obs_?value)$"
)
UNIT = r"^(unit|units|uom|unit_?of_?measure(ment)?|einheit|unit_?name|unit_?code|unite|unidad|units_of_measure)$"
IDENTITY = r"(^|[^a-z])(id|code|serial|s/n|eui|mac|index)$|[a-z]id$|_id$|ID$|^(location|station|site|sensor|device|node|mote|stn)(_?id)?$"
COUNTER = r"^(#|no\.?|nr\.?|num|number|record|rec|recno|rn|index|idx|row|id|obs|seq\w*|counter|unnamed: 0|fcnt|f_cnt|sample|line|entry_?id|scan|count|packet\w*|fcnt|f_cnt|s\.?no\.?|serial)$"
FLAG = r"(^|[^a-z])(flags?|qc|qa|qaqc|quality|qual|qualifier|status|err(or)?_?(code|flag)?|source|uncert|valid|validity|approval|qflag|alarm|checksum|crc)([^a-z]|$)|_(qc|flag|qual|cd)$|qc_|flag$"
PART = r"^(ms|msec|milli(second)?s?)$"
ELAPSED = r"elapsed|uptime|up_?time|seconds?_?since|run_?time|^millis"
REMARK = r"(^|[^a-z])(notes?|comments?|remarks?|description|event|version|firmware|fw|label)([^a-z]|$)"
EVERY = 100
"""Columns up to which each gets its own line."""


@dataclass
class Found:
    """What the columns of a table are, filled in one step after another."""

    table: Table
    when: When
    numbers: list[Numeric] = field(default_factory=list)
    ignored: dict[str, str] = field(default_factory=dict)
    todo: list[str] = field(default_factory=list)
    settings: list[Line] = field(default_factory=list)

    def ignore(self, column: Column, why: str) -> None:
        if column.title or column.reference:
            self.ignored[column.reference] = why


def lines(table: Table, found: When, name: str) -> tuple[list[Line], list[Line], list[str]]:
    """(settings, columns, what a person must still say). Misuse where no column is measured."""
    state = Found(table, found)
    comma = any(line.key == "decimal" for line in table.settings)
    used = {c.reference for c in found.columns}
    texts, readings = _sorted(state, [c for c in table.columns if c.reference not in used], comma)
    long = _long(texts, readings)
    if long is not None:
        kind, value = long
        sensor, unit = _long_lines(state, [c for c in texts if c is not kind], kind, value)
        _ignore_rest(state, [*texts, *(n.column for n in readings)], {kind, value.column, *sensor, *unit})
        state.numbers = numeric.with_sentinels([value])
        state.settings += [Line("type", kind.reference, _few(kind)), Line("value", value.column.reference)]
        columns: list[Line] = []
    else:
        sensor, unit = _sensor(state, texts, readings)
        readings = _without_names(state, [n for n in readings if n.column not in sensor])
        if not readings:
            raise Misuse(_nothing(table))
        _ignore_rest(state, texts, {*sensor, *unit})
        state.numbers = numeric.with_sentinels(readings)
        columns = _wide(state)
    made = [*_naming(state, sensor, name), *_unit(unit), *state.settings, *_missing(state)]
    if any(n.thousands for n in state.numbers):
        made.append(Line("thousands", "." if comma else ",", "between thousands"))
    if state.ignored:
        made.append(Line("ignore", list(state.ignored), _reasons(state.ignored)))
    return made, columns, state.todo


def _nothing(table: Table) -> str:
    names = ", ".join(repr(c.title or c.reference) for c in table.columns[:12])
    return f"no column of numbers beside the time; found {names}"


def _reasons(ignored: dict[str, str]) -> str:
    groups: dict[str, list[str]] = {}
    for reference, why in ignored.items():
        groups.setdefault(why, []).append(reference)
    return "; ".join(f"{', '.join(refs[:4])}{' …' if len(refs) > 4 else ''}: {why}" for why, refs in groups.items())


def _sorted(
    state: Found, columns: Sequence[Column], comma: bool
) -> tuple[list[Column], list[Numeric]]:
    """(columns of texts, columns of readings); the others are ignored, with the reason."""
    texts: list[Column] = []
    readings: list[Numeric] = []
    aside = {c.reference for c in state.when.aside}
    fixed = {c.reference for c in when.fixed_part(columns)}
    for column in columns:
        made = numeric.numeric(column, comma) if not column.instant else None
        if column.reference in aside or column.instant:
            state.ignore(column, "another time")
        elif made is None:
            texts.append(column)
        elif (why := _no_reading(column, made, fixed)) is not None:
            if why != "" and not (column.says(SENSOR) and why == "counts rows"):
                state.ignore(column, why)
        else:
            readings.append(made)
    return texts, readings


def _no_reading(column: Column, made: Numeric, fixed: set[str]) -> str | None:
    """Why a column of numbers holds no readings; None if it does."""
    if not column.title:
        return "has no name"
    if column.reference in fixed and made.column.counts and _whole(column):
        return "a part of the time"
    if _numbered(column):
        return "counts rows"
    if re.search(PART, column.title, re.IGNORECASE):
        return "a part of the time"
    if column.says(ELAPSED) or re.search(r"(?i)^(seconds?|sec)$", column.title) and _grows(column):
        return "time since a start"
    if re.match(r"Unnamed: \d+$", column.title):
        return "has no name"
    if column.says(FLAG) and len(column.counts) <= 60 and (_whole(column) or not column.counts):
        return "a flag"
    if not column.counts and column.says(REMARK):
        return "empty here"
    return None


def _grows(column: Column) -> bool:
    values = [float(t) for t in column.cells if numeric.POINT.fullmatch(t)]
    return len(values) > 2 and all(b > a for a, b in zip(values, values[1:], strict=False))


def _whole(column: Column) -> bool:
    return all(re.fullmatch(r"-?\d{1,4}(\.0*)?", t) or numeric.is_nothing(t) for t in column.counts)


def _numbered(column: Column) -> bool:
    """Whether it counts the rows: 1, 2, 3."""
    named = re.search(COUNTER, column.title.strip(), re.IGNORECASE) is not None
    cells = [t for t in column.cells[:2000] if t]
    if not all(re.fullmatch(r"\d{1,15}(\.0*)?", t) for t in cells):
        return False
    values = [int(float(t)) for t in cells]
    steps = [b - a for a, b in zip(values, values[1:], strict=False)]
    if not steps:
        return named and column.title.strip().lower() not in ("count", "sample", "number", "id")
    ones = sum(s == 1 for s in steps) / len(steps)
    return ones > 0.9 and len(steps) > 3 if not named else ones > 0.5 or column.title == "RECORD"


def _long(texts: Sequence[Column], readings: Sequence[Numeric]) -> tuple[Column, Numeric] | None:
    """(the column that tells the type, the one of values) where a row is one reading."""
    values = [n for n in readings if re.search(VALUE, _bare(n.column), re.IGNORECASE)]
    if not values and len(readings) == 1:
        values = list(readings)
    kinds = [c for c in texts if c.says(KIND) and not c.says(UNIT) and c.filled]
    kinds = [c for c in kinds if c.filled > 0.9 * len(c.cells) and (len(c.counts) > 1 or len(texts) < 4)]
    if not values or not kinds or len(values) > 1 and not re.search(VALUE, _bare(values[0].column), re.I):
        return None
    names = [c for c in kinds if re.search(r"name|type|parameter|variable|metric|quantity|field", c.title, re.I)]
    best = min(names or kinds, key=lambda c: (len(c.counts) == 1, c.says(SENSOR), len(c.counts), c.index))
    if len(best.counts) > max(2, 0.6 * best.filled) or len(best.counts) > 500:
        return None
    return best, values[0]


def _bare(column: Column) -> str:
    return header.split_unit(column.title)[0].split(".")[-1].strip()


def _few(column: Column) -> str:
    texts = ", ".join(list(column.counts)[:5])
    return f"{len(column.counts)} different: {texts}{', …' if len(column.counts) > 5 else ''}"


def _long_lines(
    state: Found, texts: list[Column], kind: Column, value: Numeric
) -> tuple[list[Column], list[Column]]:
    """(sensor, unit) of a table whose row is one reading."""
    units = [c for c in texts if c.says(UNIT)]
    rest = [c for c in texts if c not in units]
    sensor = _titled(rest)
    if not sensor:
        numbered = [n.column for n in _others(state, kind, value) if n.says(SENSOR)]
        sensor = _titled(numbered)
    return sensor, units[:1]


def _others(state: Found, kind: Column, value: Numeric) -> list[Numeric | Column]:
    used = {kind.reference, value.column.reference, *(c.reference for c in state.when.columns)}
    return [c for c in state.table.columns if c.reference not in used]  # type: ignore[return-value]


def _titled(columns: Iterable[Column]) -> list[Column]:
    """The column that names sensors by its title: an id before a name, and one that is filled."""
    some = [c for c in columns if c.says(SENSOR) and c.filled > 0.95 * len(c.cells)]
    some = [c for c in some if len(c.counts) <= max(1, 0.6 * c.filled) or c.filled < 5]
    ranked = sorted(some, key=lambda c: (-_idness(c), c.index))
    return ranked[:1]


def _idness(column: Column) -> float:
    strong = column.says(r"(sensor|device|station|logger|node|meter|probe|entity|serial|eui|nmi|site)")
    ident = column.says(r"(id|eui|serial|s/?n|number|code|no)$|^(id|nmi|mac)")
    many = len(column.counts) > 1
    return 2 * strong + ident + many


def _sensor(
    state: Found, texts: list[Column], readings: list[Numeric]
) -> tuple[list[Column], list[Column]]:
    """The columns that tell apart what was measured at the same time; none if nothing needs be."""
    units = [c for c in texts if c.says(UNIT)]
    rest = [c for c in texts if c not in units and c.filled > 0.9 * len(c.cells)]
    for column in [c for c in rest if _clocklike(c)]:
        example = next(iter(column.counts))
        state.todo.append(f"times of day as {example!r} in {column.title!r} cannot be read")
        rest.remove(column)
    numbered = [n.column for n in readings if n.column.says(SENSOR) and _identifies(n.column)]
    sensor = _titled([*rest, *numbered])
    if state.table.sensors:
        return [], units[:1]
    cells = state.when.cells
    if _unique(cells, sensor) < 0.8:
        whole = [n.column for n in readings if _whole(n.column) and len(n.column.counts) < 500]
        more = [c for c in [*rest, *whole] if c not in sensor and 1 < len(c.counts) <= 0.5 * c.filled or c in _parts(rest, whole, cells)]
        better = [c for c in more if _unique(cells, [*sensor, c]) > 0.99]
        if better:
            sensor = [*sensor, min(better, key=lambda c: c.index)]
    if not sensor and not units and len(rest) == 1 and 1 <= len(rest[0].counts) <= max(1, 0.2 * rest[0].filled):
        constant = len(rest[0].counts) == 1
        sensor = rest if constant and re.search(r"\d", next(iter(rest[0].counts))) else []
    return sensor, units[:1] if len(readings) == 1 else []


def _without_names(state: Found, readings: list[Numeric]) -> list[Numeric]:
    """Numbers that are names, as station codes, left out."""
    kept = []
    for each in readings:
        named = re.search(IDENTITY, each.column.title) or each.column.says(IDENTITY.lower())
        if named and (_identifies(each.column) or each.column.filled == 1 and _whole_digits(each.column)):
            state.ignore(each.column, "a name, not a reading")
        else:
            kept.append(each)
    return kept or readings


def _whole_digits(column: Column) -> bool:
    return all(t.isdigit() for t in column.counts)


def _parts(rest: Sequence[Column], whole: Sequence[Column], cells: Sequence[str]) -> list[Column]:
    """Columns that may number what was measured at once, in a file of a few rows."""
    return [c for c in [*rest, *whole] if len(set(cells)) == 1 and len(c.counts) == len(cells)]


def _clocklike(column: Column) -> bool:
    return all(re.match(r"\d{1,2}[:.]\d\d", t) for t in list(column.counts)[:50])


def _identifies(column: Column) -> bool:
    """Whether a number is a name: whole, repeated, and called an id."""
    repeated = len(column.counts) <= max(1, 0.5 * column.filled)
    return repeated and all(re.fullmatch(r"\d{1,20}", t) for t in column.counts) and column.filled > 0


def _unique(cells: Sequence[str], columns: Sequence[Column]) -> float:
    keys = set(zip(cells, *(c.cells for c in columns), strict=True))
    return len(keys) / max(len(cells), 1)


def _ignore_rest(state: Found, columns: Iterable[Column], used: set[Column]) -> None:
    for column in columns:
        if any(column is c for c in used) or column.reference in state.ignored:
            continue
        kind = "text" if column.counts else "empty here"
        state.ignore(column, kind if numeric.numeric(column) is None or not column.counts else "not needed")


def _naming(state: Found, sensor: Sequence[Column], name: str) -> list[Line]:
    """The sensor: of columns, of the lines above the header, or the file's name."""
    if state.table.sensors:
        return []
    if len(sensor) > 1:
        whole = "/".join(f"{{{c.reference}}}" for c in sensor)
        return [Line("sensor", whole, "together they tell apart what was measured at once")]
    if sensor:
        origin: Value = sensor[0].reference
        origin = {"column": origin} if re.search(r"[{}]", str(origin)) else origin
        return [Line("sensor", origin, _few(sensor[0]))]
    above = _above(state.table)
    if above is not None:
        return [above]
    return [Line("sensor", {"file_name": FILE_NAME}, f"the file's name: no column tells it")]


def _above(table: Table) -> Line | None:
    """What the lines before the header, or the members around the records, call the logger."""
    for column in sorted((c for c in table.above if c.says(SENSOR)), key=lambda c: -_idness(c)):
        if column.filled == len(column.cells) and column.filled:
            return Line("sensor", column.reference, _few(column))
    for word in _LABELS:
        match = re.search(rf"(?im)^\W*({word}){_BEHIND}([^\s,;\"][^,;\"\n\t]*)", table.preamble)
        if match is None or re.search(r":\s*$", match[2]):
            continue
        label = re.sub(r"([\\.^$*+?{}\[\]|()])", r"\\\1", match[1])
        shown = f"{match[1]} {match[2].strip()[:40]}"
        wanted = rf"^\W*{label}{_BEHIND}([^,;\"\n\t]+)".replace(r"\"", '"')
        return Line("sensor", {"preamble": wanted}, f'"{shown}" stands before the header')
    return None


_LABELS = (
    r"(?:logger |device |instrument )?serial(?:[ _]?(?:number|no\.?|#))?|s/n|[\w/ -]*registration number",
    r"(?:logger|station|device|sensor|site)[ _]?(?:id|code)",
    r"(?:logger|station|device|site)(?:[ _]?name)?|station",
)
_BEHIND = r"\"?\s*[:=,;\t]\s*\"?"


def _unit(columns: Sequence[Column]) -> list[Line]:
    if not columns:
        return []
    origin: Value = columns[0].reference
    origin = {"column": origin} if re.search(r"[{}]", str(origin)) else origin
    return [Line("unit", origin, _few(columns[0]))]


def _missing(state: Found) -> list[Line]:
    """Markers that stand for no reading in the whole table."""
    markers: dict[str, None] = {}
    for each in state.numbers:
        markers.update(dict.fromkeys(each.markers))
        markers.update((t, None) for t in each.numbers if _everywhere(t, state))
    if not markers:
        return []
    numbers = [t for t in markers if numeric.POINT.fullmatch(t)]
    seen: dict[float, str] = {}
    for text in numbers:
        seen.setdefault(float(text), text)
    kept = [t for t in markers if t not in numbers or seen[float(t)] == t]
    why = "they stand where numbers should" + ("; far outside of the other values" if numbers else "")
    return [Line("missing", kept, why)]


def _everywhere(text: str, state: Found) -> bool:
    """Whether a marker is a value in no other column."""
    value = float(text)
    for each in state.numbers:
        own = [float(t) for t in each.numbers]
        if value not in own and value in each.values:
            return False
    return value < 0 or bool(not state.when or not state.table.columns) or len(state.numbers) == 1 or bool(
        all(value in [float(t) for t in n.numbers] or not n.values or max(n.values) < value / 3 for n in state.numbers)
    )


def _wide(state: Found) -> list[Line]:
    """A line for each measured column; or one for all of them, where there are too many."""
    if state.table.sensors or len(state.numbers) > EVERY:
        state.settings.append(Line("each", ".+", f"{len(state.numbers)} columns of numbers"))
        return []
    made: list[Line] = []
    seen: set[str] = set()
    for each in state.numbers:
        column = each.column
        cell, why = _cell(state, each)
        kind = str(cell.get("type", column.title or column.reference))
        if kind in seen:
            kind = f"{kind} {column.index + 1}"
            cell = {"type": kind, **{k: v for k, v in cell.items() if k != "type"}}
            state.todo.append(f"two columns are called alike: what is {kind!r}?")
        seen.add(kind)
        made.append(Line(column.reference, cell, why))
    return made


def _cell(state: Found, each: Numeric) -> tuple[dict[str, Value], str]:
    column = each.column
    cell: dict[str, Value] = {}
    title, unit = header.split_unit(column.title)
    if column.told:
        title, unit = column.title, ""
    elif column.unit:
        title, unit = column.title, column.unit
    if title and title != column.reference:
        cell["type"] = title
    if unit or each.suffix:
        cell["unit"] = unit or each.suffix
    if each.suffix:
        cell["clean"] = rf"^(.+?)\s*{re.escape(each.suffix)}$"
    own = [t for t in each.numbers if not _everywhere(t, state)]
    if own:
        cell["missing"] = own
    why = f"{each.odd} cells are no numbers" if each.odd else ""
    return cell, why or ("nothing in it here" if not column.counts else "")
