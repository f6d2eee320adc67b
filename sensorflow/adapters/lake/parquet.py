"""The lake in a local folder: Parquet, zstd level 1, dictionaries on the columns that repeat."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sensorflow.adapters.files import (
    below,
    open_below,
    require,
    settle,
    storage_errors,
    temporary,
    unfinished,
)
from sensorflow.core.partitions import Layer
from sensorflow.ports import LayerWriter, Unreadable

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
        root, folder, leaf = self._place(path)
        with storage_errors(), below(root, folder) as place, temporary(place) as (stream, name):
            parquet = pq.ParquetWriter(
                stream,
                schema,
                compression="zstd",
                compression_level=1,
                use_dictionary=[n for n in schema.names if n in REPEATING],
            )
            with parquet:
                yield _Writer(parquet)
            settle(stream, name, place / leaf)

    def read(self, path: str) -> Iterator[pa.RecordBatch]:
        root, folder, leaf = self._place(path)
        with (
            storage_errors(),
            open_below(root, f"{folder}/{leaf}") as stream,
            pq.ParquetFile(stream) as file,
        ):
            yield from file.iter_batches(ROWS, use_threads=False)

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
        place = self._root / path
        with storage_errors():
            try:
                return int(pq.read_metadata(place).num_rows)
            except FileNotFoundError:
                require(self._root / path.partition("/")[0])
                return None
            except (pa.ArrowException, OSError) as error:  # Arrow says OSError of broken bytes too
                if isinstance(error, OSError) and error.errno is not None:
                    raise
                raise Unreadable(f"{path}: {error}") from error

    def unfinished(self, older: float) -> list[str]:
        return [
            f"{layer}/{name}" for layer in Layer for name in unfinished(self._root / layer, older)
        ]

    def _place(self, path: str) -> tuple[Path, Path, str]:
        """A layer's folder, which may be a link to another disk; what is below it; the file's name."""
        layer, *folders, leaf = Path(path).parts
        return self._root / layer, Path(*folders), leaf
