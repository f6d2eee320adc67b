"""Writes and reads the Parquet files of the lake. The files use zstd level 1, dictionaries for repetitive
columns and delta encoding for increasing columns. They have statistics of the time column, with which
readers skip row groups.

Files of a few rows use neither compression nor these encodings, because that would save less than a disk
block.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from sensorflow.core.formats.parquet import batches
from sensorflow.memory import trimming_heap
from sensorflow.ports.layers import Unreadable

ROWS = 32768
REPEATING = ("sensor_id", "reading_type", "unit", "column", "code")
DELTA_ENCODED = ("ts", "line_no")
SMALL_BATCH_ROWS = 2048
"""A file whose first batch has fewer rows than this is assumed to have only this batch."""


class RowWriter:
    """Writes the rows of a file as Parquet to a stream. See `ports.layers.LayerWriter`."""

    def __init__(self, stream: BinaryIO, schema: pa.Schema) -> None:
        self._stream, self._schema = stream, schema
        self._parquet: pq.ParquetWriter | None = None

    def write(self, batch: pa.RecordBatch) -> None:
        if self._parquet is None:
            self._parquet = self._new_writer(len(batch) < SMALL_BATCH_ROWS)
        self._parquet.write_batch(batch)

    def finish(self) -> None:
        """Write the end of the Parquet file. The stream stays open."""
        (self._parquet or self._new_writer(is_small=True)).close()

    def _new_writer(self, is_small: bool) -> pq.ParquetWriter:
        repeating = [n for n in self._schema.names if n in REPEATING]
        packed: dict[str, Any] = {"compression": "zstd", "compression_level": 1}
        climbing = [n for n in self._schema.names if n in DELTA_ENCODED]
        packed |= {"use_dictionary": repeating, "write_statistics": ["ts"]}
        packed |= {"column_encoding": dict.fromkeys(climbing, "DELTA_BINARY_PACKED")}
        plain = {"compression": "none", "use_dictionary": False, "write_statistics": False}
        return pq.ParquetWriter(self._stream, self._schema, **(plain if is_small else packed))


def read_rows(stream: BinaryIO) -> Iterator[pa.RecordBatch]:
    """Yield the rows of an open local file in batches.

    Arrow reads from the same open file by its descriptor. If Arrow used the Python file, Arrow's threads
    could release the file while the interpreter shuts down. This would abort a successful command
    (apache/arrow#34314).
    """
    with pq.ParquetFile(pa.OSFile(f"/proc/self/fd/{stream.fileno()}")) as parquet:
        yield from trimming_heap(batches(parquet, ROWS))


def count_rows(stream: BinaryIO, path: str) -> int:
    """Return the number of rows, from the end of a Parquet file. Raises Unreadable, with `path` in its
    message, if the file is damaged or incomplete. Errors of the stream propagate."""
    try:
        return int(pq.read_metadata(stream).num_rows)
    except (pa.ArrowException, OSError) as error:  # Arrow raises OSError for damaged data too
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise Unreadable(f"{path}: {error}") from error
