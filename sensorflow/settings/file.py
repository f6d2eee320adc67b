"""Settings: ``sensorflow.toml``, then ``SENSORFLOW_*`` variables, then ``*_FILE`` for secrets.

Parsing is strict: an unknown key or a value of the wrong type is a one-line error that names the file, the
key and a valid alternative.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sensorflow import profiles, tls
from sensorflow.core import growth
from sensorflow.core.nearest import nearest
from sensorflow.environment import Variables, names_project
from sensorflow.errors import Code, FormerName, UsageError
from sensorflow.explain import explain
from sensorflow.profiles import files
from sensorflow.profiles.files import TextCache
from sensorflow.settings.former import rename
from sensorflow.settings.project import Settings
from sensorflow.settings.storage import ZONES

FILE_NAME = "sensorflow.toml"
COPY = "SENSORFLOW_CONFIG_COPY"
"""Names a copy of the settings file and its profile files, which is read in their place: the processes
of `sensorflow up` use the settings with which they were started, even if the files change."""
RESTORING = ".restoring"
"""A marker in the data folder while a restore is unfinished: nothing else may use the folder."""


def find(start: Path, environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the settings file: $SENSORFLOW_CONFIG, or the nearest sensorflow.toml at or above `start`."""
    if named := environ.get("SENSORFLOW_CONFIG"):
        path = Path(named).absolute()
        if not path.is_file():
            raise UsageError(
                f"{path}: no such file (set by SENSORFLOW_CONFIG); run `sensorflow init` there",
                Code.SETTINGS,
            )
        return path
    if (start / FILE_NAME).is_dir():
        raise UsageError(
            f"{start / FILE_NAME}: is a folder, not a file; rename the folder", Code.SETTINGS
        )
    for above in (start.absolute(), *start.absolute().parents):
        if (above / FILE_NAME).is_file():
            return above / FILE_NAME
    return None


def required_file(start: Path) -> Path:
    """Return the settings file for commands that need one. Raises UsageError."""
    path = find(start)
    require_project(path, start, {})
    assert path is not None
    return path


def require_project(path: Path | None, start: Path, environ: Mapping[str, str]) -> None:
    """Raises UsageError if there is neither a settings file nor variables that define a project."""
    if path is None and not names_project(environ):
        raise UsageError(
            f"no {FILE_NAME} at or above {start.absolute()}: run `sensorflow init` here, or cd to your "
            "project, or set SENSORFLOW_CONFIG to its file",
            Code.SETTINGS,
        )


def load(
    path: Path | None,
    environ: Mapping[str, str] = os.environ,
    text: str | None = None,
    *,
    warn: bool = True,
) -> Settings:
    """Read and check settings. Raises UsageError with one line for the first error.

    path: the TOML file; None for defaults and environment only. text: used instead of the file's content.
    warn: issue a `FormerName` warning for each of `former_keys`.
    """
    copy = environ.get(COPY)
    texts = TextCache(path, Path(copy) if copy and text is None else None, text)
    given, variables, named = _given(texts, environ)
    where = _KeyLocation(path, variables)
    former = rename(Settings, given, variables, where)
    _resolve_profiles(given, where)
    apart = {"home": texts.home, "profile_files": named, "former_keys": former}
    try:
        settings = Settings.model_validate({**given, **apart})
    except ValidationError as error:
        key, message = explain(error, Settings, given)
        message += "".join(f" (set by its former name, {f.former})" for f in former if f.key == key)
        told = f"{where(key)}: {message}" if key else where.begins(message)
        raise UsageError(told, Code.SETTINGS) from error
    _check_profiles(settings, where)
    _check_folders(settings, where)
    _check_tls(settings, where)
    for found in former if warn else ():
        warnings.warn(FormerName(str(found)), stacklevel=2)
    return settings


class _KeyLocation:
    """Where a key was set, a variable or the file; for messages."""

    def __init__(self, path: Path | None, variables: Variables) -> None:
        self._path, self._variables = path, variables

    def __call__(self, *keys: str) -> str:
        """Return the variable of the first key that has one, else the file."""
        file = str(self._path) if self._path else None
        return next(filter(None, (self._variables.of(k, file) for k in keys)), file or "settings")

    def begins(self, message: str) -> str:
        """Return a message that begins with the key that it concerns."""
        key = re.match(r"[\w.-]*", message)
        return f"{self(key[0].rstrip('.') if key else '')}: {message}"


def copied(path: Path | None, environ: Mapping[str, str] = os.environ) -> str:
    """Return the current settings file and its profile files as one text, the content of a `COPY`.
    Raises UsageError."""
    texts = TextCache(path)
    _given(texts, environ)
    return texts.copied()


def _given(
    texts: TextCache, environ: Mapping[str, str]
) -> tuple[dict[str, Any], Variables, dict[str, Path]]:
    """Return (values from file and variables, key -> variable, files of profiles)."""
    try:
        given = texts.settings()
    except OSError as error:
        raise UsageError(
            f"{texts.path}: cannot be read: {error.strerror}", Code.SETTINGS
        ) from error
    variables = Variables(environ, Settings.model_fields)
    variables.overlay(given)
    return given, variables, files.resolve(given, texts)


def _resolve_profiles(given: dict[str, Any], where: _KeyLocation) -> None:
    """Resolve what profiles extend, and add the library profiles that sources name."""
    tables = given.get("profiles", {})
    sources = given.get("sources", {})
    if not isinstance(tables, dict) or not isinstance(sources, dict):
        return
    named = [s.get("profile") for s in sources.values() if isinstance(s, dict)]
    wanted = [*tables, *(n for n in named if isinstance(n, str) and n in profiles.builtin())]
    try:
        given["profiles"] = {name: profiles.resolved(name, tables) for name in wanted}
    except UsageError as error:
        raise UsageError(where.begins(str(error)), Code.SETTINGS) from error


def _check_profiles(settings: Settings, where: _KeyLocation) -> None:
    for name, source in settings.sources.items():
        if source.profile not in settings.profiles:
            there = files.toml_files(settings.home)
            near = nearest(f"{source.profile}.toml", there)
            hint = profiles.unknown(source.profile, settings.profiles).partition("; ")[2]
            hint = f"did you mean the file {near!r}?" if near else hint
            raise UsageError(
                f"{where(f'sources.{name}.profile')}: sources.{name}.profile = {source.profile!r}: "
                f"no such profile; {hint}",
                Code.SETTINGS,
            )
    for name, source in settings.folders.items():
        reason = growth.why_not_growable(settings.profile_of(source)) if source.growing else None
        if reason is not None:
            raise UsageError(
                where.begins(
                    f"sources.{name}.growing = true with the profile {source.profile!r}: {reason}"
                ),
                Code.SETTINGS,
            )


def _check_folders(settings: Settings, where: _KeyLocation) -> None:
    """No two sources may see the same file, and no source may see a disposed file as a new one."""
    folders = {f"sources.{n}.path": settings.path(s.path) for n, s in settings.folders.items()}
    folders["data"] = settings.data_folder
    for zone in ZONES:
        folder = settings.zone_folder(zone)
        if folder is not None and settings.storage.url(zone) is not None:
            folders[f"storage.{zone}"] = folder
    real = {name: Path(os.path.normpath(folder)) for name, folder in folders.items()}
    for name, outer in real.items():
        for other, inner in real.items():
            if name != other and inner.is_relative_to(outer):
                raise UsageError(
                    f"{where(other, name)}: {other} is inside of {name} ({outer}); "
                    "give each its own folder",
                    Code.SETTINGS,
                )


def _check_tls(settings: Settings, where: _KeyLocation) -> None:
    url = settings.broker_url.get_secret_value() if settings.broker_url else None
    try:
        for key in ("database_tls", "broker_tls"):
            if (given := getattr(settings, key)) is not None:
                tls.check(key, given.below(settings.home))
        tls.check_broker(url, settings.broker_tls)
        _ = settings.database
    except UsageError as error:
        raise UsageError(where.begins(str(error)), Code.SETTINGS) from error


def require_whole(settings: Settings) -> None:
    """Raises UsageError if a restore was interrupted: the data may be incomplete."""
    mark = settings.data_folder / RESTORING
    if mark.is_dir():
        begun = (mark / "step").exists()  # the database may contain files that exist only there
        other = "" if begun else f", or remove {mark} to start with no data"
        raise UsageError(
            f"a restore into {settings.data_folder} is not finished: run `sensorflow restore` again with "
            f"the same backup{other}",
            Code.SETTINGS,
        )
