"""JSON: where its records are, and the records as a table of their leaves."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import Any

import ijson

from sensorflow.core.formats.records import EVERY, KEY, Getter, Path, Record, explode, flat, label
from sensorflow.core.formats.records import path as steps_of
from sensorflow.core.sniff import numeric, times, words
from sensorflow.core.sniff.guess import Guess, Line
from sensorflow.core.sniff.head import Text
from sensorflow.core.sniff.table import Column, Table
from sensorflow.errors import Misuse

RECORDS = 5000
"""Records that are looked at."""
DEEP = 6
SENML = frozenset(
    {"bn", "bt", "bu", "bv", "bs", "bver", "n", "u", "v", "vs", "vb", "vd", "s", "t", "ut"}
)


def is_json(text: str) -> bool:
    begin = text.lstrip()[:2]
    return begin[:1] == "{" or re.match(r"\[\s*([\[{\"\d]|$)", text.lstrip()[:200]) is not None


@dataclass(frozen=True)
class Documents:
    """lines: whether each stands on its own line."""

    values: list[Any]
    lines: bool


def parsed(text: Text) -> Documents:
    """The documents of the sample; the last one as far as it goes."""
    found = [line for line in text.text.split("\n") if line.strip()]
    ways = [_line(line) for line in found[:RECORDS]]
    good = [value for value in ways if isinstance(value, dict | list)]
    if len(found) > 1 and len(good) > 0.8 * len(ways):
        return Documents(good, True)
    values = list(_documents(text))
    if not values:
        raise Misuse("this begins like JSON, and is none")
    return Documents(values, False)


def _line(line: str) -> Any:
    try:
        return _plain(json.loads(line))
    except (ValueError, RecursionError):
        return None


def _documents(text: Text) -> Iterator[Any]:
    """Documents one after another; what is cut off at the end of the sample is as far as it was read."""
    builder = ijson.ObjectBuilder()
    depth = 0
    begun = False
    try:
        stream = io.BytesIO(text.text.encode("utf-8", "replace"))
        for event, value in ijson.basic_parse(stream, multiple_values=True):
            begun = True
            builder.event(event, value)
            depth += {"start_map": 1, "start_array": 1, "end_map": -1, "end_array": -1}.get(
                event, 0
            )
            if depth == 0:
                yield _plain(builder.value)
                builder, begun = ijson.ObjectBuilder(), False
    except (ijson.JSONError, ValueError) as error:
        if not begun or text.complete:
            raise Misuse(f"not JSON: {' '.join(str(error).split())[:200]}") from error
        yield _plain(builder.value)


def _plain(value: Any) -> Any:
    """Numbers as their text, as the reader has them."""
    if isinstance(value, dict):
        return {key: _plain(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_plain(member) for member in value]
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return repr(value) if isinstance(value, float) else str(value)
    return value


def known(text: Text) -> Guess | None:
    """By members that only one source has."""
    documents = parsed(text)
    name, why = _kind(documents)
    if not name:
        return None
    needs = (
        (Line("format", "jsonl", "a document a line"),) if documents.lines and name == "ttn" else ()
    )
    return Guess((Line("extends", name, why), *needs, *text.settings))


def _kind(documents: Documents) -> tuple[str, str]:
    first = documents.values[0]
    if isinstance(first, dict):
        if documents.lines and {"metric_stream_name", "metric_name", "dimensions"} <= first.keys():
            return "cloudwatch", "a metric stream of Amazon CloudWatch"
        if isinstance(first.get("value"), dict) and "timeSeries" in first["value"]:
            return "usgs", "WaterML of USGS: value.timeSeries"
        if "end_device_ids" in first and "uplink_message" in first:
            return "ttn", "an uplink of The Things Stack"
    if isinstance(first, list) and first and not documents.lines:
        if all(isinstance(r, dict) and _is_senml(r) for r in first[:100]) and any(
            "v" in r for r in first
        ):
            return "senml", "SenML (RFC 8428)"
        inner = first[0][0] if isinstance(first[0], list) and first[0] else None
        if isinstance(inner, dict) and {"entity_id", "state"} <= inner.keys():
            return "home-assistant", "the history of Home Assistant"
    return "", ""


def _is_senml(record: dict[str, Any]) -> bool:
    return record.keys() <= SENML and bool(record.keys() & {"n", "bn", "v", "vs", "vb", "u"})


@dataclass(frozen=True)
class Place:
    """Where records are. keyed: they are the members of an object of lists, each list a column."""

    path: str
    keyed: bool = False


def table(text: Text) -> Table:
    """The leaves of the records as columns. Misuse where there are no records with a time."""
    documents = parsed(text)
    best: tuple[float, Table] | None = None
    for place in dict.fromkeys(p for v in documents.values[:20] for p in _places(v)):
        made = _table(documents, place, text)
        worth = _worth(made)
        if best is None or worth > best[0]:
            best = (worth, made)
    if best is None or best[0] <= 0:
        raise Misuse("no list of records with a time and a number in the JSON")
    return best[1]


def _places(value: Any, path: str = "", depth: int = 0) -> Iterator[Place]:
    """Where records may be: the document itself, elements of lists, members that are alike."""
    if depth > DEEP:
        return
    if isinstance(value, dict):
        yield Place(path)
        lists = [m for m in value.values() if isinstance(m, list)]
        lengths = {len(m) for m in lists}
        if (
            len(lists) > 1
            and lengths
            and len(lengths) == 1
            and not any(isinstance(e, dict | list) for m in lists for e in m[:3])
        ):
            yield Place(path, True)
            return
        inner = [m for m in value.values() if isinstance(m, dict)]
        if len(inner) > 1 and len(inner) == len(value) and len({frozenset(m) for m in inner}) == 1:
            yield from _places(inner[0], f"{path}[*]", depth + 1)
        for key, member in value.items():
            yield from _places(member, _below(path, key), depth + 1)
    elif isinstance(value, list):
        if (
            value
            and isinstance(value[0], list)
            and not isinstance((value[0] or [0])[0], dict | list)
        ):
            yield Place(f"{path}[*]")
            return
        for element in value[:2]:
            yield from _places(element, f"{path}[*]", depth + 1)


def _below(path: str, key: str) -> str:
    safe = key if re.fullmatch(r"[^.\[\]'$]+", key) else f"['{key}']"
    return f"{path}.{safe}" if path and not safe.startswith("[") else f"{path}{safe}"


def _table(documents: Documents, place: Place, text: Text) -> Table:
    steps = steps_of(place.path)
    records = list(islice((r for v in documents.values for r in explode(v, steps)), RECORDS))
    if place.keyed:
        records = [row for record in records for row in _transposed(record)][:RECORDS]
    settings = [Line("format", "jsonl" if documents.lines else "json")]
    every = not documents.lines and place.path == "[*]"
    if place.path and not every:
        settings.append(Line("records", place.path, f"{len(records)} in the sample"))
    if place.keyed:
        settings.append(Line("orient", "columns", "a list for each column"))
    settings += text.settings
    above = [] if place.keyed else _above(records, steps)
    units = _units(documents.values[0], place) if place.keyed else {}
    return Table(
        tuple(_columns(records, units)), tuple(settings), "", False, text.complete, tuple(above)
    )


def _transposed(record: Record) -> Iterator[Record]:
    lists = {k: m for k, m in record.value.items() if isinstance(m, list)}
    for row in zip(*lists.values(), strict=True):
        yield Record(dict(zip(lists, row, strict=True)), record.above, record.keys)


def _columns(records: Sequence[Record], units: dict[str, str]) -> list[Column]:
    if records and isinstance(records[0].value, list):
        width = max((len(r.value) for r in records if isinstance(r.value, list)), default=0)
        return [
            Column(
                i,
                f"#{i + 1}",
                "value",
                [_cell(r.value[i]) if i < len(r.value) else "" for r in records],
            )
            for i in range(width)
        ]
    rows = [dict(flat(r.value)) if isinstance(r.value, dict) else {} for r in records]
    names = list(dict.fromkeys(name for row in rows for name in row if name))
    short = _titles(names[:500])
    keyed = [r.keys[-1] if r.keys else "" for r in records]
    key = [] if all(k.isdigit() or not k for k in keyed) else [Column(len(names), KEY, KEY, keyed)]
    return [
        *(
            Column(
                i, name, short[i], [_cell(row.get(name)) for row in rows], (), units.get(name, "")
            )
            for i, name in enumerate(names[:500])
        ),
        *key,
    ]


def _titles(paths: Sequence[str]) -> list[str]:
    """The last names of the paths, where these tell them apart."""
    last = [path.rsplit(".", 1)[-1] for path in paths]
    return [name if last.count(name) == 1 else path for name, path in zip(last, paths, strict=True)]


def _cell(value: Any) -> str:
    return (label(value) or "").strip()


def _above(records: Sequence[Record], steps: Path) -> list[Column]:
    """Leaves around the records that may tell their time, sensor or unit."""
    if not records or not steps:
        return []
    found: list[Column] = []
    names: dict[str, None] = {}
    for depth, around in enumerate(records[0].above):
        prefix = _written(steps[:depth])
        if isinstance(around, dict):
            own = {
                k: v
                for k, v in around.items()
                if k != (steps[depth] if depth < len(steps) else None)
            }
            shallow = {k: v for k, v in own.items() if not isinstance(v, list)}
            names.update((f"${_joined(prefix, name)}", None) for name, _ in flat(shallow) if name)
    for name in list(names)[:100]:
        get = Getter(name, steps, {})
        found.append(Column(-1, name, name.rsplit(".", 1)[-1], [_cell(get(r)) for r in records]))
    return found


def _written(steps: Path) -> str:
    out = ""
    for step in steps:
        out = f"{out}[{step}]" if step == EVERY or isinstance(step, int) else _below(out, step)
    return out


def _joined(prefix: str, name: str) -> str:
    return f".{prefix}.{name}" if prefix and not prefix.startswith("[") else f"{prefix}.{name}"


def _units(document: Any, place: Place) -> dict[str, str]:
    """An object beside the columns that has a text for each of them, as hourly_units."""
    steps = steps_of(place.path)
    record = next(iter(explode(document, steps)), None)
    around = record.above[-1] if record and record.above else None
    if record is None or not isinstance(around, dict):
        return {}
    for member in around.values():
        if (
            isinstance(member, dict)
            and member is not record.value
            and member.keys() >= record.value.keys()
        ):
            return {k: v for k, v in member.items() if isinstance(v, str)}
    return {}


def _worth(made: Table) -> float:
    """How many records there are, if they tell times and numbers."""
    timed = [c for c in made.columns if _is_time(c)]
    above = [c for c in made.above if _is_time(c)]
    numbers = [c for c in made.columns if c not in timed and c.counts and numeric.numeric(c)]
    if not (timed or above) or not numbers:
        return 0.0
    measured = [c for c in numbers if not c.says(words.COUNTER)]
    # a leaf in a list belongs to the list's elements, which are then the records
    direct = any("[" not in c.reference for c in timed) or not timed
    return (
        made.rows * (1.0 if timed else 0.6) * (1.0 if measured else 0.3) * (1.0 if direct else 0.2)
    )


def _is_time(column: Column) -> bool:
    if not column.counts:
        return False
    if times.epoch(column.cells, column.title) is not None:
        return column.says(words.TIME) or column.reference.startswith("#")
    some = list(column.counts)[:50]
    packed = all(re.fullmatch(r"[\d.]+", t) for t in some)
    return (not packed or column.says(words.TIME)) and times.read(some) is not None
