"""The lake in a local folder: Parquet, zstd level 1, dictionaries on the columns that repeat, differences
of those that climb; statistics of the time, by which readers choose.

A file of a few rows is written plainly: what would be saved is less than a block of the disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from sensorflow.adapters.local.garbage import unfinished
from sensorflow.adapters.local.places import (
    began,
    below,
    make_root,
    open_below,
    require,
    storage_errors,
)
from sensorflow.adapters.local.writing import Together, alone
from sensorflow.core.formats.parquet import batches
from sensorflow.core.partitions import Layer
from sensorflow.memory import lean
from sensorflow.ports.layers import LayerWriter, Unreadable

ROWS = 32768
REPEATING = ("sensor_id", "reading_type", "unit", "column", "code")
CLIMBING = ("ts", "line_no")


FEW = 2048
"""Rows; a first batch below this is taken for all of the file."""


class _Writer:
    def __init__(self, stream: BinaryIO, schema: pa.Schema) -> None:
        self._stream, self._schema = stream, schema
        self._parquet: pq.ParquetWriter | None = None

    def write(self, batch: pa.RecordBatch) -> None:
        if self._parquet is None:
            self._parquet = self._made(len(batch) < FEW)
        self._parquet.write_batch(batch)

    def finish(self) -> None:
        (self._parquet or self._made(few=True)).close()

    def _made(self, few: bool) -> pq.ParquetWriter:
        repeating = [n for n in self._schema.names if n in REPEATING]
        packed: dict[str, Any] = {"compression": "zstd", "compression_level": 1}
        climbing = [n for n in self._schema.names if n in CLIMBING]
        packed |= {"use_dictionary": repeating, "write_statistics": ["ts"]}
        packed |= {"column_encoding": dict.fromkeys(climbing, "DELTA_BINARY_PACKED")}
        plain = {"compression": "none", "use_dictionary": False, "write_statistics": False}
        return pq.ParquetWriter(self._stream, self._schema, **(plain if few else packed))


class LocalLake:
    """See `ports.layers.Lake`. Use from one thread at a time."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._roots = {str(layer): root / layer for layer in Layer}
        self._together: Together | None = None

    @contextmanager
    def together(self) -> Iterator[None]:
        with storage_errors(), Together() as self._together:
            try:
                yield
            finally:
                self._together = None

    @contextmanager
    def writer(self, path: str, schema: pa.Schema) -> Iterator[LayerWriter]:
        root, folder, leaf = self._place(path)
        with storage_errors():
            make_root(root)
        with storage_errors(), (self._together or alone)(root, folder, leaf) as stream:
            writer = _Writer(stream, schema)
            try:
                yield writer
            finally:  # also of what nobody will see: its end is not left to the collector
                writer.finish()

    def read(self, path: str) -> Iterator[pa.RecordBatch]:
        root, folder, leaf = self._place(path)
        with (
            storage_errors(),
            open_below(root, f"{folder}/{leaf}") as stream,
            pq.ParquetFile(_direct(stream)) as file,
        ):
            yield from lean(batches(file, ROWS))

    def remove(self, path: str) -> None:
        root, folder, leaf = self._place(path)
        with (
            storage_errors(),
            suppress(FileNotFoundError),
            below(root, folder, make=False) as place,
        ):
            (place / leaf).unlink()

    def paths(self) -> Iterator[str]:
        require(self._root)
        for layer in Layer:
            with storage_errors():
                for path in (self._root / layer).rglob("*.parquet"):
                    if not path.name.startswith("."):
                        yield str(path.relative_to(self._root))

    def rows(self, path: str) -> int | None:
        root, folder, leaf = self._place(path)
        with storage_errors():
            try:
                with open_below(root, f"{folder}/{leaf}") as stream:
                    return int(pq.read_metadata(stream).num_rows)
            except FileNotFoundError:
                require(root)
                return None
            except (pa.ArrowException, OSError) as error:  # Arrow says OSError of broken bytes too
                if isinstance(error, OSError) and error.errno is not None:
                    raise
                raise Unreadable(f"{path}: {error}") from error

    def began(self, layer: Layer) -> datetime | None:
        return began(self._root / layer)

    def unfinished(self, older: float) -> list[str]:
        return [
            f"{layer}/{name}" for layer in Layer for name in unfinished(self._root / layer, older)
        ]

    def _place(self, path: str) -> tuple[Path, str, str]:
        """A layer's folder, which may be a link to another disk; what is below it; the file's name."""
        layer, _, rest = path.partition("/")
        folder, _, leaf = rest.rpartition("/")
        return self._roots[layer], folder, leaf


def _direct(stream: BinaryIO) -> pa.NativeFile:
    """The same file, read by Arrow itself: one of its threads may let go of a Python file when the
    interpreter ends already, which aborts a command that did all it should (apache/arrow#34314)."""
    return pa.OSFile(f"/proc/self/fd/{stream.fileno()}")
