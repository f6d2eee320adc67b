"""The description of a table, in a form that does not depend on the standard."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["number", "integer", "datetime", "date", "time", "boolean", "text"]


@dataclass(frozen=True)
class Field:
    """A column of the described table. kind: the type in sensorflow's terms. declared: the type as it is in
    the description, such as dateTime; used in messages. format: the format of a time column, as in a
    profile; "" if unknown. type: the reading type; "" if unknown. unit: the unit; "" if unknown.

    missing: texts that mark missing values. minimum, maximum: the limits of the values, as they are in the
    description. required: whether a cell must not be empty. allowed: the allowed values; empty if all are.
    bare: False if cells contain other text in addition to the number, such as a unit.
    """

    name: str
    kind: Kind
    declared: str = ""
    format: str = ""
    type: str = ""
    unit: str = ""
    missing: tuple[str, ...] = ()
    minimum: str | None = None
    maximum: str | None = None
    required: bool = False
    allowed: tuple[str, ...] = ()
    decimal: str = "."
    thousands: str = ""
    bare: bool = True


@dataclass
class Described:
    """A table description.

    of: the name of the standard. settings: profile key -> value, for the keys that the description
    determines. key: the names of the columns that identify a row. omitted: properties that a profile cannot
    express. doubts: questions that the user must answer.
    """

    of: str
    fields: list[Field] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    key: tuple[str, ...] = ()
    omitted: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)

    def cannot(self, where: str, given: Mapping[str, Any], keys: Mapping[str, str]) -> None:
        """Add a line to `omitted` for each key in `keys` that `given` contains. keys: key -> the reason why
        a profile cannot express it."""
        for key, reason in keys.items():
            if given.get(key) not in (None, False, [], ""):
                self.omitted.append(f"{where}{key} = {given[key]!r}: {reason}")


_UNIT = re.compile(r"(?:.*[/#:])?(?:unit|units|hasUnit|unitCode|unitText)", re.IGNORECASE)
_TYPE = re.compile(r"(?:.*[/#:])?variableMeasured", re.IGNORECASE)


def unit(column: Mapping[str, Any]) -> str:
    """Return the unit of a column from a property such as unit or qudt:hasUnit; "" if there is none. If the
    value is an IRI, return the last part of the IRI."""
    return _property(column, _UNIT)


def measured(column: Mapping[str, Any]) -> str:
    return _property(column, _TYPE)


def _property(column: Mapping[str, Any], name: re.Pattern[str]) -> str:
    for key, value in column.items():
        if not name.fullmatch(key):
            continue
        value = value[0] if isinstance(value, list) and value else value
        iri = isinstance(value, dict) and "@id" in value
        if isinstance(value, dict):
            value = value.get("@id", value.get("@value", value.get("symbol", value.get("name"))))
        if isinstance(value, str) and value:
            linked = iri or "://" in value
            return re.split(r"[/#:]", value.rstrip("/#"))[-1] if linked else value
    return ""


def texts(given: Any) -> tuple[str, ...]:
    """Return `given` as a tuple of texts. given: a text, a list of texts, or a list of objects with a
    "value"."""
    listed = given if isinstance(given, list) else [given] if given is not None else []
    values = [one.get("value") if isinstance(one, dict) else one for one in listed]
    return tuple(str(value) for value in values if value not in (None, ""))
