"""The library of profiles for common loggers and formats, and the inheritance of profiles.

A profile is a TOML table. With `extends = "name"` it inherits the keys of another profile. Its own keys
override inherited keys.
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
"""Tables that are merged key by key with the inherited table. Any other table replaces the inherited
one."""


@cache
def builtin() -> Mapping[str, Table]:
    """Return the built-in profiles: name -> table."""
    files = sorted(resources.files(__name__).iterdir(), key=lambda f: f.name)
    return {
        file.name.removesuffix(".toml").replace("_", "-"): tomllib.loads(file.read_text("utf-8"))
        for file in files
        if file.name.endswith(".toml")
    }


def text(name: str) -> str:
    """Return the TOML text of a built-in profile."""
    file = resources.files(__name__) / f"{name.replace('-', '_')}.toml"
    return file.read_text("utf-8")


def resolved(name: str, tables: Mapping[str, Any], below: tuple[str, ...] = ()) -> Any:
    """Return the table of a profile, including inherited keys. Raises UsageError for an unknown name or a
    cycle of `extends`."""
    if name in below:
        circle = " -> ".join((*below[below.index(name) :], name))
        raise UsageError(
            f"profiles.{name}.extends: the profiles extend each other in a cycle: {circle}",
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
    made = {**parent, **own}
    for key in MERGED & parent.keys() & own.keys():
        above, below = _as_table(key, parent[key]), _as_table(key, own[key])
        if not isinstance(above, dict) or not isinstance(below, dict):
            continue
        made[key] = {**above, **below}
        for one, other in (("column", "columns"), ("columns", "column")):
            if key == "time" and one in below and other in above:
                del made[key][other]
    if own.keys() & {"value"}:
        made = {k: v for k, v in made.items() if k not in ("columns", "each") or k in own}
    if own.keys() & {"columns", "each"}:
        made = {k: v for k, v in made.items() if k != "value" or k in own}
    return made


def _as_table(key: str, given: Any) -> Any:
    if key == "time" and isinstance(given, str):
        return {"column": given}
    if key == "time" and isinstance(given, list):
        return {"columns": given}
    if key == "columns" and isinstance(given, list):
        return {name: {} for name in given}
    return given


def validated(table: Any, where: str) -> Profile:
    """Validate a table and return its profile. Raises UsageError with a one-line message for the first
    error."""
    try:
        return Profile.model_validate(table)
    except ValidationError as error:
        raise UsageError(f"{where}: {explain(error, Profile, table)[1]}", Code.SETTINGS) from error


def read_text(file: Path) -> str:
    """Read a TOML file. Raises UsageError if it is not UTF-8, OSError if it cannot be read."""
    try:
        return file.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{file}: not valid TOML: {error}", Code.SETTINGS) from error


def parsed(text: str, file: Path) -> Table:
    """Parse the text of `file`. Raises UsageError with a one-line message if it is not TOML."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{file}: not valid TOML: {error}", Code.SETTINGS) from error


def read_toml(file: Path) -> Table:
    """Read and parse a file. Raises UsageError with a one-line message if it cannot be read or is not
    TOML."""
    try:
        return parsed(read_text(file), file)
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}", Code.SETTINGS) from error


def load(named: str, tables: Mapping[str, Any] | None = None) -> tuple[str, Profile]:
    """Return (name, profile). named: path of a TOML file, or the name of a profile in `tables` or in the
    library.

    A file contains the keys of one profile, or a table [profiles] with several. "file.toml:name" selects
    one of several profiles.
    """
    path, _, inner = named.partition(".toml:")
    file = Path(f"{path}.toml" if inner else named)
    if not inner and not named.endswith(".toml") and not file.is_file():
        tables = tables or {}
        return named, validated(resolved(named, tables), f"profile {named}")
    name, table = chosen(read_toml(file), file, inner)
    return name, validated(table, f"{file}: profiles.{inner}" if inner else str(file))


def chosen(given: Table, file: Path, inner: str = "") -> tuple[str, Any]:
    """Return (name, resolved table) of a profile in a file. inner: name of the profile, needed if the file
    contains several.

    Raises UsageError.
    """
    found = given.get("profiles")
    if not isinstance(found, dict):
        return file.stem, _resolved(file.stem, {file.stem: given}, file)
    if not inner and len(found) == 1:
        inner = next(iter(found))
    if inner not in found:
        names = ", ".join(f"{file}:{name}" for name in found)
        raise UsageError(f"{file}: has several profiles; name one: {names}", Code.SETTINGS)
    return inner, _resolved(inner, found, file)


def _resolved(name: str, tables: Mapping[str, Any], file: Path) -> Any:
    try:
        return resolved(name, tables)
    except UsageError as error:
        raise UsageError(f"{file}: {error}", Code.SETTINGS) from error
