"""Reads profiles: those of the library for common loggers and formats, and those in TOML files.

A profile is a TOML table. A profile with `extends = "name"` inherits from the profile `name` all keys that
it does not set itself.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sensorflow import plugins
from sensorflow.core.nearest import did_you_mean
from sensorflow.core.profile import Profile, formats
from sensorflow.errors import Code, UsageError
from sensorflow.explain import explain

Table = dict[str, Any]
formats.register_external_formats(plugins.Decoders())
MERGED = frozenset({"time", "columns", "captures", "rules", "units", "where", "values"})
"""Keys of profiles whose tables are merged key by key with the inherited table. Any other value replaces
the inherited value."""


@cache
def builtin() -> Mapping[str, Table]:
    """Return the profiles of the library: name -> table."""
    files = sorted(resources.files(__name__).iterdir(), key=lambda f: f.name)
    return {
        file.name.removesuffix(".toml").replace("_", "-"): tomllib.loads(file.read_text("utf-8"))
        for file in files
        if file.name.endswith(".toml")
    }


def text(name: str) -> str:
    """Return the TOML text of a profile of the library."""
    file = resources.files(__name__) / f"{name.replace('-', '_')}.toml"
    return file.read_text("utf-8")


def resolved(name: str, tables: Mapping[str, Any], below: tuple[str, ...] = ()) -> Any:
    """Return the table of a profile, with all inherited keys.

    tables: the profiles of the project; the library is searched if `name` is not among them. below: the
    names of the profiles that led to this one by `extends`. Raises UsageError for an unknown name, or if
    profiles extend each other in a cycle.
    """
    if name in below:
        cycle = " -> ".join((*below[below.index(name) :], name))
        raise UsageError(
            f"profiles.{name}.extends: the profiles extend each other in a cycle: {cycle}",
            Code.SETTINGS,
        )
    table = tables[name] if name in tables and name not in below else None
    if table is None:
        if name not in builtin():
            raise UsageError(unknown(name, tables), Code.SETTINGS)
        table = builtin()[name]
    if not isinstance(table, dict) or "extends" not in table:
        return table
    parent, own = table["extends"], {k: v for k, v in table.items() if k != "extends"}
    # a project's profile may have the same name as the built-in one that it extends
    known = {k: v for k, v in tables.items() if k != name} if parent == name else tables
    chain = below if parent == name else (*below, name)
    return merged(resolved(str(parent), known, chain), own)


def unknown(name: str, tables: Mapping[str, Any]) -> str:
    known = sorted({*tables, *builtin()})
    hint = did_you_mean(name, known, f"known: {', '.join(known)}")
    return f"no such profile: {name!r}; {hint}"


def merged(parent: Table, own: Table) -> Table:
    result = {**parent, **own}
    for key in MERGED & parent.keys() & own.keys():
        above, below = _as_table(key, parent[key]), _as_table(key, own[key])
        if not isinstance(above, dict) or not isinstance(below, dict):
            continue
        result[key] = {**above, **below}
        for one, other in (("column", "columns"), ("columns", "column")):
            if key == "time" and one in below and other in above:
                del result[key][other]
    if own.keys() & {"value"}:
        result = {k: v for k, v in result.items() if k not in ("columns", "each") or k in own}
    if own.keys() & {"columns", "each"}:
        result = {k: v for k, v in result.items() if k != "value" or k in own}
    return result


def _as_table(key: str, given: Any) -> Any:
    if key == "time" and isinstance(given, str):
        return {"column": given}
    if key == "time" and isinstance(given, list):
        return {"columns": given}
    if key == "columns" and isinstance(given, list):
        return {name: {} for name in given}
    return given


def validated(table: Any, where: str) -> Profile:
    """Return the profile of a table. where: location of the table, for messages. Raises UsageError, with a
    message of one line, if the table is not a valid profile."""
    try:
        return Profile.model_validate(table)
    except ValidationError as error:
        raise UsageError(f"{where}: {explain(error, Profile, table)[1]}", Code.SETTINGS) from error


def read_text(file: Path) -> str:
    """Return the text of a TOML file. Raises UsageError if the text is not valid UTF-8; OSError if the file
    cannot be read."""
    try:
        return file.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{file}: not valid TOML: {error}", Code.SETTINGS) from error


def parsed(text: str, file: Path) -> Table:
    """Parse the text of `file`. Raises UsageError with a one-line message if the text is not TOML."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{file}: not valid TOML: {error}", Code.SETTINGS) from error


def read_toml(file: Path) -> Table:
    """Read and parse a TOML file. Raises UsageError with a one-line message if the file cannot be read or
    is not TOML."""
    try:
        return parsed(read_text(file), file)
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}", Code.SETTINGS) from error


def load(named: str, tables: Mapping[str, Any] | None = None) -> tuple[str, Profile]:
    """Return the name and the profile that `named` refers to. Raises UsageError.

    named: the path of a TOML file, or the name of a profile in `tables` or in the library. A file contains
    either the keys of one profile, or a table [profiles] with one or more profiles. "file.toml:name"
    selects one of these profiles.
    """
    path, _, inner = named.partition(".toml:")
    file = Path(f"{path}.toml" if inner else named)
    if not inner and not named.endswith(".toml") and not file.is_file():
        tables = tables or {}
        return named, validated(resolved(named, tables), f"profile {named}")
    name, table = chosen(read_toml(file), file, inner)
    return name, validated(table, f"{file}: profiles.{inner}" if inner else str(file))


def chosen(given: Table, file: Path, inner: str = "") -> tuple[str, Any]:
    """Return the name of a profile in a file, and its table with all inherited keys. Raises UsageError.

    given: the content of the file. inner: name of the profile; it may be "" if the file contains only one
    profile.
    """
    found = given.get("profiles")
    if not isinstance(found, dict):
        return file.stem, _resolved(file.stem, {file.stem: given}, file)
    if not inner and len(found) == 1:
        inner = next(iter(found))
    if inner not in found:
        names = ", ".join(f"{file}:{name}" for name in found)
        raise UsageError(f"{file}: has several profiles; select one: {names}", Code.SETTINGS)
    return inner, _resolved(inner, found, file)


def _resolved(name: str, tables: Mapping[str, Any], file: Path) -> Any:
    try:
        return resolved(name, tables)
    except UsageError as error:
        raise UsageError(f"{file}: {error}", Code.SETTINGS) from error
