"""Stores objects as files in a local folder; see `ports.objects.ObjectStore`.

Symbolic links are not followed: only regular files are objects. Only the owner can read new files.
Unfinished files are in the folder of the store, under temporary names.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from sensorflow.adapters.local import garbage
from sensorflow.adapters.local.no_overwrite import name_new
from sensorflow.adapters.local.places import (
    below,
    created_at,
    make_root,
    open_below,
    opened,
    require,
    storage_errors,
)
from sensorflow.adapters.local.writing import UNFINISHED, start_sync, sync, sync_all, temporary
from sensorflow.errors import Code, Transient
from sensorflow.ports.objects import MARKERS, Name, Object, Puts, Reader

BLOCK = 1 << 20


class LocalObjects:
    """An object store in a local folder. foreign: a pattern of folders in which file names come from users.
    A file in such a folder is an object even if its name looks like a temporary name. required: the folder
    that must exist, or else the store is unavailable; None for `root` itself. If it is a parent of `root`,
    a store without a folder is empty."""

    def __init__(self, root: Path, foreign: str = "", required: Path | None = None) -> None:
        self.name = root.name
        self._root, self._foreign, self._required = root, foreign, required or root

    def put(self, name: Name, source: Reader) -> str:
        with self.batch() as batch:
            return batch.put(name, source)

    def create(self, name: str, data: bytes) -> bool:
        with storage_errors():
            parent, _, leaf = _relative(name).rpartition("/")
            make_root(self._root)
            with opened(self._root, parent) as place, temporary(self._root) as (copy, path):
                copy.write(data)
                sync(copy)
                is_new = name_new(path, Path(f"/proc/self/fd/{place}") / leaf)
                os.fsync(place)
        return is_new

    @contextmanager
    def batch(self) -> Iterator[Puts]:
        with storage_errors(), ExitStack() as copies:
            batch = _Batch(self._root, copies)
            yield batch
            batch.commit()

    def open(self, name: str) -> BinaryIO:
        with storage_errors():
            return open_below(self._root, _relative(name))

    def head(self, name: str) -> Object | None:
        with storage_errors():
            try:
                return _object(name, (self._root / _relative(name)).lstat())
            except (FileNotFoundError, NotADirectoryError):
                require(self._required)
                return None

    def list(self, prefix: str = "") -> Iterator[Object]:
        require(self._required)
        with storage_errors(), suppress(FileNotFoundError, NotADirectoryError):
            parent, _, start = _relative(prefix).rpartition("/")
            with opened(self._root, parent, make=False) as place:
                for path, folders, names, inner in os.fwalk(dir_fd=place, onerror=_unless_gone):
                    if path == ".":
                        folders[:] = [name for name in folders if name.startswith(start)]
                        names = [name for name in names if name.startswith(start)]
                    yield from self._objects(Path(parent, path), names, inner)

    def _objects(self, folder: Path, names: Sequence[str], place: int) -> Iterator[Object]:
        """Yield the objects among these files. names: names of files in `folder`. place: descriptor of the
        folder."""
        foreign = self._foreign and folder.match(self._foreign)
        for name in names:
            relative = str(folder / name)
            if relative in MARKERS or (not foreign and UNFINISHED.fullmatch(name)):
                continue
            with suppress(FileNotFoundError):  # it existed a moment ago
                fact = os.stat(name, dir_fd=place, follow_symlinks=False)
                if (found := _object(_name(relative), fact)) is not None:
                    yield found

    def copy(self, name: str, target: str) -> None:
        with self.open(name) as source:
            self.put(target, source)

    def delete(self, name: str) -> None:
        with storage_errors(), suppress(FileNotFoundError):
            parent, _, leaf = _relative(name).rpartition("/")
            with below(self._root, parent, make=False) as place:
                (place / leaf).unlink()

    def created_at(self) -> datetime | None:
        return created_at(self._root)

    def list_unfinished(self, older_than_seconds: float) -> Sequence[str]:
        return garbage.list_unfinished(self._root, older_than_seconds, self._foreign)

    def remove_unfinished(self, older_than_seconds: float) -> int:
        return garbage.remove_unfinished(self._root, older_than_seconds, self._foreign)


class _Batch:
    """Implements `ports.objects.Puts`. The files stay open until `commit` syncs them."""

    def __init__(self, root: Path, copies: ExitStack) -> None:
        self._root = root
        self._copies = copies
        self._written: list[tuple[str, BinaryIO, Path]] = []

    def put(self, name: Name, source: Reader) -> str:
        size = 0
        with storage_errors():
            make_root(self._root)
            copy, path = self._copies.enter_context(temporary(self._root))
            while block := source.read(BLOCK):
                size += len(block)
                copy.write(block)
                if size > BLOCK:  # the disk writes while the rest is read and hashed
                    start_sync(copy, size - len(block), len(block))
            copy.flush()
            final_name = name if isinstance(name, str) else name()
            self._written.append((_relative(final_name), copy, path))
        return final_name

    def commit(self) -> None:
        """Sync all objects that were put, and give them their names."""
        with ExitStack() as folders:
            sync_all([copy for _, copy, _ in self._written])
            places: dict[str, int] = {}
            for name, _, path in self._written:
                parent, _, leaf = name.rpartition("/")
                if parent not in places:
                    places[parent] = folders.enter_context(opened(self._root, parent))
                # replace the existing file even if it should have the same bytes: it may be damaged
                os.replace(path, leaf, dst_dir_fd=places[parent])
            for place in places.values():
                os.fsync(place)


def _relative(name: str) -> str:
    """Return the path of an object, relative to the store's folder. Raises Transient if the path leaves the
    folder."""
    if name.startswith("/") or ".." in name.split("/"):
        raise Transient(Code.STORAGE, f"{name!r} is not an object name")
    return name if name.isascii() else os.fsdecode(name.encode("utf-8", "surrogateescape"))


def _name(relative: str) -> str:
    """Return the object's name for a relative path: the inverse of `_relative`."""
    if relative.isascii():
        return relative
    return os.fsencode(relative).decode("utf-8", "surrogateescape")


def _object(name: str, fact: os.stat_result) -> Object | None:
    if not stat.S_ISREG(fact.st_mode):
        return None
    return Object(name, fact.st_size, datetime.fromtimestamp(fact.st_mtime, UTC))


def _unless_gone(error: OSError) -> None:
    """Raise the error, unless a folder was removed while its parent was being listed. In this case the
    other folders are still listed."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error
