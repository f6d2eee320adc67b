"""Reads Frictionless Table Schema and Data Resource (datapackage.org), versions 1 and 2."""

from __future__ import annotations

from typing import Any

from sensorflow.core.exchange.described import Described, Field, Kind, measured, texts, unit
from sensorflow.core.times import timeformats
from sensorflow.errors import UsageError

_KINDS: dict[str, Kind] = {
    "number": "number",
    "integer": "integer",
    "datetime": "datetime",
    "date": "date",
    "time": "time",
    "boolean": "boolean",
    "year": "date",
    "yearmonth": "date",
}
_DEFAULT = {
    "datetime": "iso8601",
    "date": "%Y-%m-%d",
    "time": "%H:%M:%S",
    "year": "%Y",
    "yearmonth": "%Y-%m",
}
_FORMATS = {"tsv": "csv", "ndjson": "jsonl", "xls": "xlsx", "ods": "xlsx"}
_NO_RULE = "rules have no such check"
_CONSTRAINTS = dict.fromkeys(
    ("unique", "pattern", "minLength", "maxLength", "exclusiveMinimum", "exclusiveMaximum",
     "jsonSchema"), _NO_RULE
)  # fmt: skip


def resource(given: dict[str, Any]) -> Described:
    """Read the description of a Data Resource. Raises UsageError if it has no fields."""
    schema = given.get("schema")
    if isinstance(schema, str):
        raise UsageError(f"its schema is in another file, {schema!r}: import that file")
    fields = schema.get("fields") if isinstance(schema, dict) else None
    if not isinstance(schema, dict) or not isinstance(fields, list) or not fields:
        raise UsageError("the schema has no list of fields")
    result = Described("Table Schema")
    _dialect(given, result)
    for number, one in enumerate(fields, 1):
        if not isinstance(one, dict) or not isinstance(one.get("name"), str):
            raise UsageError(f"field {number} of the schema has no name")
        result.fields.append(_field(one, result))
    if missing := texts(schema.get("missingValues")):
        result.settings["missing"] = [*result.settings.get("missing", []), *missing]
    result.key = texts(schema.get("primaryKey"))
    result.cannot("", schema, {"foreignKeys": "not checked", "uniqueKeys": "not checked"})
    if schema.get("fieldsMatch") not in (None, "exact", ["exact"]):
        result.omitted.append(
            f"fieldsMatch = {schema['fieldsMatch']!r}: sensorflow finds columns by their names"
        )
    return result


def _dialect(given: dict[str, Any], result: Described) -> None:
    written = str(given.get("format") or "csv").lower()
    dialect = given.get("dialect") or {}
    if isinstance(dialect, str):
        raise UsageError(f"its dialect is in another file, {dialect!r}: put it into the resource")
    dialect = {**dialect, **(dialect.get("csv") or {})}
    settings = result.settings
    settings["format"] = _FORMATS.get(written, written)
    for theirs, ours in (("delimiter", "delimiter"), ("quoteChar", "quote"), ("escapeChar", "escape"),
                         ("commentChar", "comment")):  # fmt: skip
        if dialect.get(theirs):
            settings[ours] = dialect[theirs]
    if written == "tsv":
        settings.setdefault("delimiter", "\t")
    if given.get("encoding"):
        settings["encoding"] = given["encoding"]
    if dialect.get("nullSequence"):
        settings["missing"] = [dialect["nullSequence"]]
    if dialect.get("sheetName") or dialect.get("sheetNumber"):
        settings["sheet"] = dialect.get("sheetName") or dialect["sheetNumber"]
    _header(dialect, result)
    if dialect.get("doubleQuote") is False and not dialect.get("escapeChar"):
        result.omitted.append("doubleQuote = false: sensorflow reads a doubled quote as one quote")
    if dialect.get("lineTerminator") not in (None, "\n", "\r\n"):
        result.omitted.append(
            f"lineTerminator = {dialect['lineTerminator']!r}: lines end in LF or CRLF"
        )
    if dialect.get("skipInitialSpace"):
        result.omitted.append("skipInitialSpace: spaces around numbers and titles are ignored, but spaces "
                           "before a quote are not")  # fmt: skip
    result.cannot("dialect.", dialect, {"commentRows": "to skip rows, set a pattern as `drop`"})


def _header(dialect: dict[str, Any], result: Described) -> None:
    rows = dialect.get("headerRows")
    if dialect.get("header") is False or rows == []:
        result.settings["header"] = 0
    elif isinstance(rows, list) and rows and rows != [1]:
        if rows != list(range(rows[0], rows[0] + len(rows))):
            result.doubts.append(
                f"headerRows = {rows}: the rows are not consecutive; check header and skip"
            )
        result.settings.update({"skip": rows[0] - 1} if rows[0] > 1 else {})
        result.settings["header"] = ["name"] * len(rows) if len(rows) > 1 else 1
        join = dialect.get("headerJoin", " ")
        if len(rows) > 1 and join != " ":
            result.omitted.append(
                f"headerJoin = {join!r}: titles of several rows are joined by a space"
            )


def _field(given: dict[str, Any], result: Described) -> Field:
    name, type_name = given["name"], str(given.get("type") or "any")
    kind = _KINDS.get(type_name, "text")
    limits = given.get("constraints") or {}
    result.cannot(f"{name}: ", limits, _CONSTRAINTS)
    return Field(
        name,
        kind,
        type_name,
        _format(name, type_name, given.get("format"), result) if type_name in _DEFAULT else "",
        measured(given),
        unit(given),
        texts(given.get("missingValues")),
        _text(limits.get("minimum")),
        _text(limits.get("maximum")),
        bool(limits.get("required")),
        texts(limits.get("enum")),
        str(given.get("decimalChar") or "."),
        str(given.get("groupChar") or ""),
        given.get("bareNumber") is not False,
    )


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _format(name: str, type_name: str, given: Any, made: Described) -> str:
    if given in (None, "", "default"):
        return _DEFAULT[type_name]
    if given == "any":
        made.doubts.append(
            f'{name}: its format is "any": set the format of its times, such as %d.%m.%Y'
        )
        return ""
    text = str(given).removeprefix("fmt:")
    try:
        timeformats.check_format(f"%Y-%m-%d {text}" if type_name == "time" else text)
    except ValueError as error:
        made.doubts.append(f"{name}: sensorflow does not support the format {text!r}: {error}")
        return ""
    return text
