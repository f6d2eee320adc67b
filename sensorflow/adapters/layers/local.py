"""Stores the lake's layers as Parquet files in a local folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from sensorflow.adapters.layers.parquet import RowWriter, count_rows, read_rows
from sensorflow.adapters.local import garbage
from sensorflow.adapters.local.places import (
    below,
    created_at,
    make_root,
    open_below,
    require,
    storage_errors,
)
from sensorflow.adapters.local.writing import FileBatch, write_file
from sensorflow.core.partitions import Layer, LayerFile, file_of, layer_path
from sensorflow.ports.layers import LayerWriter, Stored


class LocalLayers:
    """The lake in a local folder; see `ports.layers.Layers`. Each layer is a subfolder of `root`. The
    subfolder may be a symbolic link to a folder on another disk."""

    def __init__(
        self, root: Path, together: FileBatch | None = None, *, may_lack_layers: bool = False
    ) -> None:
        """together: the batch that syncs all new files at the same time; None if each file is synced by
        itself. may_lack_layers: whether a layer without a folder is empty. If not, it is unavailable."""
        self._root, self._may_lack_layers = root, may_lack_layers
        self._together = together

    @contextmanager
    def batch(self) -> Iterator[LocalLayers]:
        with storage_errors(), FileBatch() as together:
            yield LocalLayers(self._root, together, may_lack_layers=self._may_lack_layers)

    @contextmanager
    def writer(self, layer: Layer, file: LayerFile, schema: pa.Schema) -> Iterator[LayerWriter]:
        root, folder, leaf = self._split(layer_path(layer, file))
        with storage_errors():
            make_root(root)
        with storage_errors(), (self._together or write_file)(root, folder, leaf) as stream:
            writer = RowWriter(stream, schema)
            try:
                yield writer
            finally:  # close the file now, even after an error; Python's garbage collection may be later
                writer.finish()

    def read(self, layer: Layer, file: LayerFile) -> Iterator[pa.RecordBatch]:
        root, folder, leaf = self._split(layer_path(layer, file))
        with storage_errors(), open_below(root, f"{folder}/{leaf}") as stream:
            yield from read_rows(stream)

    def count(self, layer: Layer, file: LayerFile) -> int | None:
        path = layer_path(layer, file)
        root, folder, leaf = self._split(path)
        with storage_errors():
            try:
                with open_below(root, f"{folder}/{leaf}") as stream:
                    return count_rows(stream, path)
            except FileNotFoundError:
                require(self._root if self._may_lack_layers else root)
                return None

    def delete(self, layer: Layer, file: LayerFile) -> None:
        self._remove(layer_path(layer, file))

    def discard(self, stored: Stored) -> None:
        self._remove(stored.place)

    def _remove(self, path: str) -> None:
        root, folder, leaf = self._split(path)
        with (
            storage_errors(),
            suppress(FileNotFoundError),
            below(root, folder, make=False) as place,
        ):
            (place / leaf).unlink()

    def place(self, layer: Layer, file: LayerFile) -> str:
        return layer_path(layer, file)

    def stored(self) -> Iterator[Stored | str]:
        require(self._root)
        for layer in Layer:
            with storage_errors():
                for found in (self._root / layer).rglob("*.parquet"):
                    if not found.name.startswith("."):
                        path = str(found.relative_to(self._root))
                        yield self.stored_at(path) or path

    def stored_at(self, place: str) -> Stored | None:
        known = file_of(place)
        return None if known is None else Stored(*known, place)

    def created_at(self, layer: Layer) -> datetime | None:
        return created_at(self._root / layer)

    def list_unfinished(self, older_than_seconds: float) -> list[str]:
        return [
            f"{layer}/{name}"
            for layer in Layer
            for name in garbage.list_unfinished(self._root / layer, older_than_seconds)
        ]

    def remove_unfinished(self, older_than_seconds: float) -> int:
        return sum(
            garbage.remove_unfinished(self._root / layer, older_than_seconds) for layer in Layer
        )

    def _split(self, path: str) -> tuple[Path, str, str]:
        """Split a path into the layer's folder, the path below it, and the file name."""
        layer, _, rest = path.partition("/")
        folder, _, leaf = rest.rpartition("/")
        return self._root / layer, folder, leaf
