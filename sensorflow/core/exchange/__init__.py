"""Imports table descriptions (Frictionless Table Schema, CSVW) as profiles, and exports profiles as table
descriptions."""

from __future__ import annotations

from typing import Any

from sensorflow.core.exchange import csvw, frictionless
from sensorflow.core.exchange.described import Described
from sensorflow.core.exchange.proposed import Imported, proposed
from sensorflow.errors import UsageError

__all__ = ["Imported", "imported"]


def imported(document: Any, table: str | None = None) -> Imported:
    """Convert a table description to a profile. document: the parsed JSON.

    table: the table to import, by the name or path of its resource (Frictionless) or by its url (CSVW). It
    may be None if the document describes only one table.

    Raises UsageError if the document is not a Frictionless or CSVW description, or if it does not describe
    the table.
    """
    try:
        return proposed(_described(document, table))
    except (AttributeError, TypeError, ValueError, IndexError, KeyError) as error:
        what = "a part of it does not have the type that the standard requires"
        raise UsageError(f"{what}: {error}") from error


def _described(document: Any, table: str | None) -> Described:
    if not isinstance(document, dict):
        raise UsageError(
            "not a JSON object: expected a Table Schema, a Data Package or CSVW metadata"
        )
    resources = document.get("resources")
    if isinstance(resources, list):
        return frictionless.resource(chosen(resources, table, ("name", "path")))
    tables = document.get("tables")
    if isinstance(tables, list):
        one = chosen(tables, table, ("url", "@id"))
        above = ("null", "lang", "dialect", "tableSchema")
        return csvw.table({**{k: document[k] for k in above if k in document}, **one})
    if isinstance(document.get("tableSchema"), dict) or "columns" in document:
        return csvw.table(document)
    if "schema" in document or "fields" in document:
        schema = document if "fields" in document else None
        return frictionless.resource({"schema": schema} if schema else document)
    raise UsageError(
        "it has neither fields (Table Schema), resources (Data Package) nor tableSchema (CSVW)"
    )


def chosen(given: list[Any], named: str | None, keys: tuple[str, ...]) -> dict[str, Any]:
    found = [one for one in given if isinstance(one, dict)]
    names = [next((str(one[k]) for k in keys if one.get(k)), "") for one in found]
    if named is not None:
        found = [one for one in found if named in [str(one.get(k)) for k in keys]]
    if len(found) == 1:
        return found[0]
    many = "no table" if named is None else f"no table {named!r}"
    many = f"{len(found)} tables" if found else many
    raise UsageError(
        f"it has {many}; select one with --table: {', '.join(filter(None, names)) or 'none'}"
    )
