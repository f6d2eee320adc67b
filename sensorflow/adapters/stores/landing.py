"""The landing zone in a local folder: ``landing/<first two hex digits>/<sha256>``."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import BinaryIO

from sensorflow import crash
from sensorflow.adapters.files import below, open_below, settle, storage_errors, temporary
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
        prefix, _, digest = name.partition("/")
        if len(digest) != 64 or digest[:2] != prefix or not digest.isalnum():
            raise Transient(Code.STORAGE, f"{name!r} is no name in the landing zone")
        with storage_errors():
            return open_below(self._root, name)
