"""Finds titles for the columns of XML documents. They are in the paths of the columns, or in
descriptions at other places of the document."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Protocol

from sensorflow.core.sniff import leaves, numeric, words
from sensorflow.core.sniff.table import Column

_PLAIN = (
    "parameter|variable|quantity|measurand|observed_?property|metric|pollutant|characteristic"
    "|phenomenon"
)
_KINDS = (
    re.compile(rf"(?i)^({_PLAIN})_?(id|code)$"),
    re.compile(rf"(?i)^({_PLAIN})(_?name)?$"),
    re.compile(rf"(?i)^({_PLAIN})"),
)
"""Names of elements outside the records that contain the type. The most reliable names come first."""
_UNITS = (
    re.compile(r"(?i)(abbrev\w*|symbol|short\w*)$"),
    re.compile(r"(?i)^(units?|uom|einheit)$"),
    re.compile(r"(?i)^(unit|uom)s?_?(code|id)$|^code$"),
    re.compile(r"(?i)^(unit|uom)s?_?(name|label)$|^(name|label)$"),
)
_PASSING = re.compile(r"(?i)time|step|scale|interval|duration|period")
"""Names of elements that contain a unit of time, which is not the unit of the readings."""
_NOTHING = re.compile(r"(?i)(no_?data|miss(ing)?|null|fill)_?val(ue)?$")
_GENERIC = re.compile(
    rf"(?i){words.VALUE}|^(items?|records?|rows?|rec|row|obs|point|pt|event|entry|log|sample|ch|channel|data"
    r"|element|node|tick|scan|measure|param|parameter|sensor|variable|field|property|reading|.{1,2})$"
)
"""Names of record elements that do not say what was measured."""
_LABELS = ("Identification", "name", "label", "title", "id")
_MAX_ELEMENTS = 2000
"""Maximum number of elements that are searched for names of columns."""


class Element(Protocol):
    attributes: dict[str, str]
    text: str

    @property
    def name(self) -> str: ...

    @property
    def members(self) -> Sequence[Element]: ...


def columns(found: Sequence[Column], record: str, root: Element | None) -> list[Column]:
    """Return the columns with their titles. record: the name of the record elements. root: the root of
    the document."""
    mine = [c for c in found if not c.above]
    around = [c for c in found if c.above]
    own = _own(mine, record)
    return [*_described(own, root), *_around(around)]


def markers(above: Sequence[Column]) -> tuple[str, ...]:
    """Return the markers for missing values that an element before the records states, or () if there is
    no such element."""
    marked = [c for c in above if _NOTHING.search(_last(c.reference))]
    return tuple(dict.fromkeys(t for c in marked for t in c.counts if _is_marker(t)))


def _is_marker(text: str) -> bool:
    return numeric.POINT.fullmatch(text) is not None or numeric.is_nothing(text)


def _last(reference: str) -> str:
    return _snake(_names(reference)[-1]) if _names(reference) else reference


def _names(reference: str) -> list[str]:
    return [n for n in re.split(r"\.(?![^\[]*\])|[\[\]'$@]+", reference) if n]


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).replace("-", "_")


def _own(found: Sequence[Column], record: str) -> list[Column]:
    paths = [c.reference.replace("@", "") for c in found]
    titles = leaves.titles(paths)
    measured = any(c.reference in (".", "@value") for c in found)
    members = []
    for column, title in zip(found, titles, strict=True):
        if column.reference == ".":
            title = "value" if _GENERIC.search(record) else record
        elif measured and _names_type(column, title, record):
            title = "parameter"
        members.append(_titled(column, title))
    return members


def _names_type(column: Column, title: str, record: str) -> bool:
    """Return whether a column contains the name of the channel. Such a column is an attribute next to the
    value of the channel, as in <ch id="temp">21.5</ch>. title: the title of the column. record: the name of
    the record elements."""
    called = re.fullmatch(r"(?i)id|name|key|n|code|label|channel|param", title) is not None
    texts = not any(re.fullmatch(r"[\d.]+", t) for t in column.counts)
    few = len(column.counts) <= max(1, 0.6 * column.filled)
    return called and few and texts and _GENERIC.search(record) is not None


def _titled(column: Column, title: str, unit: str = "") -> Column:
    snake = _snake(title)
    return replace(
        column, title=title, titles=(snake,) if snake != title else (), unit=unit or column.unit
    )


def _described(found: list[Column], root: Element | None) -> list[Column]:
    """Return the columns with better titles for numbered columns (v1, v2). The titles are names in a
    list in the document."""
    numbered = {i: m for i, c in enumerate(found) if (m := _NUMBERED.fullmatch(c.reference))}
    if root is None or not numbered:
        return found
    elements = list(_walk(root))
    elements_ = list(found)
    for stem in dict.fromkeys(m["stem"] for m in numbered.values()):
        places = {i: int(m["no"] or m["at"]) for i, m in numbered.items() if m["stem"] == stem}
        first = min(places.values())
        if sorted(places.values()) != list(range(first, first + len(places))):
            continue
        listed = _listed(elements, len(places))
        for i, place in places.items():
            each = listed[place - first] if listed else _called(elements, found[i].reference)
            name, unit = _label(each) if each is not None else ("", "")
            if name:
                elements_[i] = _titled(found[i], name, unit)
    return elements_


_NUMBERED = re.compile(r"(?P<stem>.*?[A-Za-z_@]+?)(?:\[(?P<at>\d+)\]|(?P<no>\d+))")


def _walk(root: Element) -> Iterator[Element]:
    todo: list[Element] = [root]
    for _ in range(_MAX_ELEMENTS):
        if not todo:
            return
        element = todo.pop(0)
        yield element
        todo += element.members[:LONGEST]


LONGEST = 600


def _listed(elements: Sequence[Element], count: int) -> list[Element]:
    """Return a list of elements that contain the names of the columns, one element per column. These
    elements have the same name and the same parent. Returns [] if there is no such list. count: number of
    columns."""
    for element in elements:
        groups: dict[str, list[Element]] = {}
        for member in element.members:
            groups.setdefault(member.name, []).append(member)
        for group in groups.values():
            named = [_label(each)[0] for each in group] if len(group) == count > 1 else []
            if len(set(filter(None, named))) == count and not any(map(numeric.is_number, named)):
                return group
    return []


def _called(elements: Sequence[Element], reference: str) -> Element | None:
    """Return the element whose name begins with the name of a column, such as <Ch1_data_header> for
    <ch1>. Returns None if there is no such element."""
    wanted = re.compile(rf"(?i){re.escape(reference.lstrip('@'))}(?!\d).+")
    return next((e for e in elements if wanted.fullmatch(e.name) and _label(e)[0]), None)


def _label(element: Element) -> tuple[str, str]:
    texts = {m.name.lower(): m.text for m in element.members if not m.members}
    texts |= {key.lower(): value for key, value in element.attributes.items()}
    name = next((texts[k.lower()] for k in _LABELS if texts.get(k.lower())), "")
    unit = next((texts[k] for k in ("unit", "units", "uom") if texts.get(k)), "")
    return name, unit


def _around(found: Sequence[Column]) -> list[Column]:
    """Return the columns with their titles. The title is "parameter" for the column that contains the
    type, and "unit" for the column that most likely contains the unit of the type."""
    texts = {c.reference for c in found if c.counts}
    # an attribute of an element with a text is a label of this text, as in <siteCode network="NWIS">
    around = [
        _titled(
            c, "label" if c.reference.rpartition(".@")[0] in texts else _above_title(c.reference)
        )
        for c in found
    ]
    kind = _best(around, _kind_rank)
    unit = _best(around, _unit_rank)
    out = []
    for column in around:
        title = column.title
        if column is kind:
            title = "parameter"
        elif column is unit:
            title = "unit"
        elif _is_unit(column.reference):
            title = "label"
        elif kind is not None and column.says(words.KIND) and not column.says(words.DEVICE):
            title = "category"
        out.append(column if title == column.title else _titled(column, title))
    return out


def _above_title(reference: str) -> str:
    names = _names(reference)
    last = _snake(names[-1])
    if re.search(r"(?i)serial[ _]?(number|no|nr|num)$", last):
        return "serial"
    return (
        f"{names[-2]}.{names[-1]}"
        if re.search(leaves.GENERIC, last) and len(names) > 1
        else names[-1]
    )


def _best(found: Sequence[Column], rank: _Rank) -> Column | None:
    ranked = [(r, c.index, c) for c in found if c.counts and (r := rank(c)) is not None]
    return min(ranked, key=lambda m: m[:2])[2] if ranked else None


class _Rank(Protocol):
    def __call__(self, column: Column) -> int | None: ...


def _kind_rank(column: Column) -> int | None:
    plain = any(re.fullmatch(r"[1-9]\d*|0", t) for t in column.counts)
    if plain or _is_unit(column.reference):
        return None
    last = _last(column.reference)
    return next((i for i, pattern in enumerate(_KINDS) if pattern.search(last)), None)


def _is_unit(reference: str) -> bool:
    return any(re.match(r"(?i)(units?|uom)(_|$)", _snake(n)) for n in _names(reference)[-2:])


def _unit_rank(column: Column) -> int | None:
    names = _names(column.reference)
    if not _is_unit(column.reference) or any(map(_PASSING.search, names[-3:])):
        return None
    if any(map(numeric.is_number, column.counts)):
        return None
    last = _snake(names[-1])
    return next((i for i, pattern in enumerate(_UNITS) if pattern.search(last)), None)
