"""Stores the lake's layers as Parquet files in an object store, such as a bucket.

A file is written to memory, or to a temporary file if it is large. A large file is uploaded while it is
written: the upload does not follow the COPY into the database. A file is read from a local copy, because
Arrow reads many small ranges.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import BinaryIO, cast

import pyarrow as pa

from sensorflow.adapters.layers.parquet import RowWriter, count_rows, read_rows
from sensorflow.adapters.layers.sending import Sending
from sensorflow.adapters.local.places import storage_errors
from sensorflow.core.partitions import Layer, LayerFile, file_of, layer_path
from sensorflow.errors import Transient
from sensorflow.ports.layers import LayerWriter, Stored
from sensorflow.ports.objects import ObjectStore, Puts

BLOCK = 1 << 20


class ObjectLayers:
    """The lake in an object store; see `ports.layers.Layers`. An object's name is its path in the lake.
    puts: the batch with which new files are stored; None if each file is stored by itself."""

    def __init__(self, objects: ObjectStore, puts: Puts | None = None) -> None:
        self._objects, self._puts = objects, puts or objects

    @contextmanager
    def batch(self) -> Iterator[ObjectLayers]:
        with self._objects.batch() as puts:
            yield ObjectLayers(self._objects, puts)

    @contextmanager
    def writer(self, layer: Layer, file: LayerFile, schema: pa.Schema) -> Iterator[LayerWriter]:
        with storage_errors(), Sending(self._puts, layer_path(layer, file)) as stream:
            writer = RowWriter(cast(BinaryIO, stream), schema)
            try:
                yield writer
            finally:  # close the file now, even after an error; Python's garbage collection may be later
                writer.finish()

    def read(self, layer: Layer, file: LayerFile) -> Iterator[pa.RecordBatch]:
        with storage_errors(), tempfile.TemporaryFile() as copy:
            with self._objects.open(layer_path(layer, file)) as stream:
                shutil.copyfileobj(stream, copy, BLOCK)
            copy.flush()
            yield from read_rows(cast(BinaryIO, copy))

    def count(self, layer: Layer, file: LayerFile) -> int | None:
        path = layer_path(layer, file)
        try:
            stream = self._objects.open(path)
        except Transient as error:
            if isinstance(error.__cause__, FileNotFoundError):
                self._objects.head(path)  # raises if the whole lake is missing
                return None
            raise
        with storage_errors(), stream:
            return count_rows(stream, path)

    def delete(self, layer: Layer, file: LayerFile) -> None:
        self._objects.delete(layer_path(layer, file))

    def discard(self, stored: Stored) -> None:
        self._objects.delete(stored.place)

    def place(self, layer: Layer, file: LayerFile) -> str:
        return layer_path(layer, file)

    def stored(self) -> Iterator[Stored | str]:
        for layer in Layer:
            for found in self._objects.list(f"{layer}/"):
                if found.name.endswith(".parquet"):
                    yield self.stored_at(found.name) or found.name

    def stored_at(self, place: str) -> Stored | None:
        known = file_of(place)
        return None if known is None else Stored(*known, place)

    def created_at(self, layer: Layer) -> datetime | None:
        return self._objects.created_at()

    def list_unfinished(self, older_than_seconds: float) -> list[str]:
        return list(self._objects.list_unfinished(older_than_seconds))

    def remove_unfinished(self, older_than_seconds: float) -> int:
        return self._objects.remove_unfinished(older_than_seconds)
