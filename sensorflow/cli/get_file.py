"""sensorflow files get"""

from __future__ import annotations

import os
import shutil
import stat
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from sensorflow.cli.show import line
from sensorflow.core.arrival import printable
from sensorflow.errors import SensorflowError, UsageError
from sensorflow.flow.choose import file_of

if TYPE_CHECKING:
    from sensorflow.flow.verified import Opens
    from sensorflow.ports.files import FileView
    from sensorflow.ports.project import ProjectRecord
    from sensorflow.settings import Settings

STDOUT = "-"
BLOCK = 1 << 20


def get(
    file: Annotated[str, typer.Argument(metavar="FILE", help="File id, name, or NAME@VERSION.")],
    to: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="The new file, or an existing folder for it; - for stdout. "
            "Default: the file's name, in the current folder.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing file.")
    ] = False,
) -> None:
    """Copy the original bytes of a file from the landing zone, or else from the quarantine.

    Works alike for folders and buckets. The bytes are verified by their SHA-256 before the first one is
    written. An existing file is not replaced, unless --overwrite is given.
    """
    from sensorflow import bootstrap

    settings = bootstrap.settings()
    ledger = bootstrap.ledger(settings, "cli")
    view = file_of(ledger, file)
    target = None if to == STDOUT else _target(view, to)
    if target is not None and not overwrite and os.path.lexists(target):
        raise UsageError(
            f"{_shown(target)} already exists; choose another file with --to, or --overwrite"
        )
    if target is not None and os.path.lexists(target) and not stat.S_ISREG(target.lstat().st_mode):
        raise UsageError(f"{_shown(target)} is not a regular file; choose another file with --to")
    with ExitStack() as opened:
        stream = _opened(settings, ledger, view, opened)
        if target is None:
            shutil.copyfileobj(stream, sys.stdout.buffer, BLOCK)
            sys.stdout.buffer.flush()
            return
        _write(stream, target, overwrite)
    line(f"{_shown(target)}: {view.size:,} bytes, SHA-256 {view.sha256.hex()}")


def _shown(path: Path) -> str:
    return printable(os.fsencode(path))


def _target(view: FileView, to: str | None) -> Path:
    given = Path(to) if to is not None else Path()
    if to is not None and not given.is_dir():
        return given
    name = os.fsdecode(view.key).rpartition("/")[2]
    return given / (name if name not in ("", ".", "..") else f"file-{view.file_id}")


def _opened(
    settings: Settings, ledger: ProjectRecord, view: FileView, opened: ExitStack
) -> BinaryIO:
    """Return a stream of the verified bytes from the first zone that has them. Raises the first error if no
    zone has them."""
    from sensorflow import bootstrap
    from sensorflow.flow.verified import open_verified

    zones: list[tuple[Opens, str]] = []
    if "landing" not in view.expired:
        zones.append((bootstrap.landing(settings, ledger), view.landing))
    if view.quarantined_to is not None:
        zones.append((bootstrap.quarantine(settings, ledger), view.quarantined_to))
    errors = []
    for zone, name in zones:
        try:
            return opened.enter_context(open_verified(zone, name, view.size, view.sha256))
        except SensorflowError as error:
            errors.append(error)
    if errors:
        raise errors[0]
    raise UsageError(f"file {view.file_id}, {view.name}: retention has removed its bytes")


def _write(stream: BinaryIO, target: Path, overwrite: bool) -> None:
    """Write a file that appears as a whole. Raises UsageError if it cannot be written."""
    from sensorflow.adapters.local.no_overwrite import name_new
    from sensorflow.adapters.local.writing import finalize, sync, temporary

    if not target.parent.is_dir():
        raise UsageError(f"{_shown(target.parent)}: no such folder")
    try:
        with temporary(target.parent) as (new, path):
            shutil.copyfileobj(stream, new, BLOCK)
            if overwrite:
                finalize(new, path, target)
                return
            sync(new)
            if not name_new(path, target):
                raise UsageError(f"{_shown(target)} already exists; choose another file with --to")
    except OSError as error:
        raise UsageError(f"{_shown(target)}: {error.strerror or error}") from error
