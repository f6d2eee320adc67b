"""Exports a profile as a Frictionless Table Schema or CSVW metadata."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from sensorflow.core.exchange import datepatterns
from sensorflow.core.profile import Profile
from sensorflow.core.profile.cells import Column
from sensorflow.errors import UsageError


@dataclass
class Exported:
    """An exported profile. document: the description, in the format of the standard. omitted: properties of
    the profile that the standard cannot express."""

    document: dict[str, Any]
    omitted: list[str] = field(default_factory=list)


def exported(profile: Profile, kind: str, name: str = "data.csv") -> Exported:
    """Export a profile. name: the name of the file that the document describes. Raises UsageError if the
    profile is not for tables."""
    if kind not in ("table-schema", "csvw"):
        raise UsageError(f"--as {kind!r}: expected table-schema or csvw")
    if profile.format not in ("csv", "xlsx") or (kind == "csvw" and profile.format != "csv"):
        raise UsageError(
            f"--as {kind} describes text tables, but the profile reads {profile.format}"
        )
    exporting = _Exporting(profile, kind == "csvw")
    return Exported(exporting.document(name), exporting.omitted)


class _Exporting:
    def __init__(self, profile: Profile, csvw: bool) -> None:
        self.profile, self.csvw = profile, csvw
        self.omitted: list[str] = []
        self.fields: dict[str, dict[str, Any]] = {}

    def document(self, name: str) -> dict[str, Any]:
        self.times()
        sensor = self.sensor()
        for title, column in self.profile.columns.items():
            self.measured(title, column)
        if self.profile.value is not None:
            self.measured(self.profile.value, Column())
            self.omitted.append("type and value: each row of the table contains its own type")
        for each in self.profile.each:
            self.omitted.append(
                f"each = {each.match!r}: add a column for each title that it matches"
            )
        for title in self.profile.ignore:
            if self.plain(title):
                self.fields.setdefault(title, self.field(title, "string"))
        self.others()
        if self.profile.names:  # all names, in the order of the profile
            found = {n: self.fields.get(n, self.field(n, "string")) for n in self.profile.names}
            self.fields = {**found, **self.fields}
        key = [n for n in self.fields if n in self.at] + ([sensor] if sensor else [])
        return self.field_description(name, key if sensor and self.at else [])

    def plain(self, title: str) -> bool:
        """Return whether a column name in the profile is a title. If it is a pattern or a position, add a
        line to `omitted`."""
        if re.match(r"~|#\d+$", title) and title not in self.profile.names:
            self.omitted.append(
                f"column {title!r}: the profile has no title for it, only a pattern or a position"
            )
            return False
        return True

    def field(self, title: str, kind: str, written: Any = None) -> dict[str, Any]:
        if not self.csvw:
            return {"name": title, "type": kind, **({"format": written} if written else {})}
        base = {"number": "double"}.get(kind, kind)
        name = re.sub(r"\W+", "_", title).strip("_") or "column"
        return {
            "name": name,
            "titles": title,
            "datatype": {"base": base, "format": written} if written else base,
        }

    def times(self) -> None:
        time = self.profile.time
        self.at: list[str] = []
        assert time is not None
        if any(part.column is None or part.match for part in time.parts):
            self.omitted.append("time: some of its parts are not columns of the table")
            return
        titles = [part.column or "" for part in time.parts]
        titled = [title for title in titles if self.plain(title)]
        if titled != titles:
            return
        self.at = titles
        if len(time.format) > 1:
            self.omitted.append(f"time.format: only the first of {list(time.format)}")
        formats = self.cut(time.format[0], len(titles))
        for title, written in zip(titles, formats, strict=True):
            self.fields[title] = self.time(title, written)
        supported = {"column", "columns", "format", "join"}
        more = time.model_dump(exclude_defaults=True, exclude=supported)
        for key in more:
            self.omitted.append(
                f"time.{key}: the standard has no zones and no corrections of times"
            )

    def cut(self, written: str, count: int) -> list[str]:
        """Split the time format `written` into the formats of `count` columns. If this is not possible,
        return "" for each column, and add a line to `omitted`."""
        pieces = written.split(self.profile.time.join) if self.profile.time else []
        if count > 1 and len(pieces) != count:
            self.omitted.append(f"time.format {written!r} cannot be split into {count} columns")
            return [""] * count
        return pieces if count > 1 else [written]

    def time(self, title: str, written: str) -> dict[str, Any]:
        if not written or written == "iso8601":
            return self.field(title, "datetime" if written else "string")
        if (not written.startswith(("%", "'")) and "%" not in written) or "%." in written:
            self.omitted.append(f"time.format {written!r} is not a date format of the standard")
            return self.field(title, "string" if self.csvw else "any")
        dated, clocked = re.search("%[YyjmbBde]", written), re.search("%[HIMSf]", written)
        kind = "datetime" if dated and clocked else "date" if dated else "time"
        if not self.csvw:
            return self.field(title, kind, written)
        try:
            pattern = datepatterns.pattern(written)
        except ValueError as error:
            self.omitted.append(f"time.format {written!r}: {error}")
            return self.field(title, "string")
        return self.field(title, kind, pattern)

    def sensor(self) -> str | None:
        origin = self.profile.sensor
        if origin is None:
            return None
        if origin.column is None or origin.match or origin.tags or not self.plain(origin.column):
            self.omitted.append("sensor: it is not a column of the table")
            return None
        self.fields.setdefault(origin.column, self.field(origin.column, "string"))
        return origin.column

    def measured(self, title: str, column: Column) -> None:
        if not self.plain(title):
            return
        profile = self.profile
        kind = column.type or title
        rules = profile.rules.get(kind, ())
        limits: dict[str, Any] = {}
        for rule in rules:
            pairs = {"minimum": rule.min, "maximum": rule.max, "required": rule.required or None}
            limits |= {k: v for k, v in pairs.items() if v is not None}
            limits |= {"enum": list(rule.allowed)} if rule.allowed else {}
            constraints = {"min", "max", "required", "allowed", "integer", "severity"}
            for key in rule.model_dump(exclude_defaults=True, exclude=constraints):
                self.omitted.append(f"rules.{kind}.{key}: the standard has no such constraint")
        integer = any(rule.integer for rule in rules)
        description = self.field(title, "integer" if integer else "number", self.number())
        self.fields[title] = description
        prefix = "schema:" if self.csvw else ""
        if column.type and column.type != title:
            description[f"{prefix}variableMeasured"] = column.type
        unit = column.unit or profile.unit.constant
        if unit:
            description["schema:unitText" if self.csvw else "unit"] = unit
        if column.missing:
            key = "null" if self.csvw else "missingValues"
            description[key] = ["", *(profile.missing or ()), *column.missing]
        self.limits(description, limits)
        beside_of = {"type", "unit", "missing", "optional"}
        for key in column.model_dump(exclude_defaults=True, exclude=beside_of):
            self.omitted.append(f"columns.{title}.{key}")

    def limits(self, description: dict[str, Any], limits: dict[str, Any]) -> None:
        if not self.csvw:
            if not description.get("format"):
                description.pop("format", None)
            elif isinstance(description["format"], dict):
                description |= description.pop("format")
            description |= {"constraints": limits} if limits else {}
            return
        if limits.pop("enum", None):
            self.omitted.append(f"{description['titles']}: allowed values")
        if limits.pop("required", None):
            description["required"] = True
        if limits:
            given = description["datatype"]
            base = given if isinstance(given, dict) else {"base": given}
            description["datatype"] = {**base, **limits}

    def number(self) -> dict[str, str] | None:
        profile = self.profile
        signs: dict[str, str] = {"decimalChar": profile.decimal} if profile.decimal != "." else {}
        signs |= {"groupChar": profile.thousands} if profile.thousands else {}
        return signs or None

    def others(self) -> None:
        exported_keys = {
            "format", "time", "sensor", "columns", "each", "value", "type", "ignore", "rules", "missing",
            "decimal", "thousands", "delimiter", "quote", "escape", "comment", "encoding", "header",
            "names", "skip", "sheet", "sensor_type", "unit",
        }  # fmt: skip
        for key in self.profile.model_dump(exclude_defaults=True, exclude=exported_keys):
            self.omitted.append(f"{key}: the standard has no such property")

    def header(self) -> int:
        header = self.profile.header
        if not isinstance(header, int) and set(header) != {"name"}:
            message = f"header = {list(header)}: only the rows with names"
            self.omitted += [] if message in self.omitted else [message]
        return header if isinstance(header, int) else len(header)

    def field_description(self, name: str, key: list[str]) -> dict[str, Any]:
        profile, fields = self.profile, list(self.fields.values())
        missing = ["", *(profile.missing or ())]
        if self.csvw:
            dialect: dict[str, Any] = {"delimiter": profile.delimiter, "encoding": profile.encoding}
            dialect |= {"quoteChar": profile.quote or None} if profile.quote != '"' else {}
            dialect |= {"commentPrefix": profile.comment}
            dialect |= {"header": False} if self.header() == 0 else {}
            dialect |= {"headerRowCount": self.header()} if self.header() > 1 else {}
            dialect |= {"skipRows": profile.skip} if profile.skip else {}
            names = {f["titles"]: f["name"] for f in fields}
            schema = {"columns": fields, **({"primaryKey": [names[k] for k in key]} if key else {})}
            return {
                "@context": "http://www.w3.org/ns/csvw",
                "url": name,
                "dialect": dialect,
                "null": missing,
                "tableSchema": schema,
            }
        dialect = {"delimiter": profile.delimiter} if profile.delimiter != "," else {}
        dialect |= {"quoteChar": profile.quote} if profile.quote not in ('"', "") else {}
        dialect |= {"escapeChar": profile.escape} if profile.escape else {}
        dialect |= {"commentChar": profile.comment} if profile.comment else {}
        dialect |= {"header": False} if self.header() == 0 else {}
        rows = list(range(profile.skip + 1, profile.skip + 1 + self.header()))
        dialect |= {"headerRows": rows} if rows and rows != [1] else {}
        resource = {"name": re.sub(r"[^a-z0-9._-]+", "-", name.lower()), "path": name}
        resource |= {"format": profile.format, "encoding": profile.encoding}
        schema = {"fields": fields, "missingValues": missing}
        schema |= {"primaryKey": key} if key else {}
        return {**resource, **({"dialect": dialect} if dialect else {}), "schema": schema}
