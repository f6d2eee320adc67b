"""Landing zone and quarantine store in memory."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, BinaryIO

from sensorflow.core.arrival import Landed
from sensorflow.errors import Code, Transient
from sensorflow.ports.landing import LandingGroup, Reader


class MemoryLanding:
    bucket = "memory"

    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}

    def put(self, stream: Reader) -> Landed:
        with self.group() as group:
            landed = group.put(stream)
            group.settle()
        return landed

    @contextmanager
    def group(self) -> Iterator[LandingGroup]:
        yield _Group(self._objects)

    def open(self, name: str) -> BinaryIO:
        if name not in self._objects:
            raise Transient(Code.STORAGE, f"no object {name!r}")
        return io.BytesIO(self._objects[name])

    def size(self, name: str) -> int | None:
        return len(self._objects[name]) if name in self._objects else None

    def began(self) -> datetime | None:
        return None

    def unfinished(self, older: float) -> list[str]:
        return []

    def has(self, name: str) -> bool:
        return name in self._objects

    def remove(self, name: str) -> None:
        self._objects.pop(name, None)


class _Group:
    def __init__(self, objects: dict[str, bytes]) -> None:
        self._objects = objects
        self._written: dict[str, bytes] = {}

    def put(self, stream: Reader) -> Landed:
        data = stream.read()
        sha256 = hashlib.sha256(data)
        name = f"{sha256.hexdigest()[:2]}/{sha256.hexdigest()}"
        self._written[name] = data
        md5 = hashlib.md5(data, usedforsecurity=False).digest()
        return Landed(name, sha256.digest(), md5, len(data))

    def settle(self) -> None:
        self._objects.update(self._written)
        self._written.clear()


class MemoryQuarantine:
    def __init__(self) -> None:
        self._kept: dict[str, tuple[bytes, bytes, dict[str, Any]]] = {}

    def put(self, folder: str, name: bytes, stream: BinaryIO, manifest: dict[str, Any]) -> str:
        self._kept.setdefault(folder, (name, stream.read(), manifest))
        return folder

    def manifest(self, where: str) -> dict[str, Any]:
        if where not in self._kept:
            raise Transient(Code.STORAGE, f"nothing kept at {where!r}")
        return self._kept[where][2]

    def size(self, where: str) -> int | None:
        return len(self._kept[where][1]) if where in self._kept else None

    def open(self, where: str) -> BinaryIO:
        if where not in self._kept:
            raise Transient(Code.STORAGE, f"nothing kept at {where!r}")
        return io.BytesIO(self._kept[where][1])

    def began(self) -> datetime | None:
        return None

    def unfinished(self, older: float) -> list[str]:
        return []
