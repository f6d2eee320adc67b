"""Creates the settings of a test project from a few arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tomlkit

from sensorflow.settings.file import FILE_NAME

Table = Mapping[str, Any]
"""Keys and values of a TOML table."""
new_storage: Callable[[], Table] = dict
"""A function that returns the table `[storage]` of a new project. If it is empty, as by default, the zones
are in the data folder. Tests assign another function to have the zones of all projects in a store."""


def settings_text(
    sources: Mapping[str, Table], profiles: Mapping[str, Table] | None = None, **keys: Any
) -> str:
    """Return the text of a `sensorflow.toml`. sources, profiles: name -> table. keys: the top-level keys,
    which precede the tables.

    By default, the drop folder of a source has the name of the source, the profile of a source is `long`
    from the profile library, the data folder is `data`, and `[storage]` is the result of `new_storage`.
    """
    source_tables = {name: _source(name, table) for name, table in sources.items()}
    tables: dict[str, Any] = {"sources": source_tables}
    if profiles:
        tables["profiles"] = profiles
    if storage := keys.pop("storage", None) or new_storage():
        tables["storage"] = storage
    return tomlkit.dumps({"data": "data", **keys, **tables})


def _source(name: str, table: Table) -> Table:
    path = {} if "kind" in table else {"path": name}
    return {**path, "profile": "long", **table}


def write_settings(
    folder: Path,
    sources: Mapping[str, Table],
    profiles: Mapping[str, Table] | None = None,
    **keys: Any,
) -> Path:
    """Turn a folder into a project with these settings (see `settings_text`). Returns the path of the
    settings file. A project that has zones in a store keeps them if its settings are written again."""
    path = folder / FILE_NAME
    if path.exists():
        keys = {"storage": tomlkit.parse(path.read_text("utf-8")).get("storage"), **keys}
    path.write_text(settings_text(sources, profiles, **keys), "utf-8")
    return path
