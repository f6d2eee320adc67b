"""Reads profiles in files of their own, to which the settings refer by path: `profile = "testo.toml"` in a
source, or `extends = "testo.toml"` in a profile.

A path is relative to the folder of sensorflow.toml. The name of the profile is the name of its table in the
file or, if the file has no table [profiles], the file's name without `.toml`. A file with a profile loads
the same readings as the same profile in sensorflow.toml.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sensorflow import profiles
from sensorflow.core.nearest import did_you_mean
from sensorflow.environment import folder
from sensorflow.errors import Code, UsageError

SETTINGS = ""
"""The key of the text of sensorflow.toml in `TextCache`."""


class TextCache:
    """Reads the settings file and the profile files to which it refers, each file only once.

    path: the settings file; None if there is none. copy: path of a file that contains the string that
    `copied` returned. It is read instead of all these files. given: a text that is used instead of the
    content of the settings file.
    """

    def __init__(
        self, path: Path | None, copy: Path | None = None, given: str | None = None
    ) -> None:
        self.path = path
        self.home = path.parent.absolute() if path else folder()
        self._texts: dict[str, str] = {} if given is None else {SETTINGS: given}
        self._text = copy is not None and path is not None
        if copy is not None and path is not None:
            self._texts = _read_copy(path, copy)

    def settings(self) -> profiles.Table:
        """Return the content of the settings file as a table; an empty table if there is no file. Raises
        UsageError."""
        return {} if self.path is None else self._table(SETTINGS, self.path)

    def profile(self, named: str) -> tuple[str, profiles.Table, Path]:
        """Return the name of a profile in a file, its table with all inherited keys, and the path of the
        file. named: "path.toml" or "path.toml:name". Raises UsageError."""
        where, inner = _parted(named)
        file = self.home / where
        name, table = profiles.chosen(self._table(where, file), file, inner)
        return name, table, file

    def _table(self, key: str, file: Path) -> profiles.Table:
        if key not in self._texts:
            if self._text:
                raise UsageError(
                    f"{file}: did not exist when the settings were copied", Code.SETTINGS
                )
            self._texts[key] = profiles.read_text(file)
        return profiles.parsed(self._texts[key], file)

    def copied(self) -> str:
        """Return the texts of all files that were read so far as one string. A file with this string can be
        passed as `copy`."""
        return json.dumps(self._texts)


def _read_copy(path: Path, copy: Path) -> dict[str, str]:
    try:
        return dict(json.loads(copy.read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path}: its copy {copy} cannot be read: {error}", Code.SETTINGS
        ) from error


def is_path(named: str) -> bool:
    """Return whether the value of `profile` or `extends` is the path of a file, and not the name of a
    profile."""
    return named.endswith(".toml") or ".toml:" in named or "/" in named


def _parted(named: str) -> tuple[str, str]:
    """Split "path.toml:name" into (path, name). Without ":name", the name is ""."""
    before, colon, inner = named.partition(".toml:")
    return (f"{before}.toml", inner) if colon else (named, "")


def resolve(given: dict[str, Any], texts: TextCache) -> dict[str, Path]:
    """Read the profiles to which the settings refer by path, and add their tables to the settings `given`.

    In the tables of sources, the path is replaced by the name of the profile. Returns the path of the file
    of each such profile, by the name of the profile. Raises UsageError.
    """
    tables, sources = given.get("profiles", {}), given.get("sources", {})
    if not isinstance(tables, dict) or not isinstance(sources, dict):
        return {}
    found: dict[str, Path] = {}
    own = dict(tables)
    for key, profile, named in _extended(tables):
        _, base, found[named] = _read(texts, key, named)
        rest = {k: v for k, v in tables[profile].items() if k != "extends"}
        own[profile] = profiles.merged(base, rest)
    for key, source, named in _of_sources(sources, tables):
        name, table, file = _read(texts, key, named)
        other = found.get(name) or (f"[profiles.{name}]" if name in tables else file)
        if other != file:
            raise UsageError(
                f"{texts.path}: {key} = {named!r}: the profile in this file is called {name!r}, and so is "
                f"{other}; rename one of them",
                Code.SETTINGS,
            )
        profiles.validated(table, _place(file, named))
        found[name], own[name] = file, table
        source["profile"] = name
    if own:
        given["profiles"] = own
    return found


def _of_sources(
    sources: Mapping[str, Any], tables: Mapping[str, Any]
) -> Iterator[tuple[str, dict[str, Any], str]]:
    for name, source in sources.items():
        named = source.get("profile") if isinstance(source, dict) else None
        if isinstance(named, str) and named not in tables and is_path(named):
            yield f"sources.{name}.profile", source, named


def _extended(tables: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for name, table in tables.items():
        named = table.get("extends") if isinstance(table, dict) else None
        if isinstance(named, str) and named not in tables and is_path(named):
            yield f"profiles.{name}.extends", name, named


def _read(texts: TextCache, key: str, named: str) -> tuple[str, profiles.Table, Path]:
    try:
        return texts.profile(named)
    except FileNotFoundError:
        file = texts.home / _parted(named)[0]
        otherwise = f"`sensorflow sniff FILE --out {named}` writes one"
        hint = did_you_mean(named, toml_files(texts.home, file), otherwise)
        what = f"no such file {file}; {hint}"
    except OSError as error:
        file = texts.home / _parted(named)[0]
        what = f"{file} cannot be read: {error.strerror}; name a TOML file"
    raise UsageError(f"{texts.path or 'settings'}: {key} = {named!r}: {what}", Code.SETTINGS)


def toml_files(home: Path, beside: Path | None = None) -> list[str]:
    """Return the paths of the TOML files in the folder `home` and in the folder of the file `beside`,
    without sensorflow.toml. A path below `home` is relative to `home`."""
    folders = {home, *([beside.parent] if beside else [])}
    files = [
        file for folder in folders if folder.is_dir() for file in sorted(folder.glob("*.toml"))
    ]
    profiles = [file for file in files if file.name != "sensorflow.toml"]
    return [str(f.relative_to(home) if f.is_relative_to(home) else f) for f in profiles]


def _place(file: Path, named: str) -> str:
    inner = _parted(named)[1]
    return f"{file}: profiles.{inner}" if inner else str(file)


def plain_name(name: str) -> str:
    """Return a name in which hyphens replace all characters except ASCII letters, digits, - and _."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")
