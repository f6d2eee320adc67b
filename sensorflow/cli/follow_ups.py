"""Suggests the next commands after a source was added or a file was checked."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sensorflow.environment import folder as here
from sensorflow.errors import SensorflowError
from sensorflow.shell import command

if TYPE_CHECKING:
    from sensorflow.settings import FolderSource, Settings, Source


def relpath(path: Path) -> Path:
    """Returns a path for messages: relative to the current folder if the path is below it, else
    absolute."""
    full = Path(os.path.normpath(path.absolute()))
    return full.relative_to(here()) if full.is_relative_to(here()) else full


def typed(path: Path) -> str:
    """Returns a path as an argument of a command. ./ is put before a path that begins with -, which would
    be read as an option."""
    text = os.fspath(path)
    return f"./{text}" if text.startswith("-") else text


def drop(files: Sequence[Path], settings: Settings, source: FolderSource) -> str:
    """Returns the shell command that copies files, or the files of a folder, into the drop folder of the
    source."""
    folder = f"{relpath(settings.path(source.path))}/"
    if len(files) == 1 and files[0].is_dir():
        return command("cp", "-r", f"{typed(files[0])}/.", folder)
    names = [renamed(file.name, source) for file in files]
    if len(files) == 1 and names[0] != files[0].name:
        return command("cp", typed(files[0]), f"{folder}{names[0]}")
    kind = ["-r"] if any(file.is_dir() for file in files) else []
    return command("cp", *kind, *map(typed, files), folder)


def renamed(name: str, source: Source) -> str:
    """Returns a file name that matches the patterns of the source. If `name` matches, this is `name`."""
    from sensorflow.core.stability import takes

    stem = name.strip(".~") or "file"
    tries = (
        name,
        f"{stem}.csv",
        *(pattern.replace("*", stem) for pattern in source.accepted_patterns),
    )
    return next(
        (t for t in tries if takes(os.fsencode(t), source.accepted_patterns, source.exclude)), name
    )


def is_up(settings: Settings) -> bool:
    from sensorflow.embedded import state

    return state.running(settings.data_folder) is not None


def running(settings: Settings, edited: bool = False) -> Iterator[str]:
    """Yields lines that say how to start `sensorflow up`, if it is not running. edited: whether the command
    has changed sensorflow.toml; if so, a line says that a running `sensorflow up` applies the change."""
    if is_up(settings):
        if edited:
            yield "`sensorflow up` is running and applies this change within seconds"
        return
    yield "  sensorflow up                 # in another terminal; runs until Ctrl-C"
    if not settings.embedded:
        yield "  (if daemon, workers and beat run as services, restart them instead)"


def after_adding(settings: Settings, name: str, files: Sequence[Path]) -> Iterator[str]:
    """Yields lines with the next steps after the source `name` was added. files: files that the user can
    put into the drop folder."""
    source = settings.folders[name]
    folder = settings.path(source.path)
    if waiting_files := waiting(settings, name):
        count = "1 file is" if waiting_files == 1 else f"{waiting_files:,} files are"
        moved = {"archive": "moved to data/archive", "delete": "deleted"}.get(source.after, "")
        fate = f"loaded and {moved}" if moved else "loaded and left there"
        hint = '; to leave files there, set after = "keep" (--after keep)' if moved else ""
        yield f"{count} already in {relpath(folder)}/ and will be {fate}{hint}"
    yield "next:"
    yield from running(settings, edited=True)
    inside = [f for f in files if f.resolve().is_relative_to(folder.resolve())]
    if outside := [f for f in files if f not in inside]:
        yield f"  {drop(outside, settings, source)}"
    elif not files:
        yield f"  drop files into {relpath(folder)}/"
    yield "  sensorflow files ls           # shows whether they are loaded"


def waiting(settings: Settings, name: str) -> int | None:
    """Returns the number of files in the drop folder that are not registered yet. None if the folder or the
    ledger is unavailable."""
    from sensorflow import bootstrap

    (folder,) = (f for f in bootstrap.folders(settings) if f.name == name)
    with suppress(SensorflowError, OSError):
        found = [(key, stat.fingerprint) for key, stat in folder.scan()]
        if not found or folder.source.after != "keep":
            return len(found)
        if settings.embedded and not is_up(settings):
            return None
        audit_store = bootstrap.audit_store(settings)
        pieces = (found[start : start + 500] for start in range(0, len(found), 500))
        return sum(len(audit_store.unregistered(name, piece)) for piece in pieces)
    return None
