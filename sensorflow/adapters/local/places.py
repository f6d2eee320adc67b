"""Places on a local disk, and how they are reached: only what belongs there.

What lies below a folder of ours is reached step by step, by descriptors, and no symbolic link on the way
is followed: whoever may write somewhere below `data` leads nobody out of it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from sensorflow.errors import Code, Transient

BEGAN = ".began"
"""Tells in a folder that a writer had to make since when it is there."""
BUFFER = 1 << 16
"""Bytes. Told, it also spares the question whether the file is a terminal."""
ROOT = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
"""How a folder that the settings name is opened; a link to it is followed."""
FOLDER = ROOT | os.O_NOFOLLOW
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""What is below it: no link is followed, and nothing that is opened blocks."""


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


def require(folder: Path) -> None:
    """Transient STORAGE when a folder is away: its disk, perhaps, and all that is in it."""
    if not folder.is_dir():
        raise Transient(Code.STORAGE, f"the folder {folder} does not exist")


def make_root(root: Path) -> None:
    """mkdir -p of a store's folder. Where it has to be made, it says since when it is there: what was
    written before lay elsewhere, in a folder that was moved away, or on a disk that is not mounted."""
    if root.is_dir():
        return
    make_folders(root)
    with contextlib.suppress(FileExistsError), (root / BEGAN).open("x") as note:
        note.write(f"{time.time():.6f}\n")


def began(root: Path) -> datetime | None:
    """When `make_root` made a folder; None where it did not, or the folder is not there."""
    try:
        return datetime.fromtimestamp(float((root / BEGAN).read_text("ascii")), UTC)
    except (OSError, ValueError, OverflowError):
        return None


@contextlib.contextmanager
def below(root: Path, relative: str | Path, make: bool = True) -> Iterator[Path]:
    """The folder `relative` of `root`, as a path that leads there whatever is renamed meanwhile.

    make: folders that are missing are made, `root` among them. Raises OSError, with the path as
    people know it; NotADirectoryError for a link on the way.
    """
    with opened(root, str(relative), make) as folder:
        yield Path(f"/proc/self/fd/{folder}")


@contextlib.contextmanager
def opened(root: Path, relative: str, make: bool = True) -> Iterator[int]:
    """As `below`, for those who take many files there: the folder's descriptor."""
    try:
        if relative.startswith("/"):
            raise NotADirectoryError(errno.ENOTDIR, "not below the folder", relative)
        descriptor = _root(root, make)
        try:
            for part in relative.split("/"):
                if part in ("", "."):
                    continue
                inner = _step(descriptor, part, make)
                os.close(descriptor)
                descriptor = inner
            yield descriptor
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.filename and error.errno is not None:
            raise OSError(error.errno, error.strerror, str(root / relative)) from error
        raise


def _root(root: Path, make: bool) -> int:
    try:
        return os.open(root, ROOT)
    except FileNotFoundError:
        if not make:
            raise
    make_folders(root)
    return os.open(root, ROOT)


def _step(folder: int, name: str, make: bool) -> int:
    if name == "..":
        raise NotADirectoryError(errno.ENOTDIR, "not below the folder", name)
    try:
        return os.open(name, FOLDER, dir_fd=folder)
    except FileNotFoundError:
        if not make:
            raise
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, dir_fd=folder)
    os.fsync(folder)
    return os.open(name, FOLDER, dir_fd=folder)


def regular(folder: int | Path, name: bytes | str) -> BinaryIO | None:
    """A regular file, open for reading; None for anything else: a link, a FIFO, a folder.

    Never blocks and follows no link. Raises OSError, FileNotFoundError where there is nothing.
    """
    place = folder if isinstance(folder, int) else None
    path = name if isinstance(folder, int) else folder / os.fsdecode(name)
    try:
        descriptor = os.open(path, FILE, dir_fd=place)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link; a socket
            return None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    return os.fdopen(descriptor, "rb", BUFFER)


def open_below(root: Path, relative: str) -> BinaryIO:
    """A regular file below `root`, no link followed. Raises OSError."""
    parent, _, name = relative.rpartition("/")
    with opened(root, parent, make=False) as folder:
        stream = regular(folder, name)
    if stream is None:
        raise OSError(errno.EPERM, "not a regular file", str(root / relative))
    return stream
