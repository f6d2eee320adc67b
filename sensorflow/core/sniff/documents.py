"""Finds the records in JSON documents, and converts them to tables. The columns are the leaves of the
records, that is, their plain values."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import islice
from typing import Any

import ijson

from sensorflow.core.formats.guarded import Guarded
from sensorflow.core.formats.records import EVERY, Path, Record, explode
from sensorflow.core.formats.records import path as steps_of
from sensorflow.core.sniff import ignored_columns, leaves, numeric, times, words
from sensorflow.core.sniff import places as places_
from sensorflow.core.sniff.guess import Guess, Line
from sensorflow.core.sniff.head import PROBE, Text
from sensorflow.core.sniff.places import Place, places
from sensorflow.core.sniff.table import Column, Table
from sensorflow.errors import UsageError

RECORDS = 5000
"""Maximum number of records that are examined."""
PLACES = 4
"""Maximum number of places of records for which a proposal is tested."""
SENML = frozenset(
    {"bn", "bt", "bu", "bv", "bs", "bver", "n", "u", "v", "vs", "vb", "vd", "s", "t", "ut"}
)


def is_json(text: str) -> bool:
    begin = text.lstrip()[:2]
    return begin[:1] == "{" or re.match(r"\[\s*([\[{\"\d]|$)", text.lstrip()[:200]) is not None


@dataclass(frozen=True)
class Documents:
    """The documents in the sample. lines: whether each document is on a line of its own."""

    values: list[Any]
    lines: bool


def parsed(text: Text) -> Documents:
    """Parse the documents in the sample. The last document may be incomplete."""
    found = [line for line in text.text.split("\n") if line.strip()]
    ways = [_line(line) for line in found[:RECORDS]]
    good = [value for value in ways if isinstance(value, dict | list)]
    if len(found) > 1 and len(good) > 0.8 * len(ways):
        return Documents(good, True)
    values = list(_documents(text))
    if not values:
        raise UsageError("the file begins like JSON, but is not JSON")
    return Documents(values, False)


def _line(line: str) -> Any:
    try:
        return _plain(json.loads(line))
    except (ValueError, RecursionError):
        return None


def _documents(text: Text) -> Iterator[Any]:
    """Yield consecutive documents. If the sample ends within a document, the part of this document in
    the sample is yielded too."""
    builder = ijson.ObjectBuilder()
    depth = 0
    begun = False
    try:
        # without limits, deep nesting would crash the process
        stream = Guarded(io.BytesIO(text.text.encode("utf-8", "replace")), PROBE, 0)
        for event, value in ijson.basic_parse(stream, multiple_values=True):
            begun = True
            builder.event(event, value)
            depth += {"start_map": 1, "start_array": 1, "end_map": -1, "end_array": -1}.get(
                event, 0
            )
            if depth == 0:
                yield _plain(builder.value)
                builder, begun = ijson.ObjectBuilder(), False
    except (ijson.JSONError, ValueError, ArithmeticError) as error:
        if not begun or text.complete:
            raise UsageError(f"not JSON: {' '.join(str(error).split())[:200]}") from error
        yield _plain(builder.value)


def _plain(value: Any) -> Any:
    """Convert the numbers in a value to texts, as the reader does."""
    if isinstance(value, dict):
        return {key: _plain(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_plain(member) for member in value]
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return repr(value) if isinstance(value, float) else str(value)
    return value


def known(text: Text) -> Guess | None:
    """Return the proposal for documents of a known kind, which are recognized by the names of their
    members. Return None for other documents."""
    documents = parsed(text)
    name, reason = _kind(documents)
    if not name:
        return None
    needs = (
        (Line("format", "jsonl", "one document per line"),)
        if documents.lines and name == "ttn"
        else ()
    )
    return Guess((Line("extends", name, reason), *needs, *text.settings))


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


def tables(text: Text) -> list[Table]:
    """Return a table for each place where the records may be, the most likely place first. The columns
    are the leaves of the records. Raises UsageError if no records contain a time and a number."""
    documents = parsed(text)
    candidates = [
        (score(table, place), table, place)
        for place in dict.fromkeys(p for v in documents.values[:20] for p in places(v))
        if (table := _table(documents, place, text)).rows
    ]
    found = sorted((m for m in candidates if m[0] > 0), key=lambda m: -m[0])
    if not found:
        raise UsageError("no list of records with a time and a number in the JSON")
    limit, first, _ = found[0]
    similar = [m for m in found if m[0] >= 0.2 * limit and m[1].rows >= 0.4 * first.rows]
    return [_with_neighbour_columns(table, place, found) for _, table, place in similar[:PLACES]]


def _with_neighbour_columns(
    table: Table, place: Place, found: Sequence[tuple[float, Table, Place]]
) -> Table:
    """Return the table with hints about data that it does not contain: records at other places, and
    numbers outside the records."""
    mine, in_table = _within(place), list(table.todo)
    other: dict[Path, str] = {}
    for value, _, p in found:
        theirs = _within(p)
        remaining = theirs[len(mine) :]
        below = _begins(theirs, mine) and (EVERY not in remaining or p.mapped or _is_carried(p))
        related = below or _begins(mine, theirs)
        inner = any(theirs[: len(above)] == above for above in other)
        listed = p.keyed or EVERY in steps_of(p.path)
        if listed and not related and not inner and value >= 0.2 * found[0][0]:
            other[theirs] = p.path
    if other:
        in_table.append(
            f"records at {_some(list(other.values()))} are ignored: they need a separate profile"
        )
    if around := [c.title for c in table.above if _is_measured(c)]:
        in_table.append(f"numbers outside the records are ignored: {_some(around)}")
    return replace(table, todo=tuple(in_table))


def _begins(path: Path, other: Path) -> bool:
    """Return whether `path` begins with the steps of `other`. The step "[*]" matches any step."""
    pairs = zip(path, other, strict=False)
    return len(path) >= len(other) and all(a == b or EVERY in (a, b) for a, b in pairs)


def _is_carried(place: Place) -> bool:
    return re.search(words.CARRIED, place.path, re.IGNORECASE) is not None


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _is_measured(column: Column) -> bool:
    """Return whether a column outside the records may contain readings, because it contains different
    numbers."""
    other = (words.COUNTER, words.IDENTITY, ignored_columns.PLACE, words.FLAG, words.TIME)
    number = len(column.counts) > 2 and numeric.numeric(column) is not None
    return number and not any(map(column.says, other)) and not is_time(column)


def _within(place: Place) -> Path:
    steps = steps_of(place.path)
    return steps[:-1] if steps and steps[-1] == EVERY else steps


def _table(documents: Documents, place: Place, text: Text) -> Table:
    steps = steps_of(place.path)
    records = list(islice((r for v in documents.values for r in explode(v, steps)), RECORDS))
    lined = documents.lines and not place.keyed
    settings = [Line("format", "jsonl" if lined else "json")]
    listed = all(isinstance(v, list) for v in documents.values[:20])
    if place.path and not (place.path == "[*]" and listed and not lined):
        settings.append(Line("records", place.path, f"{len(records)} in the sample"))
    units: dict[str, str] = {}
    if place.keyed:
        units = _units(documents.values[0], place)
        records = list(islice((row for r in records for row in _transposed(r)), RECORDS))
        settings.append(Line("orient", "columns", "one list per column"))
    settings += text.settings
    columns = leaves.columns(records, steps, units)
    above = tuple(c for c in columns if c.above)
    return Table(tuple(columns), tuple(settings), "", False, text.complete, above)


def _transposed(record: Record) -> Iterator[Record]:
    value = record.value if isinstance(record.value, dict) else {}
    lists = {k: m for k, m in value.items() if isinstance(m, list)}
    if places_.are_columns(value):
        for row in zip(*lists.values(), strict=True):
            yield Record(dict(zip(lists, row, strict=True)), (*record.above, value), record.keys)


def _units(document: Any, place: Place) -> dict[str, str]:
    """Return column -> unit. The units are in an object that is next to the columns and has a text for
    each column, such as hourly_units. Returns {} if there is no such object."""
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


def score(table: Table, place: Place) -> float:
    """Return a score for a table. It grows with the number of measured cells in the records, and is 0 if
    the records have no times."""
    own = [c for c in table.columns if not c.above]
    timed = [c for c in own if is_time(c)]
    above = [c for c in table.above if is_time(c)]
    if not (timed or above):
        return 0.0
    numbers = [c for c in own if c not in timed and c.counts and numeric.numeric(c)]
    cells = sum(c.filled * (0.1 if c.says(words.COUNTER) else 1.0) for c in numbers)
    return cells * (1.0 if timed else 0.75) * (1.5 if place.named else 1.0)


def is_time(column: Column) -> bool:
    if not column.counts:
        return False
    if times.epoch(column.cells, column.title) is not None:
        return column.says(words.TIME) or column.reference.startswith("#")
    some = list(column.counts)[:50]
    packed = all(re.fullmatch(r"[\d.]+", t) for t in some)
    return (not packed or column.says(words.TIME)) and times.read(some) is not None
