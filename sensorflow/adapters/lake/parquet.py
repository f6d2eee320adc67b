"""The lake in a local folder: Parquet, zstd level 1, dictionaries on the columns that repeat."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sensorflow.adapters.files import make_folders, settle, storage_errors, temporary
from sensorflow.ports import LayerWriter

ROWS = 65536
REPEATING = ("sensor_id", "reading_type", "unit", "quality", "ordinal", "column", "code")


class _Writer:
    def __init__(self, parquet: pq.ParquetWriter) -> None:
        self._parquet = parquet

    def write(self, batch: pa.RecordBatch) -> None:
        self._parquet.write_batch(batch)


class LocalLake:
    """See `ports.Lake`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @contextmanager
    def writer(self, path: str, schema: pa.Schema) -> Iterator[LayerWriter]:
        final = self._root / path
        with storage_errors():
            make_folders(final.parent)
            with temporary(final.parent) as (stream, name):
                parquet = pq.ParquetWriter(
                    stream,
                    schema,
                    compression="zstd",
                    compression_level=1,
                    use_dictionary=[n for n in schema.names if n in REPEATING],
                )
                with parquet:
                    yield _Writer(parquet)
                settle(stream, name, final)

    def read(self, path: str) -> Iterator[pa.RecordBatch]:
        with storage_errors(), pq.ParquetFile(self._root / path) as file:
            yield from file.iter_batches(ROWS, use_threads=False)

    def remove(self, path: str) -> None:
        with storage_errors():
            (self._root / path).unlink(missing_ok=True)
