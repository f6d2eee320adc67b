"""CSVW: metadata for tabular data (www.w3.org/TR/tabular-metadata/)."""

from __future__ import annotations

from typing import Any

from sensorflow.core.exchange import datepatterns
from sensorflow.core.exchange.described import Described, Field, Kind, measured, texts, unit
from sensorflow.errors import UsageError

_INTEGERS = (
    *("integer", "long", "int", "short", "byte", "nonNegativeInteger", "positiveInteger"),
    *("unsignedLong", "unsignedInt", "unsignedShort", "unsignedByte"),
    *("nonPositiveInteger", "negativeInteger"),
)
_KINDS: dict[str, Kind] = {
    **dict.fromkeys(("number", "decimal", "double", "float"), "number"),
    **dict.fromkeys(_INTEGERS, "integer"),
    **dict.fromkeys(("datetime", "dateTime", "dateTimeStamp"), "datetime"),
    **dict.fromkeys(("date", "gYear", "gYearMonth"), "date"),
    "time": "time",
    "boolean": "boolean",
}
_ISO = {"datetime": "iso8601", "date": "%Y-%m-%d", "time": "%H:%M:%S"}
_GREGORIAN = {"gYear": "%Y", "gYearMonth": "%Y-%m"}
_LEAST = {"nonNegativeInteger": "0", "positiveInteger": "1"}
_NO_RULE = "rules have no such check"


def table(given: dict[str, Any]) -> Described:
    """Read the description of a CSVW table. Raises UsageError if it has no columns."""
    schema = given.get("tableSchema", given)
    if isinstance(schema, str):
        raise UsageError(f"its tableSchema is in another file, {schema!r}: import that file")
    columns = schema.get("columns") if isinstance(schema, dict) else None
    if not isinstance(columns, list) or not columns:
        raise UsageError("the tableSchema has no list of columns")
    result = Described("CSVW", settings={"format": "csv"})
    inherited = {
        k: s[k] for s in (given, schema) for k in ("null", "required", "datatype") if k in s
    }
    named: dict[str, str] = {}
    for number, one in enumerate(columns, 1):
        if not isinstance(one, dict):
            raise UsageError(f"column {number} of the tableSchema is not an object")
        if one.get("virtual"):
            continue
        found = _column({**inherited, **one}, number, result)
        named[str(one.get("name", found.name))] = found.name
        result.fields.append(found)
    _dialect(given.get("dialect"), result)
    result.key = tuple(named.get(name, name) for name in texts(schema.get("primaryKey")))
    result.cannot("", schema, {"foreignKeys": "not checked", "rowTitles": "not read"})
    result.cannot("", given, {"transformations": "not carried out"})
    return result


def _dialect(given: Any, result: Described) -> None:
    if isinstance(given, str):
        raise UsageError(f"its dialect is in another file, {given!r}: put it into the metadata")
    dialect = given or {}
    settings = result.settings
    for theirs, ours in (
        ("delimiter", "delimiter"),
        ("encoding", "encoding"),
        ("skipRows", "skip"),
    ):
        if dialect.get(theirs):
            settings[ours] = dialect[theirs]
    if "quoteChar" in dialect:
        settings["quote"] = dialect["quoteChar"] or ""
    if dialect.get("doubleQuote") is False:
        settings["escape"] = "\\"
    comment = dialect.get("commentPrefix", "#")
    if comment and not result.fields[0].name.startswith(comment):
        settings["comment"] = comment
    rows = 0 if dialect.get("header") is False else dialect.get("headerRowCount", 1)
    if dialect.get("headerRowCount", rows) != 1 or rows == 0:
        settings["header"] = ["name", *["skip"] * (rows - 1)] if rows > 1 else rows
    if dialect.get("skipInitialSpace") or dialect.get("trim"):
        result.omitted.append("trim, skipInitialSpace: spaces around numbers and titles are ignored, but "
                           "spaces before a quote are not")  # fmt: skip
    if dialect.get("skipColumns"):
        result.doubts.append(
            f"dialect.skipColumns = {dialect['skipColumns']}: add these columns to ignore"
        )


def _column(given: dict[str, Any], number: int, result: Described) -> Field:
    name = _title(given) or f"_col.{number}"
    datatype = given.get("datatype") or "string"
    datatype = datatype if isinstance(datatype, dict) else {"base": datatype}
    datatype_name = str(datatype.get("base") or "string")
    kind = "text" if given.get("separator") else _KINDS.get(datatype_name, "text")
    result.cannot(f"{name}: ", given, {"default": "an empty cell is a missing value"})
    lists = dict.fromkeys(
        ("minExclusive", "maxExclusive", "length", "minLength", "maxLength"), _NO_RULE
    )
    result.cannot(f"{name}: ", datatype, lists)
    if given.get("suppressOutput"):
        kind = "text"
    style = _numbers(name, datatype.get("format"), result) if kind in ("number", "integer") else {}
    return Field(
        name,
        kind,
        datatype_name,
        _format(name, datatype_name, kind, datatype.get("format"), result) if kind in _ISO else "",
        measured(given),
        unit(given),
        texts(given.get("null")),
        _bound(datatype, "minimum", "minInclusive") or _LEAST.get(datatype_name),
        _bound(datatype, "maximum", "maxInclusive"),
        given.get("required") is True,
        decimal=style.get("decimal", "."),
        thousands=style.get("thousands", ""),
    )


def _title(given: dict[str, Any]) -> str:
    """Return the column's title in the file, or its name if it has no title."""
    titles = given.get("titles")
    titles = next(iter(titles.values()), None) if isinstance(titles, dict) else titles
    titles = next(iter(titles), None) if isinstance(titles, list) else titles
    return str(titles or given.get("name") or "")


def _bound(datatype: dict[str, Any], *names: str) -> str | None:
    return next((str(datatype[name]) for name in names if datatype.get(name) is not None), None)


def _numbers(name: str, given: Any, result: Described) -> dict[str, str]:
    """Return the profile keys `decimal` and `thousands` for a number format. A key is included only if the
    format specifies it."""
    written = given if isinstance(given, dict) else {"pattern": given} if given else {}
    found = {}
    if written.get("decimalChar"):
        found["decimal"] = str(written["decimalChar"])
    if written.get("groupChar") or "," in str(written.get("pattern", "")):
        found["thousands"] = str(written.get("groupChar") or ",")
    if "%" in str(written.get("pattern", "")) or "‰" in str(written.get("pattern", "")):
        result.doubts.append(
            f"{name}: numbers with a percent sign: set clean and scale of the column"
        )
    return found


def _format(name: str, datatype_name: str, kind: str, given: Any, result: Described) -> str:
    if not given:
        return _GREGORIAN.get(datatype_name, _ISO[kind])
    try:
        return datepatterns.strptime(str(given))
    except ValueError as error:
        result.doubts.append(f"{name}: {error}: set the format of its times, such as %d.%m.%Y")
        return ""
