"""The landing zone in a local folder: ``landing/<first two hex digits>/<sha256>``."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from sensorflow import crash
from sensorflow.adapters.local.garbage import unfinished
from sensorflow.adapters.local.places import (
    began,
    below,
    make_root,
    open_below,
    opened,
    require,
    storage_errors,
)
from sensorflow.adapters.local.writing import start_sync, sync_all, temporary
from sensorflow.core.arrival import Landed
from sensorflow.errors import Code, Transient
from sensorflow.ports.landing import LandingGroup, Reader

BLOCK = 1 << 20


class LocalLanding:
    """See `ports.landing.Landing`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.bucket = root.name

    def put(self, stream: Reader) -> Landed:
        with self.group() as group:
            landed = group.put(stream)
            group.settle()
        return landed

    @contextmanager
    def group(self) -> Iterator[LandingGroup]:
        with storage_errors(), ExitStack() as copies:
            yield _Group(self._root, copies)

    def open(self, name: str) -> BinaryIO:
        with storage_errors():
            return open_below(self._root, _checked(name))

    def size(self, name: str) -> int | None:
        path = self._root / _checked(name)
        with storage_errors():
            try:
                return path.lstat().st_size
            except FileNotFoundError:
                require(self._root)
                return None

    def began(self) -> datetime | None:
        return began(self._root)

    def unfinished(self, older: float) -> list[str]:
        return unfinished(self._root, older)

    def has(self, name: str) -> bool:
        try:
            open_below(self._root, _checked(name)).close()
        except OSError:
            return False
        return True

    def remove(self, name: str) -> None:
        folder, _, digest = _checked(name).partition("/")
        with (
            storage_errors(),
            suppress(FileNotFoundError),
            below(self._root, folder, make=False) as place,
        ):
            (place / digest).unlink()


class _Group:
    """See `ports.landing.LandingGroup`. The copies stay open, for it is they that are synced."""

    def __init__(self, root: Path, copies: ExitStack) -> None:
        self._root = root
        self._copies = copies
        self._written: list[tuple[str, BinaryIO, Path]] = []

    def put(self, stream: Reader) -> Landed:
        sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
        with storage_errors():
            make_root(self._root)
            copy, path = self._copies.enter_context(temporary(self._root))
            while block := stream.read(BLOCK):
                sha256.update(block)
                md5.update(block)
                size += len(block)
                copy.write(block)
                if size > BLOCK:  # the disk works while the rest is read and hashed
                    start_sync(copy, size - len(block), len(block))
            copy.flush()
        crash.point(crash.Point.LANDING)
        digest = sha256.hexdigest()
        self._written.append((digest, copy, path))
        return Landed(f"{digest[:2]}/{digest}", sha256.digest(), md5.digest(), size)

    def settle(self) -> None:
        with storage_errors(), ExitStack() as folders:
            sync_all([copy for _, copy, _ in self._written])
            places: dict[str, int] = {}
            for digest, _, path in self._written:
                prefix = digest[:2]
                if prefix not in places:
                    places[prefix] = folders.enter_context(opened(self._root, prefix))
                # also over the same: that may be damaged
                os.replace(path, digest, dst_dir_fd=places[prefix])
            for place in places.values():
                os.fsync(place)
            self._written.clear()
            self._copies.close()


def _checked(name: str) -> str:
    prefix, _, digest = name.partition("/")
    if len(digest) != 64 or digest[:2] != prefix or not digest.isalnum():
        raise Transient(Code.STORAGE, f"{name!r} is no name in the landing zone")
    return name
