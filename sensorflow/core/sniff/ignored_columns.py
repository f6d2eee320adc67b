"""Detects columns of numbers that are not readings: for example coordinates of a station, flags, codes,
and additional times."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from sensorflow.core.sniff import nameless, words
from sensorflow.core.sniff.numeric import POINT, Numeric
from sensorflow.core.sniff.table import Column

_WORD = r"(^|[^a-z])({})([^a-z]|$)"
PLACE = _WORD.format(
    r"lat(it|itude)?|lon(tit|gitude)?|long(?![ _-]+(?!deg|dec|dd|min|east|west|wgs)[a-z]{2})"
    r"|lng|elev(ation)?|alt(it|itude|itud|itudine)?"
    r"|(inlet|intake)(?=$|[_ ]?(height|elev|alt))|hoehe|höhe|breite|länge|laenge"
    r"|latitud|longitud|altitud|geo[_ ]?(lat|lon)|utm[_ ]?[xy]|easting|northing|wgs84|epsg"
    r"|(sampling|inlet|intake|sensor|measurement|station)[_ ]?(height|elevation)"
)
"""Titles of coordinates."""
_TAIL = (
    r"q|qc|qf|qa|qn|qcqa|flags?|fl|f|quality|qual|qualifier|status|stat|s|ql|qlevel|qc[_ ]?level"
    r"|code|valid|validity|isvalid|attr(ibute)?s?|ssitc|ssitc_test"
)
_FLAG = (
    r"^(qn_\d+|quality[_ ](bits|level|code|word)|qualit(y|é|ät)|qualitaet|calidad|kwaliteit|gütecode"
    r"|(over)?all_?flags?|fix|gps_?fix|fix_?type|state of value|interpolation type"
    r"|(diag|diagnostics?|error|alarm|status)[_ ]?(code|word|bits?|val|value|type)?"
    r"|(sa|ga|irga)_diag\w*)$"
)
_LEVEL = r"(?i)(^|[_ .])qc($|[_ .])|qc[_ .]level|[_ ]qf$|[_ .]flag$|^flag[_ .]|^qc_|_ssitc"
_KIND = (
    r"^(rec|record|row|line|msg|message|packet|frame|report|event|entry)[ _.]?(type|kind|code)$"
    r"|^(wmo|wban|usaf|icao|call[_ ]?sign|zip|postal|plz|postcode|county|state|country|fips|huc|source"
    r"|crx_?vn|serial|port|valve|firmware|version|program|batch)([ _]?(code|id|no|number))?$"
    r"|^(pod|site|station|sensor|device|location)[_ ]?id[_ ]\w+$|.[_ ]id$"
)
_SET = (
    r"^(position|slot|channel|device|unit|node|address|addr|bus|line|index|number|nr|trend_?period|period|interval"
    r"|(sampl\w*|log\w*|averag\w*|avg)[_ ]?(rate|interval|period|time))$"
)
"""Titles of columns that contain a setting or a name if all of their cells are equal."""
_COUNTED = (
    r"^(file|used|missing)?_?records?$|^n_?samples?$"
    r"|^(n|num|number)_?(of_?)?(records|samples|obs\w*|points)$|^data_?size$"
)
_TIMED = (
    r"^(doy|jday|yday|dayofyear|day_of_year|julian(_?(day|date|time))?|jd|mjd|doy_utc"
    r"|dec(imal)?[_ .]?(year|day|date|doy|time)"
    r"|(day|year|hour|doy)[_ .]?frac\w*|frac[_ .]?(day|year|doy|hour).*"
    r"|year|month|day|hour|minute|second|epoch\w*|unix\w*|serial_?date|excel_?date"
    r"|(day|hour|minute)s?_since.*|timezone|tz|utc_?offset(_seconds)?"
    r"|daytime|night|is_?(day|night)|week(day)?|day_?of_?week|gtime)$"
)


_ROUNDS = {"hour": 24.0, "minute": 60.0, "second": 60.0, "day": 31.0}


@dataclass(frozen=True)
class TableFacts:
    """Facts about a table that are needed to decide whether a column is ignored. titles: the titles of
    all columns, in lower case, without units. points: adjacent columns with the same geographic position
    in all rows. named: whether any column has a title. names: for each row, the texts that name its
    sensor."""

    titles: frozenset[str]
    points: tuple[Column, ...]
    named: bool
    names: Sequence[tuple[str, ...]]

    @classmethod
    def of(cls, columns: Sequence[Column], names: Sequence[tuple[str, ...]]) -> TableFacts:
        titles = frozenset(_plain(c.title) for c in columns)
        named = any(map(nameless.is_named, columns))
        return cls(titles, () if named else nameless.points(columns), named, names)


def without_ignored(
    numbers: Sequence[Numeric], sensor: Sequence[Column], ignored: dict[str, str]
) -> list[Numeric]:
    """Return the columns that are readings; if there are none, return all columns. Adds the other columns
    and the reasons to `ignored`.

    sensor: the columns that contain the name of each row's sensor.
    """
    names = list(zip(*(c.cells for c in sensor), strict=True)) if sensor else []
    seen = TableFacts.of([n.column for n in numbers], names)
    reasons = {n.column: reason for n in numbers if (reason := _reason(n.column, seen))}
    measured = [n for n in numbers if n.column not in reasons]
    if not any(n.column.counts for n in measured):
        return list(numbers)
    ignored |= {column.reference: reason for column, reason in reasons.items()}
    return measured


def _reason(column: Column, seen: TableFacts) -> str | None:
    """Return why a column is not a reading, according to its title and its cells. Returns None if the
    column may be a reading."""
    title = _plain(column.spelled) or column.title
    if not nameless.is_named(column) and seen.named:
        return "has no name"
    if column in seen.points or (_says(PLACE, title) and _fixed(column, seen.names)):
        return "a position that does not change"
    if _is_flag(column, seen.titles):
        return "a flag"
    if (re.search(_KIND, title, re.I) and _is_complete(column)) or _padded(column):
        return "a code"
    if re.search(_SET, title, re.I) and len(column.counts) == 1 and _is_complete(column):
        return "a setting or a name that never changes"
    if title == "table" and column.index == 2 and len(column.counts) < 50 and _is_complete(column):
        return "the number of a query result"
    if re.search(_COUNTED, title, re.I) and _is_complete(column):
        return "counts samples"
    timed = re.search(_TIMED, title, re.I) is not None and not _is_duration(title, column)
    if timed or (column.says(words.TIME) and _passes(column)):
        return "another time"
    return None


def is_place(column: Column) -> bool:
    """Return whether the title of a column is that of a coordinate."""
    return _says(PLACE, _plain(column.spelled) or column.title)


def _is_duration(title: str, column: Column) -> bool:
    """Return whether a column of decimals with a title such as "hour" contains durations. The steps
    between durations are irregular. The steps of a clock are regular."""
    period = _ROUNDS.get(title)
    if period is None or _is_complete(column):
        return False
    steps = [round((b - a) % period, 2) for a, b in pairwise(_values(column.cells))]
    often = max(map(steps.count, set(steps)), default=0)
    return len(steps) > 1 and often < 0.5 * len(steps)


def _says(pattern: str, title: str) -> bool:
    return re.search(pattern, title, re.I) is not None


def _fixed(column: Column, names: Sequence[tuple[str, ...]]) -> bool:
    """Return whether the column has only one value, or only one value for each sensor. names: for each
    row, the texts that name its sensor."""
    if len(column.counts) <= 1:
        return True
    pairs = {(name, cell) for name, cell in zip(names, column.cells, strict=False) if cell}
    return bool(names) and len(pairs) == len({name for name, _ in pairs})


def _is_flag(column: Column, titles: frozenset[str]) -> bool:
    """Return whether the column is a flag: it contains only a few short codes, and its title is that of a
    flag, or another column's title with a word such as `qc` or `flag`."""
    if not _small(column):
        return False
    title = _plain(column.spelled)
    if re.search(_FLAG, title) or re.search(_LEVEL, title):
        return True
    match = re.fullmatch(rf"(.+?)[ _.:-]({_TAIL})|(?:qc?|flag|qa)[ _.:-](.+)", title)
    base = match and (match[1] or match[match.lastindex or 1])
    return bool(base) and _plain(str(base)) in titles


def _plain(title: str) -> str:
    return re.sub(r"[\s_]*[(\[].*", "", title).strip(" -_").lower()


def _small(column: Column) -> bool:
    codes = all(re.fullmatch(r"-?\d{1,5}(\.0*)?[A-Za-z]?", t) for t in column.counts)
    return codes and len(column.counts) <= 60


def _padded(column: Column) -> bool:
    """Return whether all cells of the column are codes such as 001: digits with a leading zero, all of
    the same length."""
    texts = column.counts
    return len({len(t) for t in texts}) == 1 and all(re.fullmatch(r"0\d+", t) for t in texts)


def _is_complete(column: Column) -> bool:
    return all(re.fullmatch(r"-?\d+(\.0*)?", t) for t in column.counts)


def _passes(column: Column) -> bool:
    """Return whether the numbers of a column almost never decrease from row to row, as those of a clock
    do, or are all equal."""
    values = _values(column.cells)
    if len(set(values)) <= 1:
        return len(values) > 1
    steps = [b - a for a, b in pairwise(values)]
    onward = len(steps) > 2 and sum(s >= 0 for s in steps) >= 0.95 * len(steps)
    return onward and len(set(values)) > 0.2 * len(values)


def _values(cells: Iterable[str]) -> list[float]:
    texts = (t.replace(",", ".") for t in cells if t)
    return [float(t) for t in texts if POINT.fullmatch(t)][:2000]
