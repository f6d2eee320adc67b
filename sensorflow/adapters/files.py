"""Writing files so that they are whole and on disk, or not there at all."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from sensorflow.errors import Code, Transient

WRITING = ".writing-"
"""How the names of files begin that are not whole yet."""


@contextlib.contextmanager
def storage_errors() -> Iterator[None]:
    """OSError (disk full, read-only, away) -> Transient STORAGE."""
    try:
        yield
    except OSError as error:
        name = error.filename or ""
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise Transient(Code.STORAGE, f"{reason}: {name}" if name else reason) from error


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folders(folder: Path) -> None:
    """mkdir -p, each new name synced in its parent."""
    if folder.is_dir():
        return
    make_folders(folder.parent)
    with contextlib.suppress(FileExistsError):
        folder.mkdir()
    sync_folder(folder.parent)


@contextlib.contextmanager
def temporary(folder: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """A new file in `folder`, removed at the end unless it was renamed away."""
    make_folders(folder)
    descriptor, name = tempfile.mkstemp(prefix=WRITING, dir=folder)
    path = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            yield stream, path
    finally:
        path.unlink(missing_ok=True)


def unfinished(folder: Path, older: float) -> list[str]:
    """Paths below `folder` of what `temporary` made more than `older` seconds ago and nobody named."""
    before = time.time() - older
    found = []
    with storage_errors():
        for path in folder.rglob(f"{WRITING}*"):
            with contextlib.suppress(FileNotFoundError):
                if path.is_file() and path.stat().st_mtime < before:
                    found.append(str(path.relative_to(folder)))
    return sorted(found)


def require(folder: Path) -> None:
    """Transient STORAGE when a folder is away: its disk, perhaps, and all that is in it."""
    if not folder.is_dir():
        raise Transient(Code.STORAGE, f"no folder {folder}")


def settle(stream: BinaryIO, path: Path, final: Path) -> None:
    """Sync a written file and give it its name, replacing what has that name."""
    stream.flush()
    os.fsync(stream.fileno())
    path.replace(final)
    sync_folder(final.parent)


def move_aside(source: Path, folder: Path, name: bytes) -> Path:
    """Move a file into `folder` without ever overwriting: a taken name gets a number.

    Atomic on one file system (link, then unlink); copied and synced across file systems.
    """
    make_folders(folder)
    for number in range(1, 1_000_000):
        target = folder / os.fsdecode(_numbered(name, number))
        try:
            os.link(source, target, follow_symlinks=False)
        except FileExistsError:
            continue
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
                raise
            if not _copy_new(source, target):
                continue
        sync_folder(folder)
        source.unlink()
        return target
    raise Transient(Code.STORAGE, f"a million files named {name!r} in {folder}")


def _numbered(name: bytes, number: int) -> bytes:
    """a.csv, a~2.csv, a~3.csv …; never longer than the 255 bytes that a file system takes."""
    if number == 1:
        return name
    stem, dot, suffix = name.partition(b".")
    if len(suffix) > 32:
        stem, dot, suffix = name, b"", b""
    tail = b"~%d" % number + dot + suffix
    return stem[: 255 - len(tail)] + tail


def _copy_new(source: Path, target: Path) -> bool:
    try:
        with source.open("rb") as old, target.open("xb") as new:
            while block := old.read(1 << 20):
                new.write(block)
            new.flush()
            os.fsync(new.fileno())
    except FileExistsError:
        return False
    return True
