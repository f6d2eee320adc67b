"""Folders on a local disk, and safe access to files in them.

Each folder of a path below the project's folders is opened relative to the descriptor of its parent.
Symbolic links in such a path are not followed. Therefore, a user who can write below `data` cannot redirect
sensorflow to files outside of `data`.
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
from sensorflow.ports.objects import BEGAN

BUFFER = 1 << 16
"""Buffer size in bytes. If no size were given, Python would also check whether the file is a terminal."""
ROOT = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
"""Flags to open a folder that the settings specify; a symbolic link is followed."""
FOLDER = ROOT | os.O_NOFOLLOW
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""Flags to open files below a folder that the settings specify. Links are not followed, and opening never
blocks."""


@contextlib.contextmanager
def storage_errors() -> Iterator[None]:
    """Translate OSError (disk full, read-only, missing) to Transient STORAGE."""
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
    """Create a folder and its missing parents, like mkdir -p. Each new name is synced in its parent."""
    if folder.is_dir():
        return
    make_folders(folder.parent)
    with contextlib.suppress(FileExistsError):
        folder.mkdir()
    sync_folder(folder.parent)


def require(folder: Path) -> None:
    """Check that a folder exists. Raises Transient STORAGE if it is missing, for example because its disk
    is not mounted."""
    if not folder.is_dir():
        raise Transient(Code.STORAGE, f"the folder {folder} does not exist")


def make_root(root: Path) -> None:
    """Create a store's folder if it does not exist, and record the creation time in it. Objects that are
    older than this time were in another folder, which was moved or is on a disk that is not mounted."""
    if root.is_dir():
        return
    make_folders(root)
    with contextlib.suppress(FileExistsError), (root / BEGAN).open("x") as note:
        note.write(f"{time.time():.6f}\n")


def created_at(root: Path) -> datetime | None:
    """Return the time at which `make_root` created a folder; None if the folder existed before, or does not
    exist."""
    try:
        return datetime.fromtimestamp(float((root / BEGAN).read_text("ascii")), UTC)
    except (OSError, ValueError, OverflowError):
        return None


@contextlib.contextmanager
def below(root: Path, relative: str | Path, make: bool = True) -> Iterator[Path]:
    """Provide the folder `relative` below `root` as a path that stays valid even if folders are renamed.

    make: whether to create missing folders, including `root`. Raises OSError, whose file name is the
    readable path; NotADirectoryError if the path contains a link.
    """
    with opened(root, str(relative), make) as folder:
        yield Path(f"/proc/self/fd/{folder}")


@contextlib.contextmanager
def opened(root: Path, relative: str, make: bool = True) -> Iterator[int]:
    """Like `below`, but provide the folder's descriptor, for callers that access many files there."""
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
    """Open a regular file for reading. Returns None for anything else: a link, a FIFO, a folder.

    Never blocks and follows no link. Raises OSError; FileNotFoundError if nothing exists there.
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
    """Open a regular file below `root` without following links. Raises OSError."""
    parent, _, name = relative.rpartition("/")
    with opened(root, parent, make=False) as folder:
        stream = regular(folder, name)
    if stream is None:
        raise OSError(errno.EPERM, "not a regular file", str(root / relative))
    return stream
