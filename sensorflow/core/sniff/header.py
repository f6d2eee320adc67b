"""Assigns a role to each header row: "name", "unit", "sensor", "type" or "skip"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sensorflow.core.formats import titles
from sensorflow.core.sniff import numeric, times
from sensorflow.core.sniff.guess import Line
from sensorflow.core.sniff.head import PROBE
from sensorflow.core.sniff.units import in_row
from sensorflow.errors import Code, Permanent

_GENERATED = (
    r"(?i)^(avg|smp|min|max|tot|std|mean|sum|sd|wvc|sample|average|minimum|maximum|raw|inst|median|med|total"
    r"|last|vector|samp)\.?$"
)
_FORMAL = (
    r"(?i)^(\d+[sdn]|string|float\d*|double|int(eger)?\d*|long|datetime(:\w+)?|timestamp|number|text|char"
    r"|bool(ean)?)$"
)
_QUANTITY = (
    r"(?i)temp|hum|press|\brh\b|wind|rain|flow|level|volt|curr|power"
    r"|pm\d|no2|co2|o3|moist|light|batt"
)


@dataclass(frozen=True)
class Header:
    """The header of a table. names: the name of each column. titles: for each column, its cells in all
    header rows. units: the unit of each column. settings: profile keys for the header. sensors: whether
    a header row contains the names of sensors. todo: questions for the user."""

    names: tuple[str, ...]
    titles: tuple[tuple[str, ...], ...]
    units: tuple[str, ...]
    settings: tuple[Line, ...] = ()
    sensors: bool = False
    todo: tuple[str, ...] = ()

    @classmethod
    def of(cls, rows: Sequence[Sequence[str]], width: int) -> Header:
        """Return the header that consists of these rows. The columns have the names that the reader will
        give them. width: number of columns."""
        roles, reason = _roles(rows)
        probe = PROBE.model_copy(update={"header": tuple(roles) if len(rows) > 1 else len(rows)})
        settings: tuple[Line, ...] = (Line("header", roles, reason),) if len(rows) > 1 else ()
        todo: tuple[str, ...] = ()
        try:
            fields = titles.fields(rows, probe, width)
        except Permanent as error:
            if error.code is not Code.HEADER_ROWS:
                raise
            # it is better to have no unit than the unit of another column
            roles = [role if role == "name" else "skip" for role in roles]
            aligned = probe.model_copy(update={"header": tuple(roles), "align": "left"})
            fields = titles.fields(rows, aligned, width)
            settings = (
                Line("header", roles, "rows of different widths"),
                Line("align", "left", 'a guess: "left" or "right"'),
            )
            todo = (
                f"{error.message}: which columns do these rows describe? Set align, or change their roles",
            )
        return cls(
            tuple(f.name for f in fields),
            tuple(f.titles for f in fields),
            tuple(f.unit for f in fields),
            settings,
            "sensor" in roles,
            todo,
        )


def nameless(columns: Sequence[Sequence[str]]) -> Header:
    """Return a header with invented names, for a table that has no header. columns: the cells of each
    column."""
    names: list[str] = []
    for index, cells in enumerate(columns):
        timed = times.read(cells) is not None
        if timed and "time" in names:  # a second column of times must be unambiguous
            timed = all(re.fullmatch(r"(19|20)\d{6,12}|.*\D.*\D.*", t) for t in cells if t)
        name = f"time{index + 1}" if "time" in names else "time"
        names.append(name if timed else f"column{index + 1}")
    settings = (Line("names", names, "there is no header"),)
    todo = ("there is no header: replace the names in names by those of the columns",)
    return Header(
        tuple(names), tuple((n,) for n in names), ("",) * len(names), settings, False, todo
    )


def named(names: Sequence[str], reason: str) -> Header:
    """Return a header with these names. The profile must list the names, because the reader cannot find
    them in the file."""
    settings = (Line("names", list(names), reason),)
    return Header(tuple(names), tuple((n,) for n in names), ("",) * len(names), settings)


def _roles(rows: Sequence[Sequence[str]]) -> tuple[list[str], str]:
    """Return (role of each header row, reason for the roles)."""
    if len(rows) < 2:
        return ["name"] * len(rows), ""
    roles = [""] * len(rows)
    for index, row in enumerate(rows):
        some = [cell for cell in row if cell]
        ruled = all(re.fullmatch(r"[-=+ ]+", c) or numeric.is_number(c) for c in some)
        if ruled or _part(some, _FORMAL) > 0.9 or re.match(r"(?i)(scale|method)s?:$", row[0]):
            roles[index] = "skip"
        elif _part(some, _GENERATED) >= (0.5 if index else 0.9):
            roles[index] = "generated"
        elif re.match(r"(?i)units?:?$", row[0]):
            roles[index] = "unit"
    if "unit" not in roles:
        _unit(rows, roles)
    if "" not in roles:
        roles[0] = ""
    return _named(rows, roles), _why(roles)


def _unit(rows: Sequence[Sequence[str]], roles: list[str]) -> None:
    """Assign the role "unit" to the row that most likely contains units, if there is one. Titles that
    include units, such as "Temp (C)", do not count as units."""
    shares = [0.0 if role else _units_in(row) for row, role in zip(rows, roles, strict=True)]
    best = max(range(len(rows)), key=lambda i: (shares[i], i))
    left = [row for i, row in enumerate(rows) if i != best and not roles[i]]
    bare = sum(is_bare(c) for c in rows[best] if c) >= 0.5 * sum(map(bool, rows[best]))
    if shares[best] >= 0.5 and (bare or _are_distinct(left)):
        roles[best] = "unit"


def _units_in(row: Sequence[str]) -> float:
    some = [cell for cell in row if cell]
    return sum(map(in_row, some)) / len(some) - 0.3 * (1 - sum(map(is_bare, some)) / len(some))


def is_bare(cell: str) -> bool:
    """Return whether a cell may be a unit without other text. "Depth (ft)" and "°C Temp" contain other
    text."""
    return re.search(r"[^(\[\s]\s*[(\[]|\s\w{3,}\s*$", cell.strip()) is None


def _part(cells: Sequence[str], regex: str) -> float:
    return sum(re.search(regex, c) is not None for c in cells) / len(cells)


def _named(rows: Sequence[Sequence[str]], roles: list[str]) -> list[str]:
    """Assign the role "name" to as many of the remaining rows as are needed for unique names. Returns
    the roles of all rows."""
    left = [i for i, role in enumerate(roles) if not role]
    grid = _grid(rows, left) if len(left) == 2 else None
    if grid is not None:
        roles[left[0]], roles[left[1]] = grid
        return ["skip" if role == "generated" else role for role in roles]
    alone = next((i for i in left if _are_distinct([rows[i]])), None)
    for index in left:
        roles[index] = "name" if alone in (None, index) else "skip"
    chosen = [rows[i] for i, role in enumerate(roles) if role == "name"]
    setting = "skip" if _are_distinct(chosen) else "name"
    return [setting if role == "generated" else role for role in roles]


def _are_distinct(rows: Sequence[Sequence[str]]) -> bool:
    """Return whether the names of almost all columns are unique. A name consists of the column's cells
    in these rows."""
    width = max(map(len, rows), default=0)
    joined = [
        " ".join(row[i] if i < len(row) else "" for row in rows).strip() for i in range(width)
    ]
    some = [name for name in joined if name]
    return len(some) >= 0.8 * width and len(set(some)) == len(some)


def _grid(rows: Sequence[Sequence[str]], left: Sequence[int]) -> tuple[str, str] | None:
    """Return the roles of two header rows if one contains sensors and the other contains types, and
    almost all combinations occur. Otherwise return None. left: the indexes of the two rows."""
    outer, inner = ([*rows[i]][1:] for i in left)
    pairs = list(zip(outer, inner, strict=False))
    if not pairs or "" in outer or "" in inner or len(set(pairs)) < len(pairs):
        return None
    if len(set(outer)) == len(outer) or len(set(inner)) == len(inner):
        return None
    product = len(set(outer)) * len(set(inner))
    if len(pairs) < 0.75 * product:
        return None
    return ("type", "sensor") if _quantities(outer) > _quantities(inner) else ("sensor", "type")


def _quantities(cells: Sequence[str]) -> float:
    return sum(re.search(_QUANTITY, c) is not None for c in cells) / len(cells)


def _why(roles: Sequence[str]) -> str:
    return f"{len(roles)} rows: check which row contains names and which row contains units"
