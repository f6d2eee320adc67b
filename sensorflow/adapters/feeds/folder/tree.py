"""Finds and opens the files in a drop folder safely. Each folder of a path is opened relative to the
descriptor of its parent, so that nobody can redirect the path. Symbolic links are not followed, and only
regular files are opened."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat as modes
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from sensorflow.adapters.local.places import FILE, FOLDER, ROOT, storage_errors
from sensorflow.core.stability import Stat, takes
from sensorflow.ports.feed import Busy, Denied, Gone, Unreadable
from sensorflow.settings import FolderSource

DEPTH = 64
"""Maximum depth of nested folders below a drop folder."""


class Readable:
    """A file that raises Unreadable if it cannot be read, so that the caller can distinguish this from an
    error of the destination."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def read(self, size: int = -1, /) -> bytes:
        try:
            return self._stream.read(size)
        except OSError as error:
            raise Unreadable(str(error)) from error

    def seekable(self) -> bool:
        return self._stream.seekable()

    def seek(self, offset: int, /) -> int:
        return self._stream.seek(offset)


class Tree:
    """The files in the drop folder of one source. Keys are paths below the folder, as bytes."""

    def __init__(self, name: str, root: Path, source: FolderSource) -> None:
        self.name = name
        self.root = root
        self.source = source
        self.places: dict[bytes, tuple[int, int]] = {}
        """The folders found by the last complete scan, each with its `identity`."""

    def readable(self) -> bool:
        """Whether the drop folder can be listed."""
        try:
            with self._open_root() as root:
                entries(root)
        except OSError:
            return False
        return True

    def scan(self) -> Iterator[tuple[bytes, Stat]]:
        """Yield every regular file that the source accepts, with its state. Raises Transient STORAGE."""
        return self.all_files(self.takes)

    def all_files(
        self, wanted: Callable[[bytes], bool] = lambda _key: True
    ) -> Iterator[tuple[bytes, Stat]]:
        """Yield the regular files with a wanted key, and their state. Raises Transient STORAGE."""
        with storage_errors(), self._open_root() as root:
            places: dict[bytes, tuple[int, int]] = {}
            for folder, prefix in self._folders(root, b""):
                places[prefix] = identity(os.fstat(folder))
                for name in entries(folder):
                    try:
                        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    if modes.S_ISREG(status.st_mode) and wanted(prefix + name):
                        yield prefix + name, self._stat(status)
            self.places = places  # assigned only now, because the old value is read during the scan

    def _folders(self, folder: int, prefix: bytes, depth: int = 0) -> Iterator[tuple[int, bytes]]:
        """Yield the descriptor and path of this folder and of its subfolders, except links and hidden
        folders."""
        yield folder, prefix
        if depth == DEPTH:
            return
        for name in entries(folder, folders=True):
            if name.startswith(b"."):
                continue
            with suppress(OSError):
                descriptor = os.open(name, FOLDER, dir_fd=folder)
                try:
                    yield from self._folders(descriptor, prefix + name + b"/", depth + 1)
                finally:
                    os.close(descriptor)

    def stat(self, key: bytes) -> Stat:
        """Return the state of a file. Raises Gone."""
        with self._parent(key) as (folder, name):
            try:
                status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            except OSError as error:
                raise Gone(str(error)) from error
            if not modes.S_ISREG(status.st_mode):
                raise Gone("not a regular file")
            return self._stat(status)

    def stat_of(self, stream: BinaryIO) -> Stat:
        """Return the state of an open file of this folder."""
        return self._stat(os.fstat(stream.fileno()))

    def _stat(self, status: os.stat_result) -> Stat:
        """Return the state of a file. On a network share, device and inode numbers may change at each mount
        or call, so they are ignored, except for a growing file. A growing file is found by these numbers;
        if they differ, its content is compared."""
        has_stable_inodes = not self.source.polling or self.source.growing
        return _stat(status) if has_stable_inodes else replace(_stat(status), device=0, inode=0)

    def _status(self, folder: int, name: bytes) -> Stat | None:
        with suppress(FileNotFoundError):
            return self._stat(os.stat(name, dir_fd=folder, follow_symlinks=False))
        return None

    def _regular(self, folder: int, name: bytes) -> Stat | None:
        with suppress(FileNotFoundError):
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            return self._stat(status) if modes.S_ISREG(status.st_mode) else None
        return None

    def takes(self, key: bytes) -> bool:
        """Whether the key belongs to a data file that the source accepts. Gates are not data files."""
        return not self.is_gate(key) and takes(
            key, self.source.accepted_patterns, self.source.exclude
        )

    def is_gate(self, key: bytes) -> bool:
        return self.source.gate is not None and self.source.gate.pattern.is_gate(key)

    @contextmanager
    def open(self, key: bytes) -> Iterator[BinaryIO]:
        """Open a file for reading. Raises Gone if there is no regular file under this key; a link, folder,
        FIFO or device is not a regular file. Raises Denied if access is denied. Raises Busy if the file is
        open for writing and the source takes in only complete files."""
        with self._parent(key) as (folder, name):
            try:
                descriptor = os.open(name, FILE, dir_fd=folder)
            except OSError as error:
                if error.errno in (errno.EACCES, errno.EPERM):
                    raise Denied(str(error)) from error
                raise Gone(str(error)) from error
            with os.fdopen(descriptor, "rb") as stream:
                if not modes.S_ISREG(os.fstat(stream.fileno()).st_mode):
                    raise Gone("not a regular file")
                if not self.source.growing and self._being_written(stream.fileno()):
                    raise Busy(os.fsdecode(key))
                yield stream

    def names(self, prefix: bytes) -> list[bytes]:
        """Return the keys of the regular files in one folder, in arbitrary order, without accessing the
        files. prefix: path of the folder, with a trailing slash."""
        with (
            suppress(Gone),
            self._parent(prefix + b"_") as (folder, _),
            os.scandir(folder) as es,
        ):
            return [prefix + os.fsencode(e.name) for e in es if e.is_file(follow_symlinks=False)]
        return []

    def has_other(self, key: bytes, than: Stat) -> bool:
        """Whether a file other than `than` has this key. A file that is found under the key may be `than`
        itself, because some file systems find a file under both Unicode spellings of its name."""
        try:
            found = self.stat(key)
        except Gone:
            return False
        if not than.inode:
            return found != than
        return (found.device, found.inode) != (than.device, than.inode)

    def siblings(self, key: bytes) -> list[tuple[bytes, Stat]]:
        """Return the other regular files in the folder of `key`, whatever their names are. The file that
        changed last comes first."""
        head, slash, name = key.rpartition(b"/")
        found: list[tuple[bytes, Stat]] = []
        with suppress(Gone), self._parent(key) as (folder, _):
            for other in entries(folder):
                stat = self._regular(folder, other)
                if stat is not None and other != name:
                    found.append((head + slash + other, stat))
        return sorted(found, key=lambda pair: -pair[1].ctime_ns)

    def busy(self, key: bytes, stat: Stat) -> bool:
        """Whether a file was removed, has changed since `stat`, or is open for writing. A file that cannot
        be read is not busy."""
        try:
            with self.open(key) as stream:
                return self.stat_of(stream) != stat
        except (Gone, Busy):
            return True
        except (Unreadable, OSError):
            return False

    def _being_written(self, descriptor: int) -> bool:
        """Whether a process on this host has the file open for writing.

        The kernel grants a read lease only while no process has the file open for writing (fcntl(2),
        F_SETLEASE). Network file systems never grant the lease. In three cases, only the stability window
        shows whether a file is complete: on a network file system, with `polling`, and for a file of
        another user.
        """
        if self.source.polling:
            return False
        # the kernel sends a signal if a writer opens the file; SIGURG does not end a process
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        try:
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        except OSError as error:
            return error.errno == errno.EAGAIN
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        return False

    @contextmanager
    def _open_root(self) -> Iterator[int]:
        descriptor = os.open(self.root, ROOT)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def _parent(self, key: bytes) -> Iterator[tuple[int, bytes]]:
        """Provide the descriptor of the folder that contains `key`, and the file's name in it. The path is
        opened step by step without following links."""
        *folders, name = key.split(b"/")
        if name in (b"", b".", b"..") or b".." in folders:
            raise Gone("not a path below the source's folder")
        descriptor = _opened(self.root, ROOT)
        try:
            for part in folders:
                inner = _opened(part, FOLDER, descriptor)
                os.close(descriptor)
                descriptor = inner
            yield descriptor, name
        finally:
            os.close(descriptor)


def _opened(name: bytes | Path, flags: int, folder: int | None = None) -> int:
    try:
        return os.open(name, flags, dir_fd=folder)
    except OSError as error:
        raise Gone(str(error)) from error


def entries(folder: int, folders: bool = False) -> list[bytes]:
    """Return the names of the entries of a folder. folders: True for the subfolders only, False for all
    other entries."""
    with os.scandir(folder) as found:
        wanted = (e.name for e in found if e.is_dir(follow_symlinks=False) is folders)
        return sorted(os.fsencode(name) for name in wanted)


def identity(status: os.stat_result) -> tuple[int, int]:
    """Return the device and inode, which distinguish a folder from a later one under the same path."""
    return status.st_dev, status.st_ino


def stat_of(stream: BinaryIO) -> Stat:
    return _stat(os.fstat(stream.fileno()))


def _stat(status: os.stat_result) -> Stat:
    return Stat(
        status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    )
