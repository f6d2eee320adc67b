"""The landing zone in a local folder: ``landing/<first two hex digits>/<sha256>``."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from sensorflow import crash
from sensorflow.adapters.files import (
    below,
    open_below,
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
            digest = sha256.hexdigest()
            with below(self._root, digest[:2]) as folder:
                crash.point(crash.Point.LANDING)
                settle(copy, path, folder / digest)  # also over the same: that may be damaged
        return Landed(f"{digest[:2]}/{digest}", sha256.digest(), md5.digest(), size)

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


def _checked(name: str) -> str:
    prefix, _, digest = name.partition("/")
    if len(digest) != 64 or digest[:2] != prefix or not digest.isalnum():
        raise Transient(Code.STORAGE, f"{name!r} is no name in the landing zone")
    return name
