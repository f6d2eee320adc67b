"""A drop folder. Everything is reached by descriptors below the folder's own, never by a path that
somebody could swap: no symbolic link is followed, and only regular files are opened."""

from __future__ import annotations

import errno
import fcntl
import os
import stat as modes
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import BinaryIO

from sensorflow.adapters.files import move_aside, storage_errors
from sensorflow.core.stability import Stat, takes
from sensorflow.settings import Source

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

HOLD = b".sensorflow"
"""A folder beside the files, in which those lie that are being put away."""


class NotAFile(Exception):
    """Gone, a link, a folder, a FIFO, a device; or it became one while we looked."""


class StillOpen(Exception):
    """Some process has the file open for writing."""


class Folder:
    """The files of one source: seen, opened, and put away. Keys are paths below it, as bytes."""

    def __init__(self, name: str, root: Path, source: Source, archive: Path) -> None:
        self.name = name
        self.root = root
        self.source = source
        self._archive = archive

    def scan(self) -> Iterator[tuple[bytes, Stat]]:
        """Every regular file that the source takes, with its state. Raises Transient STORAGE."""
        with storage_errors(), self._open_root() as root:
            yield from self._walk(root, b"")

    def _walk(self, folder: int, prefix: bytes) -> Iterator[tuple[bytes, Stat]]:
        names = _names(folder)
        if HOLD in names:
            _recover(folder)
            names = _names(folder)
        for name in names:
            key = prefix + name
            try:
                status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            except FileNotFoundError:
                continue
            if modes.S_ISREG(status.st_mode) and self.takes(key):
                yield key, _stat(status)
            elif modes.S_ISDIR(status.st_mode) and not name.startswith(b"."):
                with suppress(OSError):
                    descriptor = os.open(name, _FOLDER, dir_fd=folder)
                    try:
                        yield from self._walk(descriptor, key + b"/")
                    finally:
                        os.close(descriptor)

    def stat(self, key: bytes) -> Stat:
        """The state of one file. Raises NotAFile."""
        with self._parent(key) as (folder, name):
            try:
                status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            except OSError as error:
                raise NotAFile(str(error)) from error
            if not modes.S_ISREG(status.st_mode):
                raise NotAFile("not a regular file")
            return _stat(status)

    def takes(self, key: bytes) -> bool:
        return takes(key, self.source.include, self.source.exclude)

    def key_of(self, path: bytes) -> bytes | None:
        """The key of a path that inotify named; None when it is not below this folder."""
        root = os.fsencode(self.root) + b"/"
        return path.removeprefix(root) if path.startswith(root) else None

    @contextmanager
    def open(self, key: bytes) -> Iterator[BinaryIO]:
        """The file, for reading. Raises NotAFile, StillOpen, or PermissionError."""
        with self._parent(key) as (folder, name):
            try:
                descriptor = os.open(name, _FILE, dir_fd=folder)
            except OSError as error:
                if error.errno in (errno.EACCES, errno.EPERM):
                    raise
                raise NotAFile(str(error)) from error
            with os.fdopen(descriptor, "rb") as stream:
                if not modes.S_ISREG(os.fstat(stream.fileno()).st_mode):
                    raise NotAFile("not a regular file")
                if _being_written(stream.fileno()):
                    raise StillOpen(os.fsdecode(key))
                yield stream

    def put_away(self, key: bytes, landed: Stat, day: date) -> None:
        """Archive or delete a registered file, unless it is no longer the one that was landed.

        The file is first renamed into a folder of our own, and only then looked at: whatever a sender
        renames over the name in between is found there, and given back.
        """
        if self.source.after == "keep":
            return
        gone = (NotAFile, FileNotFoundError)
        with storage_errors(), suppress(*gone), self._parent(key) as (folder, name):
            if _stat(os.stat(name, dir_fd=folder, follow_symlinks=False)) != landed:
                return  # new content under the name: the next look takes it
            with _hold(folder) as hold:
                os.rename(name, name, src_dir_fd=folder, dst_dir_fd=hold)
                held = _stat(os.stat(name, dir_fd=hold, follow_symlinks=False))
                if not held.same_content(landed):
                    _give_back(hold, folder, name)
                elif self.source.after == "delete":
                    os.unlink(name, dir_fd=hold)
                else:
                    head = key.rpartition(b"/")[0]
                    target = self._archive / day.isoformat() / os.fsdecode(head)
                    move_aside(_path(hold, name), target, name)

    @contextmanager
    def _open_root(self) -> Iterator[int]:
        descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def _parent(self, key: bytes) -> Iterator[tuple[int, bytes]]:
        """The descriptor of the folder that holds `key`, each step opened without following links."""
        *folders, name = key.split(b"/")
        if name in (b"", b".", b"..") or b".." in folders:
            raise NotAFile("not a path below the source's folder")
        with self._open_root() as root:
            descriptor = os.dup(root)
            try:
                for part in folders:
                    try:
                        inner = os.open(part, _FOLDER, dir_fd=descriptor)
                    except (FileNotFoundError, NotADirectoryError) as error:
                        raise NotAFile(str(error)) from error
                    os.close(descriptor)
                    descriptor = inner
                yield descriptor, name
            finally:
                os.close(descriptor)


def _names(folder: int) -> list[bytes]:
    with os.scandir(folder) as entries:
        return sorted(os.fsencode(entry.name) for entry in entries)


@contextmanager
def _hold(folder: int) -> Iterator[int]:
    """The descriptor of the hold of a folder, which is there only as long as it is needed."""
    with suppress(FileExistsError):
        os.mkdir(HOLD, 0o700, dir_fd=folder)
    hold = os.open(HOLD, _FOLDER, dir_fd=folder)
    try:
        yield hold
    finally:
        os.close(hold)
        with suppress(OSError):  # something was left in it: the next scan gives it back
            os.rmdir(HOLD, dir_fd=folder)


def _recover(folder: int) -> None:
    """Give back what a killed daemon left in the hold; it is seen again, as an alias of itself."""
    with _hold(folder) as hold:
        for name in _names(hold):
            _give_back(hold, folder, name)


def _give_back(hold: int, folder: int, name: bytes) -> None:
    """Under its own name, or a numbered one when that is taken by now."""
    move_aside(_path(hold, name), Path(f"/proc/self/fd/{folder}"), name)


def _path(folder: int, name: bytes) -> Path:
    return Path(f"/proc/self/fd/{folder}") / os.fsdecode(name)


def _being_written(descriptor: int) -> bool:
    """Whether a process on this host has the file open for writing.

    The kernel grants a read lease only while there is no writer (fcntl(2), F_SETLEASE). Where it
    cannot tell (not our file, a network share) the answer is no, and the settling time must do.
    """
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def stat_of(stream: BinaryIO) -> Stat:
    return _stat(os.fstat(stream.fileno()))


def _stat(status: os.stat_result) -> Stat:
    return Stat(
        status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    )
