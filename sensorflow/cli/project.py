"""Adds sources and profiles to sensorflow.toml. The existing text is not changed."""

from __future__ import annotations

import fcntl
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sensorflow.disk import replace
from sensorflow.environment import folder as here
from sensorflow.errors import Code, UsageError

if TYPE_CHECKING:
    from sensorflow.settings import Settings


@dataclass(frozen=True)
class AddedSource:
    """A source to add to sensorflow.toml.

    folder: absolute path of the drop folder, which is created if it does not exist. profile: name or path
    of the profile. keys: further keys of the source. table: TOML of a profile that is added under the name
    of the source; None to add no profile. comment: text for a comment above the added tables.
    """

    name: str
    folder: Path
    profile: str
    keys: Mapping[str, Any] = field(default_factory=dict)
    table: str | None = None
    comment: str = ""


def settings_file() -> Path:
    """Returns the settings file. Raises UsageError if there is no project."""
    from sensorflow.settings import required_file

    return required_file(here())


def require_free(path: Path, name: str, with_profile: bool) -> None:
    """Check that a source with this name can be added to the settings file. with_profile: whether a profile
    with the same name is also added. Raises UsageError if the name is invalid or in use, or if this user
    cannot write the file."""
    from sensorflow import profiles

    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        from sensorflow.profiles.files import plain_name

        suggestion = f", for example {plain_name(name)}" if plain_name(name) else ""
        raise UsageError(
            f"{name!r} is not a valid source name: use letters, digits, - and _{suggestion}"
        )
    given = profiles.read_toml(path)
    if name in given.get("sources", {}):
        raise UsageError(
            f"{path}: [sources.{name}] already exists; choose another name, or edit the file"
        )
    if with_profile and name in given.get("profiles", {}):
        raise UsageError(
            f"{path}: [profiles.{name}] already exists; choose another name, or edit the file"
        )
    if not path.stat().st_mode & 0o222 or not os.access(path, os.W_OK):
        raise UsageError(
            f"{path} is read-only: run `chmod u+w` on the file, or run this command as its owner"
        )


def relative(path: Path, home: Path) -> str:
    """Returns a path for sensorflow.toml: relative if the path is below the project's folder `home`, else
    absolute."""
    full = Path(os.path.normpath(path.absolute()))
    return str(full.relative_to(home) if full.is_relative_to(home) else full)


def add(path: Path, added: AddedSource) -> Settings:
    """Add a source and its profile to the settings file, create the drop folder, and return the new
    settings. If a step fails, nothing is changed, and UsageError is raised."""
    from sensorflow import settings

    with _locked(path.parent):
        require_free(path, added.name, added.table is not None)
        before = path.read_bytes().decode("utf-8")
        ending = "\r\n" if "\r\n" in before else "\n"
        addition = text_of(added, path.parent.absolute()).replace("\n", ending)
        gap = ending * 2 if before.strip() else ""
        new_text = f"{before.rstrip()}{gap}{addition}"
        _require_valid(path, new_text)
        found = settings.load(path, text=new_text)
        created = _make(added.folder)
        try:
            _write(path, new_text)
        except OSError as error:
            for folder in created:
                folder.rmdir()
            raise UsageError(f"cannot write {path}: {error.strerror}") from error
    return found


def text_of(added: AddedSource, home: Path) -> str:
    """Returns the tables of the source and its profile as TOML. home: the project's folder."""
    import tomlkit

    source = tomlkit.table()
    source.update({"path": relative(added.folder, home), "profile": added.profile, **added.keys})
    document = tomlkit.document()
    document["sources"] = _above(added.name, source)
    if added.table is not None:
        profile = tomlkit.table()
        for key, item in tomlkit.parse(added.table).body:
            profile.append(key, item)
        document["profiles"] = _above(added.name, profile)
    comment = f"# {added.comment}\n" if added.comment else ""
    return f"{comment}{tomlkit.dumps(document).strip()}\n"


def _above(name: str, table: Any) -> Any:
    import tomlkit

    above = tomlkit.table(is_super_table=True)
    above[name] = table
    return above


def _require_valid(path: Path, text: str) -> None:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(
            f"cannot add a table to {path} ({error}): write sources and profiles as tables, "
            "[sources.NAME] and [profiles.NAME]",
            Code.SETTINGS,
        ) from error


def _make(folder: Path) -> list[Path]:
    """Create a folder and its parents. Returns the folders that did not exist, innermost first. Raises
    UsageError."""
    missing = []
    for place in (folder, *folder.parents):
        if place.exists():
            break
        missing.append(place)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise UsageError(f"{folder} is a file; choose another folder with --path") from error
    except OSError as error:
        raise UsageError(
            f"cannot create {folder}: {error.strerror}; choose another folder with --path"
        ) from error
    return missing


def _write(path: Path, text: str) -> None:
    """Replace the content of the file atomically. Owner and mode do not change; the group does not change
    if this user may set it. If the path is a symbolic link, its target is replaced."""
    target, data = path.resolve(), text.encode("utf-8")
    known = target.stat()
    mode, owner = known.st_mode & 0o7777, (known.st_uid, known.st_gid)
    if owner == (os.geteuid(), os.getegid()):
        replace(target, data, mode)
        return
    try:
        replace(target, data, mode, owner)
    except PermissionError:
        if known.st_uid != os.geteuid():
            raise
        replace(target, data, _of_another_group(mode))


def _of_another_group(mode: int) -> int:
    """Returns the mode for a file whose group changes. The new group and all others get only the
    permissions that both the old group and all others had. Otherwise the change would give somebody new
    permissions."""
    both = (mode >> 3) & mode & 0o7
    return mode & 0o700 | both << 3 | both


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock the project's folder until the context ends, so that concurrent commands do not overwrite each
    other's additions."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
