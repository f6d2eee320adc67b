"""What to type next: after a source was added, a profile sniffed, a file checked."""

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


def near(path: Path) -> Path:
    """A path as one would type it here."""
    full = Path(os.path.normpath(path.absolute()))
    return full.relative_to(here()) if full.is_relative_to(here()) else full


def typed(path: Path) -> str:
    """A file as a command takes it: a name that begins with - is no option."""
    text = os.fspath(path)
    return f"./{text}" if text.startswith("-") else text


def drop(files: Sequence[Path], settings: Settings, source: FolderSource) -> str:
    """The command that puts files into the source's folder."""
    folder = f"{near(settings.path(source.path))}/"
    if len(files) == 1 and files[0].is_dir():
        return command("cp", "-r", f"{typed(files[0])}/.", folder)
    names = [renamed(file.name, source) for file in files]
    if len(files) == 1 and names[0] != files[0].name:
        return command("cp", typed(files[0]), f"{folder}{names[0]}")
    kind = ["-r"] if any(file.is_dir() for file in files) else []
    return command("cp", *kind, *map(typed, files), folder)


def renamed(name: str, source: Source) -> str:
    """A name that the source takes: the same, where it does."""
    from sensorflow.core.stability import takes

    kept = name.strip(".~") or "file"
    tries = (name, f"{kept}.csv", *(pattern.replace("*", kept) for pattern in source.taken))
    return next((t for t in tries if takes(os.fsencode(t), source.taken, source.exclude)), name)


def is_up(settings: Settings) -> bool:
    from sensorflow.embedded import state

    return state.running(settings.data_folder) is not None


def running(settings: Settings, edited: bool = False) -> Iterator[str]:
    """How the files that are dropped are taken in. edited: whether sensorflow.toml was just changed."""
    if is_up(settings):
        if edited:
            yield "`sensorflow up` runs, and takes this over within seconds"
        return
    yield "  sensorflow up                 # in another terminal; it goes on until Ctrl-C"
    if not settings.embedded:
        yield "  (where daemon, workers and beat run as services: start them again instead)"


def after_adding(settings: Settings, name: str, files: Sequence[Path]) -> Iterator[str]:
    """files: what the user has by now, to be dropped."""
    source = settings.folders[name]
    folder = settings.path(source.path)
    if there := waiting(settings, name):
        count = "1 file lies" if there == 1 else f"{there:,} files lie"
        moved = {"archive": "moved to data/archive", "delete": "deleted"}.get(source.after, "")
        fate = f"read and {moved}" if moved else "read, and stay there"
        hint = '; --after keep leaves files there (after = "keep")' if moved else ""
        yield f"{count} in {near(folder)}/ already: will be {fate}{hint}"
    yield "next:"
    yield from running(settings, edited=True)
    inside = [f for f in files if f.resolve().is_relative_to(folder.resolve())]
    if outside := [f for f in files if f not in inside]:
        yield f"  {drop(outside, settings, source)}"
    elif not files:
        yield f"  drop files into {near(folder)}/"
    yield "  sensorflow files ls           # loaded, or why not"


def waiting(settings: Settings, name: str) -> int | None:
    """How many files of the source's folder are not taken in; None where the folder cannot be read, or the
    ledger would have to be asked and cannot."""
    from sensorflow import bootstrap

    (folder,) = (f for f in bootstrap.folders(settings) if f.name == name)
    with suppress(SensorflowError, OSError):
        found = [(key, stat.fingerprint) for key, stat in folder.scan()]
        if not found or folder.source.after != "keep":
            return len(found)
        if settings.embedded and not is_up(settings):
            return None
        books = bootstrap.books(settings)
        pieces = (found[start : start + 500] for start in range(0, len(found), 500))
        return sum(len(books.unknown(name, piece)) for piece in pieces)
    return None
