"""JSON records: evaluates the path that leads to the records, and converts records to columns. Numbers are
stored as texts, so that they are not rounded.

A path consists of names joined by dots, such as "outputs.hourly[*]". "[2]" selects an element of a list.
"[*]" selects every element of a list, or every member of an object.

A column is a path within a record ("value.max"), a key, or an absolute path. The key "@key" is the name of
the member that the last "[*]" selects. "@key(1)" is the name that the "[*]" before it selects. An absolute
path begins with "$" ("$.sites[*].code"). If its first steps are equal to those of the records' path, they
lead to the elements that contain the record.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa

from sensorflow.core.binding.binding import EMPTY_BINDING
from sensorflow.core.binding.fields import Field
from sensorflow.core.binding.resolve import Resolve
from sensorflow.core.formats.chunk import RAW_LIMIT, Chunk, Reject, Spot, typed_cells
from sensorflow.core.formats.elements import Element
from sensorflow.core.formats.keys import KEY as KEY
from sensorflow.core.formats.keys import Place, at, duplicate_key, duplicate_key_in, level
from sensorflow.core.patterns import search
from sensorflow.core.profile import Profile
from sensorflow.core.profile.text_source import TEMPLATE, TextSource
from sensorflow.errors import Code, Permanent

ROWS = 8192
CELLS = 1 << 20
EVERY = "*"
Step = str | int
Path = tuple[Step, ...]


def path(text: str) -> Path:
    """Parse "a.b[0].c[*]" into ("a", "b", 0, "c", "*")."""
    steps: list[Step] = []
    for name in filter(None, re.split(r"\.(?![^\[]*\])|(?=\[)", text.removeprefix("$").strip("."))):
        match = re.fullmatch(r"\[(\d+|\*|'[^']*')\]", name)
        if match is None:
            steps.append(name)
        elif match[1].isdigit():
            steps.append(int(match[1]))
        else:
            steps.append(match[1].strip("'"))
    return tuple(steps)


@dataclass(frozen=True)
class Record:
    """A record of a document. value: the record itself. above: the objects and lists that contain the
    record, from the outermost to the innermost. keys: the name of the selected member, or the index of
    the selected element, for each "[*]" step of the path."""

    value: Any
    above: tuple[Any, ...] = ()
    keys: tuple[str, ...] = ()


def is_empty_record(value: Any, steps: Path, listed: bool = False) -> bool:
    """Return whether a path leads only to empty lists or objects. listed: whether an object that contains
    an empty list counts as empty too.

    >>> is_empty_record({"data": []}, ("data", EVERY)), is_empty_record({"error": "none"}, ("data", EVERY))
    (True, False)
    """
    if not steps:
        return listed and isinstance(value, dict) and [] in value.values()
    step, rest = steps[0], steps[1:]
    if step == EVERY:
        members = value.values() if isinstance(value, dict) else value
        return isinstance(value, dict | list) and all(
            is_empty_record(v, rest, listed) for v in members
        )
    return isinstance(value, dict) and step in value and is_empty_record(value[step], rest, listed)


def explode(
    value: Any, steps: Path, above: tuple[Any, ...] = (), keys: tuple[str, ...] = ()
) -> Iterator[Record]:
    """Yield each record at the path `steps` below `value`. above: the objects and lists that contain
    `value`. keys: the names and indexes on the path to `value`."""
    if not steps:
        yield Record(value, above, keys)
        return
    step, rest = steps[0], steps[1:]
    if step == EVERY:
        members = value.items() if isinstance(value, dict) else _numbered(value)
        for key, member in members:
            yield from explode(member, rest, (*above, value), (*keys, key))
    else:
        found = _step(value, step)
        if found is not None:
            yield from explode(found, rest, (*above, value), keys)


def _numbered(value: Any) -> Iterable[tuple[str, Any]]:
    return ((Place(i), member) for i, member in enumerate(value)) if isinstance(value, list) else ()


def _step(value: Any, step: Step) -> Any:
    if isinstance(step, int):
        return value[step] if isinstance(value, list) and step < len(value) else None
    return value.get(step) if isinstance(value, dict) else None


class Getter:
    """Evaluates a column's name in a record. records: the path of the records. outside: absolute path ->
    value, for values outside the streamed part of the document."""

    def __init__(self, reference: str, records: Path, outside: dict[str, Any]) -> None:
        self._reference = reference
        self._constant = outside.get(reference)
        self.is_constant = reference in outside
        self._level = level(reference, records)
        self._depth, self._steps = -1, path(reference)
        if reference.startswith("$") and not self.is_constant:
            shared = 0
            for mine, theirs in zip(self._steps, records, strict=False):
                if mine != theirs:
                    break
                shared += 1
            self._depth, self._steps = shared, self._steps[shared:]

    def __call__(self, record: Record) -> Any:
        if self.is_constant:
            return self._constant
        if self._level is not None:
            return at(record.keys, *self._level)
        if match := re.fullmatch(r"#(\d+)", self._reference):
            return _step(record.value, int(match[1]) - 1)
        value = record.value
        if self._depth >= 0 and self._depth < len(record.above):
            value = record.above[self._depth]
        elif isinstance(value, dict) and self._reference in value:
            return value[self._reference]
        for step in self._steps:
            value = _step(value, step)
        return value


def text(value: Any) -> str | None:
    """Return a value as text. Strings and numbers are unchanged. Any other value becomes JSON, so that
    it cannot be read as a number."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def label(value: Any) -> str | None:
    """Return a value as `text` does, except that an object becomes "k=v,k=v", and a list becomes its
    members joined by commas."""
    if isinstance(value, dict):
        return ",".join(f"{key}={label(member) or ''}" for key, member in value.items())
    if isinstance(value, list):
        return ",".join(label(member) or "" for member in value)
    return text(value)


def flat(value: Any, prefix: str = "") -> Iterator[tuple[str, str | None]]:
    """Yield (path, text) for each leaf of a record. prefix: the path of `value`."""
    if isinstance(value, Element):
        yield from value.leaves(prefix)
    elif isinstance(value, dict):
        for key, member in value.items():
            yield from flat(member, f"{prefix}.{key}" if prefix else key)
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield from flat(member, f"{prefix}[{index}]" if prefix else f"#{index + 1}")
    else:
        yield prefix, text(value)


def repeated(leaves: Sequence[tuple[str, object]]) -> str | None:
    """Return a path that leads to more than one leaf; None if there is no such path. For {"a.b": 1, "a":
    {"b": 2}}, it is "a.b"."""
    names = {name for name, _ in leaves}
    if len(names) == len(leaves):
        return None
    return Counter(name for name, _ in leaves).most_common(1)[0][0]


def references(profile: Profile) -> tuple[list[str], list[str]]:
    """Return the columns that a profile refers to: (columns that are read as texts, columns of values)."""
    origins: list[TextSource | None] = [profile.sensor, profile.type, profile.unit]
    origins += [*profile.captures.values(), *(profile.time.origins if profile.time else ())]
    if profile.time is not None:
        origins += [profile.time.zone, profile.time.since]
    names = [o.column for o in origins if o is not None and o.column is not None]
    templates = [o.template for o in origins if o is not None and o.template is not None]
    for column in (*profile.columns.values(), *profile.each):
        templates += [t for t in (column.type, column.unit, column.sensor) if t]
    inner = [name for template in templates for name in TEMPLATE.findall(template)]
    known = {"name", *profile.captures}
    known |= {group for each in profile.each for group in re.compile(each.match).groupindex}
    names += [name for name in inner if name not in known and not re.fullmatch(r"(row)?\d+", name)]
    graded = (profile, *profile.columns.values(), *profile.each)
    names += [cell.quality.column for cell in graded if cell.quality is not None]
    if profile.time is not None and profile.time.dst is not None:
        names.append(profile.time.dst.column)
    names += [cell.hemisphere for cell in graded if cell.hemisphere is not None]
    names += [*profile.where, *profile.fill_down]
    values = [*([profile.value] if profile.value else []), *profile.columns]
    return list(dict.fromkeys(names)), list(dict.fromkeys(values))


class UnitsAt:
    """Finds the units of columns in an object of the document that contains column name -> unit."""

    def __init__(self, reference: str | None, records: Path, outside: dict[str, Any]) -> None:
        self.reference = reference
        self.get = Getter(reference, records, outside) if reference is not None else None

    def __call__(self, records: Iterable[Record]) -> dict[str, str]:
        """Return column -> unit. Raises Permanent if the value at the path is not an object, or if it
        differs between records."""
        if self.get is None:
            return {}
        found: dict[int, Any] = {}
        for record in records:
            value = self.get(record)
            found[id(value)] = value
        each = list(found.values())
        if any(not isinstance(units, dict) or units != each[0] for units in each):
            what = (
                "differs between the documents" if isinstance(each[0], dict) else "is not an object"
            )
            do = "correct units_at in the profile, which is the path to an object with column units"
            raise Permanent(Code.COLUMN_MISSING, f"units_at = {self.reference!r} {what}", do=do)
        return {
            name: unit for name, unit in (each[0] if each else {}).items() if isinstance(unit, str)
        }


class Columns:
    """Collects records into chunks."""

    def __init__(
        self, profile: Profile, resolve: Resolve, records: Path = (), outside: dict[str, Any] | None = None
    ) -> None:  # fmt: skip
        self.profile, self.resolve = profile, resolve
        texts, values = references(profile)
        self.named = list(dict.fromkeys([*texts, *values]))
        self.measured = values
        self.getters: dict[str, Callable[[Record], Any]] = {
            n: Getter(n, records, outside or {}) for n in self.named
        }
        self.labels = set(texts)
        self.units = UnitsAt(profile.units_at, records, outside or {})
        self.never = set(self.named)
        self.rows = 0

    def chunks(
        self,
        found: Sequence[tuple[int, Record, Callable[[], Spot]]],
        rejects: list[Reject],
        records: int | None = None,
    ) -> Iterator[Chunk]:
        """Yield the chunks of records. Each chunk has a bounded number of cells, even if every record
        has different columns. The parameters are those of `chunk`."""
        start, names = 0, set(self.named)
        for index, (_, record, _) in enumerate(found):
            names.update(self._names(record.value))
            if len(names) * (index - start + 1) > CELLS and index > start:
                yield self.chunk(found[start:index], [], None if records is None else 0)
                start, names = index, set(self.named)
        yield self.chunk(found[start:], rejects, records)

    def _names(self, value: Any) -> list[str]:
        """Return the paths of a record's leaves. Raises Permanent if there are more leaves than the
        profile allows columns."""
        limit = self.profile.max_columns
        names = [name for name, _ in islice(flat(value), limit + 1)]
        if len(names) > limit:
            self.check_width(names)
        return names

    def chunk(
        self,
        found: Sequence[tuple[int, Record, Callable[[], Spot]]],
        rejects: list[Reject],
        records: int | None = None,
    ) -> Chunk:
        """Return the chunk of some records. found: (line, record, function that returns the position)
        for each record. rejects: the rejects to include. records: as in `Chunk`."""
        rows: list[dict[str, str | None]] = []
        lines: list[int] = []
        spots: list[Callable[[], Spot]] = []
        rejects = list(rejects)
        count = 0
        for line, record, spot in found:
            row, problem = self._row(record)
            if problem is None:
                rows.append(row)
                lines.append(line)
                spots.append(spot)
                count += 1
                continue
            offset, raw = spot()
            rejects.append(Reject(line, offset, None, *problem, raw))
        rejects.sort(key=lambda reject: reject.line_no or 0)
        extra = dict.fromkeys(name for row in rows for name in row)
        names = [*self.named, *(name for name in extra if name not in self.getters)]
        self.check_width(names)
        units = self.units(record for _, record, _ in found)
        fields = [Field(name, unit=units.get(name, "")) for name in names]
        binding = self.resolve(fields, "") if rows else EMPTY_BINDING
        columns = {
            i: pa.array([row.get(names[i]) for row in rows], pa.string()) for i in binding.needed
        }
        self.never -= {names[i] for i, column in columns.items() if column.null_count < len(rows)}
        self.rows += len(rows)
        numbers = np.array(lines, np.int64)
        typed = typed_cells(binding, lambda i: (row.get(names[i]) for row in rows))
        return Chunk(binding, columns, numbers, lambda row: spots[row](), rejects, records, typed)

    def check_width(self, names: Sequence[str]) -> None:
        limit = self.profile.max_columns
        if len(names) > limit:
            raise Permanent(
                Code.TOO_MANY_COLUMNS, f"{len(names):,} members, the limit is {limit:,}"
            )

    def _row(self, record: Record) -> tuple[dict[str, str | None], tuple[Code, str] | None]:
        row: dict[str, str | None] = {}
        if (key := _duplicate_key(record)) is not None:
            return row, (Code.MALFORMED_ROW, duplicate_key(key))
        for name, get in self.getters.items():
            value = get(record)
            row[name] = label(value) if name in self.labels else text(value)
        if not isinstance(record.value, dict) and not any(row.values()):
            return row, (Code.MALFORMED_ROW, "not a JSON object")
        leaves = list(flat(record.value))
        if (path := repeated(leaves)) is not None:
            return row, (
                Code.MALFORMED_ROW,
                f"{path!r} is both a member's name and the path to another member",
            )
        row.update((k, v) for k, v in leaves if k and k not in self.getters)
        bad = next((n for n, t in row.items() if t is not None and not is_unicode(n + t)), None)
        if bad is not None:
            return row, (Code.INVALID_UTF8, "an unpaired surrogate, which is not a character")
        if not self._measures(row):
            wanted = "; ".join([*self.measured, *(each.match for each in self.profile.each)])
            return row, (Code.NOTHING_MEASURED, f"the record has none of {wanted}")
        return row, None

    def _measures(self, row: dict[str, str | None]) -> bool:
        if any(row.get(name) is not None for name in self.measured):
            return True
        if not self.profile.each:
            return True
        return any(map(self.matches, row))

    def matches(self, name: str) -> bool:
        """Return whether an `each` of the profile matches a member with this name."""
        return any(search(each.match, name) for each in self.profile.each)

    def finish(self) -> None:
        """Raise Permanent if a column of the profile had no value in any record, unless the column is
        optional."""
        optional = {name for name, column in self.profile.columns.items() if column.optional}
        absent = sorted(self.never - optional)
        if absent and self.rows:
            names = ", ".join(map(repr, absent))
            do = "correct records or the names in the profile, or make the column optional, then replay"
            raise Permanent(Code.COLUMN_MISSING, f"no record has a value for {names}", do=do)


def _duplicate_key(record: Record) -> str | None:
    """Return a key that occurs more than once in the record, or in an object that contains the record;
    None if there is no such key."""
    above = (getattr(value, "twice", None) for value in record.above)
    return next((key for key in above if key is not None), None) or duplicate_key_in(record.value)


def is_unicode(found: str) -> bool:
    try:
        return found.isascii() or bool(found.encode())
    except UnicodeEncodeError:
        return False


def raw_of(record: Record) -> Spot:
    """Return the position and text of a record. The offset is None, because the parser does not report
    it."""
    value = record.value
    shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return Spot(None, shown.encode("utf-8", "backslashreplace").decode()[:RAW_LIMIT])
