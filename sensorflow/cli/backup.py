"""sensorflow backup"""

from __future__ import annotations

import json as json_
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sensorflow.cli.show import Json, as_json, line, readings
from sensorflow.disk import size
from sensorflow.environment import folder as here
from sensorflow.errors import Transient, UsageError
from sensorflow.shell import command

if TYPE_CHECKING:
    from sensorflow.adapters.postgres.dump import Tools
    from sensorflow.backup.folder import Backup
    from sensorflow.backup.make import BackupResult
    from sensorflow.settings import Settings


def backup(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder for backups, preferably on another disk.")
    ],
    keep: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of backups to keep. Older backups are removed. Ignored with --verify.",
        ),
    ] = None,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Verify the newest backup in DIR, and do not make a backup."),
    ] = False,
    json: Json = False,
) -> None:
    """Copy database, landing zone, lake, quarantine and settings into a new folder in DIR.

    The stack may keep running. Files that are unchanged since the previous backup are hard links to it.

    Exit codes: 0 if the backup is complete, 1 if files were missing or, with --verify, are damaged, 2 if no
    backup was made.
    """
    if verify:
        raise typer.Exit(check(folder, json))
    try:
        done, seconds = _backup_timed(folder, keep)
    except Transient as error:
        raise UsageError(
            f"no backup was made: {error}; see `sensorflow doctor`", error.code
        ) from error
    record = _record(done, seconds)
    if json:
        as_json(record)
    else:
        _show(done, seconds)
    raise typer.Exit(int(bool(done.totals.missing)))


def _backup_timed(folder: Path, keep: int | None) -> tuple[BackupResult, float]:
    from sensorflow import bootstrap
    from sensorflow.backup import make
    from sensorflow.cli.db import database

    settings = bootstrap.settings()
    make.require_outside(settings, folder)
    began = time.monotonic()
    with database(settings) as url, bar("backup", "files") as progress:
        found = tools(url)
        done = make.make(settings, url, found, folder, _project(settings), progress, keep)
    for file in settings.profile_files.values():
        if _outside(file, settings):
            done.notes.append(
                f"{file} is not in the backup because it is outside of the project: copy it yourself"
            )
    _remember(settings, done)
    return done, time.monotonic() - began


def tools(url: str, min_major: int = 0) -> Tools:
    """Returns pg_dump and pg_restore for the server of a database. url: the database. min_major: minimum
    major version of the programs. Raises UsageError if there are none."""
    from sensorflow.adapters.postgres import dump
    from sensorflow.embedded import postgres
    from sensorflow.embedded.process import killed_with_parent

    also = []
    with suppress(UsageError):
        also.append(postgres.binaries())
    return dump.find(max(min_major, dump.server_major(url)), also, killed_with_parent())


def _project(settings: Settings) -> dict[str, Path]:
    """Returns the files of the project to back up, sensorflow.toml and the profile files in the project's
    folder: path in the backup -> path of the file."""
    from sensorflow.settings import FILE_NAME, find

    path = find(here())
    if path is None:
        return {}
    files = [f for f in settings.profile_files.values() if not _outside(f, settings)]
    return {FILE_NAME: path, **{os.path.relpath(f, settings.home): f for f in files}}


def _outside(file: Path, settings: Settings) -> bool:
    return not file.resolve().is_relative_to(settings.home.resolve())


def _remember(settings: Settings, done: BackupResult) -> None:
    """Record time and path of the backup in the data folder, for `sensorflow doctor`."""
    from sensorflow.backup.make import LAST

    note = {"at": done.backup.manifest.at, "path": str(done.backup.path.absolute())}
    note["missing"] = str(len(done.totals.missing))
    with suppress(OSError):
        (settings.data_folder / LAST).write_text(json_.dumps(note), "utf-8")


def _record(done: BackupResult, seconds: float) -> dict[str, Any]:
    manifest, tally = done.backup.manifest, done.totals
    return {
        "path": str(done.backup.path),
        "at": manifest.at,
        "ledger_files": manifest.ledger_files,
        "readings": manifest.readings,
        "files": tally.files,
        "bytes": tally.bytes,
        "copied_bytes": tally.copied,
        "shared_files": tally.shared,
        "missing": tally.missing,
        "removed": done.removed,
        "notes": done.notes,
        "pg_dump": manifest.dumped_by,
        "seconds": round(seconds, 3),
    }


def _show(done: BackupResult, seconds: float) -> None:
    manifest, tally, path = done.backup.manifest, done.totals, done.backup.path
    line(f"{path}: {files(manifest.ledger_files)}, {readings(manifest.readings)}")
    line(
        f"{size(tally.bytes)} in {seconds:.1f} s; {tally.shared:,} of {tally.files:,} files are shared "
        f"with older backups; database dumped with pg_dump {manifest.dumped_by}"
    )
    if done.same_disk:
        line("note: the backup is on the same disk as the data: keep a copy on another disk")
    for text in done.notes:
        line(f"note: {text}")
    if done.removed:
        line(f"removed: {', '.join(done.removed)}")
    for text in tally.missing[:20]:
        line(f"missing: {text}")
    if tally.missing:
        line(
            f"{len(tally.missing):,} files are missing from data and backup: run `sensorflow audit`"
        )
    line(f"to restore it: {command('sensorflow', 'restore', path)}")


def files(count: int) -> str:
    return "1 file" if count == 1 else f"{count:,} files"


def check(path: Path, json: bool) -> int:
    """Verify a backup, and print the result. Returns the exit code: 0, or 1 if files are damaged. Raises
    UsageError if there is no backup."""
    from sensorflow.backup import folder as folders

    found = folders.chosen(path)
    damaged = damages(found)
    folders.unshare(found, damaged)
    if json:
        as_json({"path": str(found.path), "files": found.manifest.files, "damaged": damaged})
        return int(bool(damaged))
    for text in damaged:
        line(f"damaged: {found.path}/{text}")
    if damaged:
        line(f"{len(damaged):,} of {found.manifest.files:,} files are damaged; use another backup")
    else:
        line(f"{found.path}: intact, {found.manifest.files:,} files")
    return int(bool(damaged))


def damages(found: Backup) -> list[str]:
    from sensorflow.backup import folder as folders

    with bar("verify", "bytes") as progress:
        read = 0

        def count(number: int) -> None:
            nonlocal read
            read += number
            progress("verify", read, found.manifest.bytes)

        return list(folders.verify(found, count))


@contextmanager
def bar(what: str, of: str) -> Iterator[Callable[[str, int, int], None]]:
    """Show a progress bar if stderr is a terminal. Provides a function that updates the bar, with the
    arguments title, count and total. what: first title of the bar. of: the unit of the counts, "files" or
    "bytes"."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    console = Console(file=sys.stderr)
    amount = DownloadColumn() if of == "bytes" else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), amount)
    with Bar(*columns, console=console, disable=not console.is_terminal, transient=True) as shown:
        task = shown.add_task(what, total=None)

        def progress(now: str, number: int, total: int) -> None:
            shown.update(task, description=now, completed=number, total=total or None)

        yield progress
