"""Reads the settings from `sensorflow.toml` and from environment variables, which override the file.

The variables are `SENSORFLOW_*`, and `SENSORFLOW_*_FILE` for secrets that are stored in files. An unknown
key or a value of the wrong type raises an error of one line, with the file, the key and a valid
alternative.
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
from sensorflow.core.partitions import Layer
from sensorflow.environment import Variables, names_project
from sensorflow.errors import Code, FormerName, UsageError
from sensorflow.explain import explain
from sensorflow.profiles import files
from sensorflow.profiles.files import TextCache
from sensorflow.settings.former import rename
from sensorflow.settings.project import Settings
from sensorflow.settings.storage import ZONES, display_url

FILE_NAME = "sensorflow.toml"
COPY = "SENSORFLOW_CONFIG_COPY"
"""The environment variable with the path of a copy of the settings file and its profile files. If it is
set, the copy is read instead of these files. `sensorflow up` sets the variable for its processes, so that
they keep the settings with which they were started, even if the files change."""
RESTORING = ".restoring"
"""Name of the folder that a restore creates in the data folder, and removes when the restore is finished.
While this folder exists, no other command may use the data folder."""


def find(start: Path, environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the path of the settings file: the file of $SENSORFLOW_CONFIG, or the sensorflow.toml in
    `start` or in the nearest of its parent folders. None if there is none. Raises UsageError."""
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
    """Return the path of the settings file, for commands that need a file. Raises UsageError if there is
    none."""
    path = find(start)
    require_project(path, start, {})
    assert path is not None
    return path


def require_project(path: Path | None, start: Path, environ: Mapping[str, str]) -> None:
    """Check that there is a settings file, or variables that define a project. Raises UsageError if there
    is neither. path: the settings file, or None. start: the folder in which it was searched."""
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
    """Read and check the settings. Raises UsageError with a message of one line for the first error.

    path: the settings file; None to use only defaults and environment variables. text: TOML to use instead
    of the content of the settings file. warn: whether to issue a `FormerName` warning for each key that is
    set under its former name.
    """
    copy = environ.get(COPY)
    texts = TextCache(path, Path(copy) if copy and text is None else None, text)
    given, variables, named = _given(texts, environ)
    where = _KeyLocation(path, variables)
    former = rename(Settings, given, variables, where)
    _resolve_profiles(given, where)
    extras = {"home": texts.home, "profile_files": named, "former_keys": former}
    try:
        settings = Settings.model_validate({**given, **extras})
    except ValidationError as error:
        key, message = explain(error, Settings, given)
        message += "".join(f" (set by its former name, {f.former})" for f in former if f.key == key)
        located = f"{where(key)}: {message}" if key else where.begins(message)
        raise UsageError(located, Code.SETTINGS) from error
    _check_profiles(settings, where)
    _check_folders(settings, where)
    _check_bare_path(settings, where)
    _check_move(settings, where)
    _check_tls(settings, where)
    for found in former if warn else ():
        warnings.warn(FormerName(str(found)), stacklevel=2)
    return settings


class _KeyLocation:
    """Finds where a key was set, for messages: in the settings file, or by an environment variable."""

    def __init__(self, path: Path | None, variables: Variables) -> None:
        self._path, self._variables = path, variables

    def __call__(self, *keys: str) -> str:
        """Return the environment variable that has set one of the keys: the variable of the first key that
        has a variable. If no variable has set any of the keys, return the path of the settings file."""
        file = str(self._path) if self._path else None
        return next(filter(None, (self._variables.of(k, file) for k in keys)), file or "settings")

    def begins(self, message: str) -> str:
        """Return `message` with the file or variable that has set a key put in front. The message begins
        with this key."""
        key = re.match(r"[\w.-]*", message)
        return f"{self(key[0].rstrip('.') if key else '')}: {message}"


def copied(path: Path | None, environ: Mapping[str, str] = os.environ) -> str:
    """Return the content of the settings file and its profile files as one string, in the format of the
    file that `COPY` refers to. Raises UsageError."""
    texts = TextCache(path)
    _given(texts, environ)
    return texts.copied()


def _given(
    texts: TextCache, environ: Mapping[str, str]
) -> tuple[dict[str, Any], Variables, dict[str, Path]]:
    """Return the values that the file and the variables set, the variables, and the files of profiles by
    the name of the profile."""
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
    """Replace each profile that extends another one by its full table, and add the library profiles that
    sources use."""
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
            known_files = files.toml_files(settings.home)
            suggestion = nearest(f"{source.profile}.toml", known_files)
            hint = profiles.unknown(source.profile, settings.profiles).partition("; ")[2]
            hint = f"did you mean the file {suggestion!r}?" if suggestion else hint
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
    """Raises UsageError if a drop folder, the data folder or a zone contains another one of these folders.
    Otherwise two sources could read the same file, or a source could read its archived files as new
    files."""
    folders = {f"sources.{n}.path": settings.path(s.path) for n, s in settings.folders.items()}
    folders["data"] = settings.data_folder
    for zone in ZONES:
        folder = settings.zone_folder(zone)
        if folder is not None and getattr(settings.storage, zone) is not None:
            folders[f"storage.{zone}"] = folder
    if (common := settings.storage.data_folder(settings.home)) is not None:
        folders["storage.data"] = common
    real = {name: Path(os.path.normpath(folder)) for name, folder in folders.items()}
    for name, outer in real.items():
        for other, inner in real.items():
            if name != other and inner.is_relative_to(outer):
                raise UsageError(
                    f"{where(other, name)}: {other} is inside of {name} ({outer}); "
                    "give each its own folder",
                    Code.SETTINGS,
                )


def _check_bare_path(settings: Settings, where: _KeyLocation) -> None:
    """Raises UsageError if the scheme of a bucket's URL was probably forgotten: without it, the data would
    be stored in a folder on this host."""
    if (bare := settings.storage.bare_path()) is None:
        return
    key, value = f"storage.{bare[0]}", bare[1]
    raise UsageError(
        f"{where(key)}: {key} = {value!r} is the folder {settings.path(Path(value))} on this host, but "
        f"endpoint and region are for buckets; write s3://{value} for a bucket, or ./{value} for the "
        "folder",
        Code.SETTINGS,
    )


def _check_move(settings: Settings, where: _KeyLocation) -> None:
    """Raises UsageError if nothing would be moved from `storage.previous`, or if a zone contains another
    zone's previous location."""
    previous, key = settings.before_move(), "storage.previous"
    if previous is None:
        return
    if not settings.moved_zones():
        raise UsageError(
            f"{where(key)}: {key} is the current location of all zones; set the location from which the "
            f"project is moved, or remove {key}",
            Code.SETTINGS,
        )
    for zone, outer in _places(previous):
        for other, inner in _places(settings):
            overlap = f"{inner}/".startswith(f"{outer}/") or f"{outer}/".startswith(f"{inner}/")
            if overlap and (zone, outer) != (other, inner):
                raise UsageError(
                    f"{where(key)}: storage.{other} ({display_url(inner)}) overlaps with the {zone} of "
                    f"{key} ({display_url(outer)}); choose a location outside of it",
                    Code.SETTINGS,
                )


def _places(settings: Settings) -> list[tuple[str, str]]:
    """Return each zone and its location, and each layer instead of the lake."""
    lake = settings.zone_location("lake")
    places = [(zone, settings.zone_location(zone)) for zone in ZONES if zone != "lake"]
    return places + [("lake", f"{lake}/{layer}") for layer in Layer]


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
    """Check that no restore into the data folder was interrupted. Raises UsageError if one was, because the
    data may be incomplete."""
    mark = settings.data_folder / RESTORING
    if mark.is_dir():
        begun = (mark / "step").exists()  # if so, the database may need these files
        other = "" if begun else f", or remove {mark} to start with no data"
        raise UsageError(
            f"a restore into {settings.data_folder} is not finished: run `sensorflow restore` again with "
            f"the same backup{other}",
            Code.SETTINGS,
        )
