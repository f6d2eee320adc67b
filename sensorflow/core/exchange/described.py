"""What the description of a table says, whatever standard it is written in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["number", "integer", "datetime", "date", "time", "boolean", "text"]


@dataclass(frozen=True)
class Field:
    """A column. told: what its standard calls it. format: of times, as in a profile; "" where it is not
    known. note: why. bounds: minimum and maximum as written."""

    name: str
    kind: Kind
    told: str = ""
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
    """settings: keys of the profile. key: names that identify a row. unsaid: lines on what a profile
    cannot express; doubts: what a person must decide."""

    of: str
    fields: list[Field] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    key: tuple[str, ...] = ()
    unsaid: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)

    def cannot(self, where: str, given: Mapping[str, Any], keys: Mapping[str, str]) -> None:
        """A line for each of these keys that is given. keys: key -> what follows from it."""
        for key, why in keys.items():
            if given.get(key) not in (None, False, [], ""):
                self.unsaid.append(f"{where}{key} = {given[key]!r}: {why}")


_UNIT = re.compile(r"(?:.*[/#:])?(?:unit|units|hasUnit|unitCode|unitText)", re.IGNORECASE)
_TYPE = re.compile(r"(?:.*[/#:])?variableMeasured", re.IGNORECASE)


def unit(column: Mapping[str, Any]) -> str:
    """Of a property such as unit, qudt:hasUnit, schema:unitCode: a text, or the last part of an IRI."""
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
    """A text, a list of texts, or of objects with a value each."""
    listed = given if isinstance(given, list) else [given] if given is not None else []
    values = [one.get("value") if isinstance(one, dict) else one for one in listed]
    return tuple(str(value) for value in values if value not in (None, ""))
