"""Writes files atomically: a file is either complete and synced to disk, or absent."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from sensorflow.adapters.local.places import BUFFER, below, make_folders, opened, sync_folder

WRITING = ".writing-"
"""Prefix of the names of unfinished files."""
UNFINISHED = re.compile(re.escape(WRITING) + r"[a-z0-9_]{8}")
"""Matches names of unfinished files, as `tempfile` makes them."""


@contextlib.contextmanager
def temporary(folder: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """Provide a new file in `folder`, and its path. The file is removed when the context ends, unless it
    was renamed."""
    make_folders(folder)
    new = _TemporaryFile(folder)
    try:
        yield new.stream, new.path
    finally:
        new.close()


def sync(stream: BinaryIO) -> None:
    """Sync the written data of a file to disk."""
    stream.flush()
    os.fsync(stream.fileno())


def start_sync(stream: BinaryIO, offset: int = 0, size: int = 0) -> None:
    """Start to write `size` bytes of the file from `offset` to disk, so that `sync` waits for a shorter
    time. If `size` is 0, the whole file is written."""
    stream.flush()
    os.posix_fadvise(stream.fileno(), offset, size, os.POSIX_FADV_DONTNEED)


def sync_all(streams: Sequence[BinaryIO]) -> None:
    """Sync all streams. The data of all streams is written before the first wait, so that the file system's
    journal needs one commit instead of one per file."""
    for stream in streams:
        start_sync(stream)
    for stream in streams:
        sync(stream)


def finalize(stream: BinaryIO, path: Path, final: Path) -> None:
    """Sync a written file and rename it to its final name, replacing any file of that name."""
    sync(stream)
    path.replace(final)
    sync_folder(final.parent)


@contextlib.contextmanager
def write_file(root: Path, folder: str, name: str) -> Iterator[BinaryIO]:
    """Provide a new file below `root`. When the context ends, the file is synced and gets its name. After
    an exception there is no new file."""
    with below(root, folder) as place, temporary(place) as (stream, path):
        yield stream
        finalize(stream, path, place / name)


class FileBatch:
    """A batch of new files, which are synced and get their names when the context ends. Each folder is
    synced once."""

    def __init__(self) -> None:
        self._open = contextlib.ExitStack()
        self._folders: dict[tuple[Path, str], int] = {}
        self._written: list[tuple[_TemporaryFile, str]] = []

    def __enter__(self) -> FileBatch:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._open:
            if kind is None:
                self._commit()

    @contextlib.contextmanager
    def __call__(self, root: Path, folder: str, name: str) -> Iterator[BinaryIO]:
        """Like `write_file`, except that the file is synced and gets its name when the context of the batch
        ends."""
        place = self._folders.get((root, folder))
        if place is None:
            place = self._open.enter_context(opened(root, folder))
            self._folders[root, folder] = place
        fd_path = f"/proc/self/fd/{place}"
        new = _TemporaryFile(fd_path)
        try:
            yield new.stream
        except BaseException:
            new.close()
            raise
        self._written.append((new, f"{fd_path}/{name}"))
        self._open.callback(new.close)

    def _commit(self) -> None:
        sync_all([new.stream for new, _ in self._written])
        for new, final in self._written:
            new.name(final)
        for place in self._folders.values():
            os.fsync(place)


class _TemporaryFile:
    """A new file in `folder`. When it is closed before it has its final name, it is removed."""

    def __init__(self, folder: str | Path) -> None:
        descriptor, path = tempfile.mkstemp(prefix=WRITING, dir=folder)
        self.path = Path(path)
        self.stream: BinaryIO = os.fdopen(descriptor, "wb", BUFFER)
        self._named = False

    def name(self, final: str) -> None:
        """Rename the file to its final name, replacing any file of that name."""
        self.path.replace(final)
        self._named = True

    def close(self) -> None:
        try:
            self.stream.close()
        finally:
            if not self._named:
                self.path.unlink(missing_ok=True)
