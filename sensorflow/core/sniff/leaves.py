"""Converts JSON records to columns. A column contains a leaf of each record, a key, or a leaf outside
the records."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from sensorflow.core.formats.keys import Place
from sensorflow.core.formats.records import EVERY, KEY, Getter, Path, Record, label
from sensorflow.core.sniff import places, times, words
from sensorflow.core.sniff.table import Column

MAX_LEAVES = 500
"""Maximum number of leaves that are examined."""
ABOVE = 100
GENERIC = (
    r"(?i)^(id|name|key|code|type|label|number|@iot\.id|\d+\w?|all|deg|speed|avg|mean|average|min|max|total"
    r"|current|now)$"
)
_LISTED = r"(?i)^(columns?|fields|headers?|names?|keys|column_?names?|parameters|variables)$"
_MEASURED_IN = r"(?i)^(units|column_?units)$"


def columns(records: Sequence[Record], steps: Path, units: dict[str, str]) -> list[Column]:
    """Return the columns of the records. They are followed by columns of the member names on the path to
    the records, and by columns of the leaves outside the records. units: column -> unit."""
    listed = bool(records) and isinstance(records[0].value, list)
    own = _listed(records) if listed else _own(records, units)
    return [*own, *_keys(records, len(own)), *_around(records, steps)]


def _own(records: Sequence[Record], units: dict[str, str]) -> list[Column]:
    rows = [_row(r.value) for r in records]
    names = list(dict.fromkeys(name for row in rows for name in row))[:MAX_LEAVES]
    named = titles(names)
    cells = [[_cell(row.get(name)) for row in rows] for name in names]
    for i, name in enumerate(names):
        if pair := re.fullmatch(r"(.+)\[[01]\]", name):
            named[i] = "time" if times.epoch(cells[i], "time") else _short(pair[1])
    return [
        Column(i, name, named[i], cells[i], _spelled(named[i]), units.get(name, ""))
        for i, name in enumerate(names)
    ]


def _row(value: Any) -> dict[str, Any]:
    """Return path -> leaf for a record. If the record is a plain value, it is itself a leaf, whose path
    is "."."""
    if isinstance(value, dict):
        return dict(leaves(value))
    return {} if isinstance(value, list) else {".": value}


def leaves(value: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (path, value) for each plain value of a record. Lists are ignored, unless they are pairs of
    a time and a value."""
    for key, member in value.items():
        name = places.below(prefix, key) if prefix else key
        if isinstance(member, dict):
            yield from leaves(member, name if prefix else places.below("", key))
        elif not isinstance(member, list):
            yield name, member
        elif len(member) == 2 and _is_pair(member):
            yield from ((f"{name}[{i}]", m) for i, m in enumerate(member))


def _is_pair(member: list[Any]) -> bool:
    cells = [_cell(m) for m in member if not isinstance(m, dict | list)]
    found = [times.epoch([c], "time") is not None or times.read([c]) is not None for c in cells]
    return len(cells) == 2 and any(found) and not all(found)


def titles(paths: Sequence[str]) -> list[str]:
    """Return a short title for each path, such as "temperature" for "temperature.value". If several
    paths have the same short title, their titles are the paths."""
    short = ["value" if path == "." else _short(path) for path in paths]
    return [
        name if short.count(name) == 1 else path for name, path in zip(short, paths, strict=True)
    ]


def _short(path: str) -> str:
    names = [n for n in re.split(r"\.(?![^\[]*\])|(?=\['|\[\d)", path) if n]
    last = names[-1].strip("[']")
    if len(names) == 1:
        return last
    above = names[-2].strip("[']")
    if re.search(words.UNIT, _snake(above), re.IGNORECASE):
        return "unit" if re.search("(?i)^(symbol|code|short|abbr)", last) else "unit label"
    if re.search(words.VALUE, last, re.IGNORECASE) or re.fullmatch(r"\d+", last):
        return above if not re.fullmatch(r"\d+", last) else f"{above}[{last}]"
    return f"{above}.{last}" if re.search(GENERIC, last) else last


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)


def _spelled(title: str) -> tuple[str, ...]:
    """Return the title with separated words, such as ("Parameter_Name",) for "ParameterName". Returns ()
    if this is the title itself."""
    return (snake,) if (snake := _snake(title)) != title else ()


def _listed(records: Sequence[Record]) -> list[Column]:
    """Return the columns of records that are lists. The names of the columns are in a list of texts
    outside the records, if there is such a list."""
    rows = [r.value if isinstance(r.value, list) else [] for r in records]
    width = max(map(len, rows), default=0)
    names = _texts(records[0], _LISTED, width) or [""] * width
    units = _texts(records[0], _MEASURED_IN, width) or [""] * width
    cells = [[_cell(row[i]) if i < len(row) else "" for row in rows] for i in range(width)]
    if not any(names):
        first = next((i for i in range(width) if times.epoch(cells[i], "time")), None)
        names = ["time" if i == first else "value" for i in range(width)]
    return [
        Column(i, f"#{i + 1}", names[i] or "value", cells[i], (), units[i]) for i in range(width)
    ]


def _texts(record: Record, called: str, width: int) -> list[str]:
    """Find a list that is outside the records and has one text for each column. Return its texts, or [] if
    there is no such list. called: a pattern for the name of the list. width: number of columns."""
    for around in reversed(record.above):
        for key, member in around.items() if isinstance(around, dict) else ():
            if re.search(called, key) and isinstance(member, list) and len(member) == width:
                named = [m.get("name") or m.get("id") if isinstance(m, dict) else m for m in member]
                if all(n is None or isinstance(n, str) for n in named):
                    return [n or "" for n in named]
    return []


def _keys(records: Sequence[Record], index: int) -> list[Column]:
    """Return a column for each step of the records' path that selects members. Such a column contains the
    names of the selected members. The nearest step comes first. index: the index of the first column."""
    found: list[Column] = []
    for up in range(max((len(r.keys) for r in records), default=0)):
        keys = [r.keys[-1 - up] if up < len(r.keys) else "" for r in records]
        if not any(isinstance(key, Place) for key in keys):
            title = "time" if places.is_times(keys) else KEY
            found.append(Column(index + up, f"{KEY}({up})" if up else KEY, title, keys))
    return found


def _around(records: Sequence[Record], steps: Path) -> list[Column]:
    """Return columns of the leaves outside the records. The leaves of the nearest object come first."""
    names: dict[str, str] = {}
    for record in records[:: max(1, len(records) // 50)]:
        for depth in reversed(range(len(record.above))):
            around = record.above[depth]
            if isinstance(around, dict):
                step = steps[depth] if depth < len(steps) else None
                plain = {} if step == EVERY else {k: v for k, v in around.items() if k != step}
                prefix = _written(steps[:depth])
                for name, value in leaves(plain):
                    if not isinstance(value, list):
                        names.setdefault(f"${_joined(prefix, name)}", name)
    found: list[Column] = []
    for rank, (name, path) in enumerate(list(names.items())[:ABOVE]):
        get = Getter(name, steps, {})
        cells = [_cell(get(r)) for r in records]
        title = _titled(name, path)
        found.append(Column(10_000 + rank, name, title, cells, _spelled(title), above=True))
    return found


def _titled(reference: str, path: str) -> str:
    """Return the title of a leaf. If the name of the leaf is generic, the title includes the name of its
    parent, such as "station.id"."""
    short = _short(path)
    inner = [n for n in re.split(r"[.\[\]'$*]+", reference) if n]
    generic = re.search(GENERIC, short) and len(inner) > 1
    return f"{inner[-2]}.{short}" if generic else short


def _cell(value: Any) -> str:
    return (label(value) or "").strip()


def _written(steps: Path) -> str:
    out = ""
    for step in steps:
        out = (
            f"{out}[{step}]" if step == EVERY or isinstance(step, int) else places.below(out, step)
        )
    return out


def _joined(prefix: str, name: str) -> str:
    name = name if name.startswith("[") else f".{name}"
    return f".{prefix}{name}" if prefix and not prefix.startswith("[") else f"{prefix}{name}"
