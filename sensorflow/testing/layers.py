"""The layers of the lake in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa

from sensorflow.core.partitions import Layer
from sensorflow.errors import Code, Transient
from sensorflow.ports.layers import LayerWriter


class MemoryLake:
    def __init__(self) -> None:
        self._files: dict[str, list[pa.RecordBatch]] = {}

    @contextmanager
    def writer(self, path: str, schema: pa.Schema) -> Iterator[LayerWriter]:
        batches = _Batches()
        yield batches
        self._files[path] = batches.written

    @contextmanager
    def together(self) -> Iterator[None]:
        before = dict(self._files)
        try:
            yield
        except BaseException:
            self._files = before
            raise

    def read(self, path: str) -> Iterator[pa.RecordBatch]:
        if path not in self._files:
            raise Transient(Code.STORAGE, f"no file {path!r}")
        yield from self._files[path]

    def remove(self, path: str) -> None:
        self._files.pop(path, None)

    def paths(self) -> Iterator[str]:
        yield from list(self._files)

    def rows(self, path: str) -> int | None:
        return sum(map(len, self._files[path])) if path in self._files else None

    def began(self, layer: Layer) -> datetime | None:
        return None

    def unfinished(self, older: float) -> list[str]:
        return []


@dataclass
class _Batches:
    written: list[pa.RecordBatch] = field(default_factory=list)

    def write(self, batch: pa.RecordBatch) -> None:
        self.written.append(batch)
