"""A drop folder. After a file is registered, it is disposed, that is, archived or deleted."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import date
from functools import partial
from pathlib import Path
from typing import BinaryIO

from sensorflow.adapters.feeds.folder.tree import Tree, entries
from sensorflow.adapters.local.no_overwrite import add_file
from sensorflow.adapters.local.places import FOLDER, below, regular, storage_errors, sync_folder
from sensorflow.core.stability import Stat
from sensorflow.errors import Transient
from sensorflow.ports.feed import Gone, Permit
from sensorflow.settings import FolderSource

STAGING = b".sensorflow"
"""Prefix of the name of a staging folder; the process's token follows. A staging folder is a subfolder of
the folder whose files are being disposed."""


class DropFolder(Tree):
    """The drop folder of one source: finds, opens and disposes its files. Keys are paths below the folder,
    as bytes."""

    def __init__(self, name: str, root: Path, source: FolderSource, archive: Path) -> None:
        super().__init__(name, root, source)
        self._archive = archive

    def recover(self, registered: Callable[[bytes, BinaryIO], bool], day: date) -> list[bytes]:
        """Recover files that a killed daemon left in a staging folder. Returns the keys of the files that
        cannot be read.

        registered: returns whether the ledger has these bytes under this key. If this returns True, the
        file is disposed now. Otherwise a sender has replaced a registered file by this file, and this file
        is moved back. Items that someone else has put into a staging folder do not stop the recovery.
        """
        left: list[bytes] = []
        with storage_errors(), self._open_root() as root:
            for folder, prefix in self._folders(root, b""):
                for name in entries(folder, folders=True):
                    if name != STAGING and not name.startswith(STAGING + b"-"):
                        continue
                    try:
                        with _open_staging(folder, name) as staging:
                            left += self._recover(folder, staging, prefix, registered, day)
                    except PermissionError:
                        left.append(prefix + name)
        return left

    def _recover(
        self,
        folder: int,
        staging: int,
        prefix: bytes,
        registered: Callable[[bytes, BinaryIO], bool],
        day: date,
    ) -> list[bytes]:
        left, done = [], []
        with self._archive_of(prefix, day) as archive:
            for name in entries(staging):
                key = prefix + name
                try:
                    if self._dispose_one(folder, staging, name, archive, partial(registered, key)):
                        done.append(name)
                except (PermissionError, FileNotFoundError):
                    left.append(key)
        _unlink(staging, done)
        return left

    def dispose(
        self, files: Iterable[tuple[bytes, Stat]], day: date, permit: Permit | None = None
    ) -> dict[bytes, str]:
        """Archive or delete registered files. If a file has changed since it was landed, it is not
        disposed.

        Each file is first renamed into a staging folder of this process and examined there. If a sender has
        replaced the file in the meantime, the replacement is detected and moved back. Returns key -> reason
        for the files that could not be disposed.
        """
        not_disposed: dict[bytes, str] = {}
        if self.source.after == "keep":
            return not_disposed
        permit = permit or Permit()
        for prefix, members in _by_folder(files).items():
            try:
                with storage_errors(), suppress(Gone):
                    not_disposed |= self._dispose(prefix, members, day, permit)
            except Transient as error:
                not_disposed |= dict.fromkeys((prefix + name for name, _ in members), error.message)
        return not_disposed

    def _dispose(
        self, prefix: bytes, members: list[tuple[bytes, Stat]], day: date, permit: Permit
    ) -> dict[bytes, str]:
        not_disposed: dict[bytes, str] = {}
        done: list[bytes] = []
        with self._parent(prefix + members[0][0]) as (folder, _):
            # a file with new content under the same name stays: the next scan takes it in
            same = [(name, stat) for name, stat in members if self._status(folder, name) == stat]
            if not same or not permit.is_allowed():
                return not_disposed
            with _open_staging(folder, _staging_name(permit)) as staging:
                with self._archive_of(prefix, day) as archive:
                    for name, landed in same:
                        if not permit.is_allowed():
                            break
                        is_ours = partial(self._is_still, landed)
                        try:
                            with storage_errors(), suppress(FileNotFoundError):
                                os.rename(name, name, src_dir_fd=folder, dst_dir_fd=staging)
                                if self._dispose_one(folder, staging, name, archive, is_ours):
                                    done.append(name)
                        except Transient as error:
                            not_disposed[prefix + name] = error.message
                _unlink(staging, done)
        return not_disposed

    def _is_still(self, landed: Stat, file: BinaryIO) -> bool:
        """Whether a staged file is the file that was landed and is not open for writing in any process."""
        return self.stat_of(file).same_content(landed) and not self._being_written(file.fileno())

    def _dispose_one(
        self,
        folder: int,
        staging: int,
        name: bytes,
        archive: Path | None,
        is_ours: Callable[[BinaryIO], bool],
    ) -> bool:
        """Archive a staged file if `is_ours` returns True for it, else move it back.

        The file is opened once, and all steps use the open file, because another user may own the staging
        folder and replace the file. Returns True if the file may be removed from staging after the archive
        is synced.
        """
        file = regular(staging, name)
        if file is None:
            _rename_back(staging, folder, name)
            return False
        with file:
            if not is_ours(file):
                back = Path(f"/proc/self/fd/{folder}")
                add_file(file, back, name)
                sync_folder(back)
            elif archive is not None:
                add_file(file, archive, name)
        return True

    @contextmanager
    def _archive_of(self, prefix: bytes, day: date) -> Iterator[Path | None]:
        """Provide the archive folder, or None if files are deleted instead. The folder is synced when the
        context ends."""
        if self.source.after != "archive":
            yield None
            return
        with below(self._archive, f"{day.isoformat()}/{os.fsdecode(prefix)}") as place:
            yield place
            sync_folder(place)


def _staging_name(permit: Permit) -> bytes:
    """Return the name of this process's staging folder. Each process has a staging folder of its own,
    because another process may have been suspended while it was disposing files."""
    return b"%b-%d" % (STAGING, permit.token) if permit.token else STAGING


@contextmanager
def _open_staging(folder: int, name: bytes) -> Iterator[int]:
    """Provide the descriptor of a staging folder. The folder is created if needed, and removed at the end
    if it is empty."""
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=folder)
    staging = os.open(name, FOLDER, dir_fd=folder)
    try:
        yield staging
    finally:
        os.close(staging)
        with suppress(OSError):  # not empty: `recover` handles it at the next start
            os.rmdir(name, dir_fd=folder)


def _by_folder(files: Iterable[tuple[bytes, Stat]]) -> dict[bytes, list[tuple[bytes, Stat]]]:
    """Group files by folder: path of the folder, with a trailing slash -> names and states of its files."""
    found: dict[bytes, list[tuple[bytes, Stat]]] = {}
    for key, stat in files:
        head, slash, name = key.rpartition(b"/")
        found.setdefault(head + slash, []).append((name, stat))
    return found


def _unlink(staging: int, names: list[bytes]) -> None:
    for name in names:
        with suppress(FileNotFoundError):
            # another process assumed that this process had ended, and recovered the file
            os.unlink(name, dir_fd=staging)


def _rename_back(staging: int, folder: int, name: bytes) -> None:
    """Rename a link, FIFO or folder back to its original name. If that name is already in use, the item
    stays in the staging folder."""
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        os.rename(name, name, src_dir_fd=staging, dst_dir_fd=folder)
