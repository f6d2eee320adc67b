"""In-memory layers of the lake."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

import pyarrow as pa

from sensorflow.core.partitions import Layer, LayerFile, file_of, layer_path
from sensorflow.errors import Code, Transient
from sensorflow.ports.layers import LayerWriter, Stored


class MemoryLayers:
    """The layers of the lake in memory (see `ports.layers.Layers`)."""

    def __init__(self) -> None:
        self._files: dict[str, list[pa.RecordBatch]] = {}
        self._written = self._files

    @contextmanager
    def batch(self) -> Iterator[Self]:
        batch = copy(self)
        batch._written = {}
        yield batch
        self._written.update(batch._written)

    @contextmanager
    def writer(self, layer: Layer, file: LayerFile, schema: pa.Schema) -> Iterator[LayerWriter]:
        batches = _Batches()
        yield batches
        self._written[layer_path(layer, file)] = batches.written

    def read(self, layer: Layer, file: LayerFile) -> Iterator[pa.RecordBatch]:
        path = layer_path(layer, file)
        if path not in self._files:
            raise Transient(Code.STORAGE, f"no file {path!r}") from FileNotFoundError(path)
        yield from self._files[path]

    def count(self, layer: Layer, file: LayerFile) -> int | None:
        found = self._files.get(layer_path(layer, file))
        return None if found is None else sum(map(len, found))

    def delete(self, layer: Layer, file: LayerFile) -> None:
        self._files.pop(layer_path(layer, file), None)

    def discard(self, stored: Stored) -> None:
        self._files.pop(stored.place, None)

    def place(self, layer: Layer, file: LayerFile) -> str:
        return layer_path(layer, file)

    def stored(self) -> Iterator[Stored | str]:
        for path in list(self._files):
            yield self.stored_at(path) or path

    def stored_at(self, place: str) -> Stored | None:
        known = file_of(place)
        return None if known is None else Stored(*known, place)

    def created_at(self, layer: Layer) -> datetime | None:
        return None

    def list_unfinished(self, older_than_seconds: float) -> list[str]:
        return []

    def remove_unfinished(self, older_than_seconds: float) -> int:
        return 0


@dataclass
class _Batches:
    written: list[pa.RecordBatch] = field(default_factory=list)

    def write(self, batch: pa.RecordBatch) -> None:
        self.written.append(batch)
