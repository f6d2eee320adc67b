"""Stores the lake's layers as Parquet files in a local folder. The files use zstd level 1, dictionaries for
repetitive columns and delta encoding for increasing columns. They have statistics of the time column, with
which readers skip row groups.

Files of a few rows use neither compression nor these encodings, because that would save less than a disk
block.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

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
from sensorflow.core.formats.parquet import batches
from sensorflow.core.partitions import Layer, LayerFile, file_of, layer_path
from sensorflow.memory import trimming_heap
from sensorflow.ports.layers import LayerWriter, Stored, Unreadable

ROWS = 32768
REPEATING = ("sensor_id", "reading_type", "unit", "column", "code")
DELTA_ENCODED = ("ts", "line_no")


SMALL_BATCH_ROWS = 2048
"""A file whose first batch has fewer rows than this is assumed to have only this batch."""


class _Writer:
    def __init__(self, stream: BinaryIO, schema: pa.Schema) -> None:
        self._stream, self._schema = stream, schema
        self._parquet: pq.ParquetWriter | None = None

    def write(self, batch: pa.RecordBatch) -> None:
        if self._parquet is None:
            self._parquet = self._new_writer(len(batch) < SMALL_BATCH_ROWS)
        self._parquet.write_batch(batch)

    def finish(self) -> None:
        (self._parquet or self._new_writer(is_small=True)).close()

    def _new_writer(self, is_small: bool) -> pq.ParquetWriter:
        repeating = [n for n in self._schema.names if n in REPEATING]
        packed: dict[str, Any] = {"compression": "zstd", "compression_level": 1}
        climbing = [n for n in self._schema.names if n in DELTA_ENCODED]
        packed |= {"use_dictionary": repeating, "write_statistics": ["ts"]}
        packed |= {"column_encoding": dict.fromkeys(climbing, "DELTA_BINARY_PACKED")}
        plain = {"compression": "none", "use_dictionary": False, "write_statistics": False}
        return pq.ParquetWriter(self._stream, self._schema, **(plain if is_small else packed))


class LocalLayers:
    """The lake in a local folder; see `ports.layers.Layers`. Each layer is a subfolder of `root`. The
    subfolder may be a symbolic link to a folder on another disk."""

    def __init__(self, root: Path, together: FileBatch | None = None) -> None:
        """together: the batch that syncs all new files at the same time; None if each file is synced by
        itself."""
        self._root = root
        self._together = together

    @contextmanager
    def batch(self) -> Iterator[LocalLayers]:
        with storage_errors(), FileBatch() as together:
            yield LocalLayers(self._root, together)

    @contextmanager
    def writer(self, layer: Layer, file: LayerFile, schema: pa.Schema) -> Iterator[LayerWriter]:
        root, folder, leaf = self._split(layer_path(layer, file))
        with storage_errors():
            make_root(root)
        with storage_errors(), (self._together or write_file)(root, folder, leaf) as stream:
            writer = _Writer(stream, schema)
            try:
                yield writer
            finally:  # close the file now, even after an error; Python's garbage collection may be later
                writer.finish()

    def read(self, layer: Layer, file: LayerFile) -> Iterator[pa.RecordBatch]:
        root, folder, leaf = self._split(layer_path(layer, file))
        with (
            storage_errors(),
            open_below(root, f"{folder}/{leaf}") as stream,
            pq.ParquetFile(_direct(stream)) as parquet,
        ):
            yield from trimming_heap(batches(parquet, ROWS))

    def count(self, layer: Layer, file: LayerFile) -> int | None:
        path = layer_path(layer, file)
        root, folder, leaf = self._split(path)
        with storage_errors():
            try:
                with open_below(root, f"{folder}/{leaf}") as stream:
                    return int(pq.read_metadata(stream).num_rows)
            except FileNotFoundError:
                require(root)
                return None
            except (
                pa.ArrowException,
                OSError,
            ) as error:  # Arrow raises OSError for damaged data too
                if isinstance(error, OSError) and error.errno is not None:
                    raise
                raise Unreadable(f"{path}: {error}") from error

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


def _direct(stream: BinaryIO) -> pa.NativeFile:
    """Return an Arrow file that reads from the same open file. If Arrow used the Python file, Arrow's
    threads could release the file while the interpreter shuts down. This would abort a successful command
    (apache/arrow#34314)."""
    return pa.OSFile(f"/proc/self/fd/{stream.fileno()}")
