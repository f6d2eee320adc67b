"""The landing zone in a local folder: ``landing/<first two hex digits>/<sha256>``."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import BinaryIO

from sensorflow import crash
from sensorflow.adapters.files import (
    make_folders,
    require,
    settle,
    storage_errors,
    temporary,
    unfinished,
)
from sensorflow.core.arrival import Landed
from sensorflow.errors import Code, Transient
from sensorflow.ports import Reader

BLOCK = 1 << 20


class LocalLanding:
    """See `ports.Landing`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.bucket = root.name

    def put(self, stream: Reader) -> Landed:
        sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
        with storage_errors(), temporary(self._root) as (copy, path):
            while block := stream.read(BLOCK):
                sha256.update(block)
                md5.update(block)
                size += len(block)
                copy.write(block)
            name = f"{sha256.hexdigest()[:2]}/{sha256.hexdigest()}"
            final = self._root / name
            make_folders(final.parent)
            crash.point(crash.Point.LANDING)
            settle(copy, path, final)  # also over the same object: that one may be damaged
        return Landed(name, sha256.digest(), md5.digest(), size)

    def open(self, name: str) -> BinaryIO:
        path = self._path(name)
        with storage_errors():
            return path.open("rb")

    def size(self, name: str) -> int | None:
        path = self._path(name)
        with storage_errors():
            try:
                return path.stat().st_size
            except FileNotFoundError:
                require(self._root)
                return None

    def unfinished(self, older: float) -> list[str]:
        return unfinished(self._root, older)

    def has(self, name: str) -> bool:
        return self._path(name).is_file()

    def remove(self, name: str) -> None:
        with storage_errors():
            self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        prefix, _, digest = name.partition("/")
        if len(digest) != 64 or digest[:2] != prefix or not digest.isalnum():
            raise Transient(Code.STORAGE, f"{name!r} is no name in the landing zone")
        return self._root / name
