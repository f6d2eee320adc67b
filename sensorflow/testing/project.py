"""Creates the settings of a test project from a few arguments."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit

from sensorflow.settings.file import FILE_NAME

Table = Mapping[str, Any]
"""Keys and values of a TOML table."""


def settings_text(
    sources: Mapping[str, Table], profiles: Mapping[str, Table] | None = None, **keys: Any
) -> str:
    """Return the text of a `sensorflow.toml`. sources, profiles: name -> table. keys: the top-level keys,
    which precede the tables.

    By default, the drop folder of a source has the name of the source, the profile of a source is `long`
    from the profile library, and the data folder is `data`.
    """
    source_tables = {name: _source(name, table) for name, table in sources.items()}
    tables = (
        {"sources": source_tables, "profiles": profiles} if profiles else {"sources": source_tables}
    )
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
    settings file."""
    path = folder / FILE_NAME
    path.write_text(settings_text(sources, profiles, **keys), "utf-8")
    return path
