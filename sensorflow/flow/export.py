"""Write a stream of Arrow batches to a file: CSV, JSON lines, Parquet or Arrow."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable
from typing import BinaryIO, Literal, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from sensorflow.core.output import lines
from sensorflow.escaping import escape, to_json

FORMATS = ("csv", "parquet", "json", "arrow")
BINARY = ("parquet", "arrow")
ENDINGS = {
    "jsonl": "json",
    "ndjson": "json",
    "pq": "parquet",
    "arrows": "arrow",
    "feather": "arrow",
}
"""Endings of file names that select a format, in addition to the formats themselves."""
GROUP_ROWS, GROUP_BYTES = 262_144, 2**25
"""A row group of Parquet ends as soon as it has this number of rows or bytes."""


class Output(io.RawIOBase):
    """A stream that counts and hashes the bytes that are written to it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._sha256, self.size = stream, hashlib.sha256(), 0

    def writable(self) -> bool:
        return True

    def write(self, data: bytes | memoryview) -> int:  # type: ignore[override]
        view = memoryview(data).cast("B")
        self._sha256.update(view)
        done = 0
        while done < len(view):  # an unbuffered stream may write only a part
            done += self._stream.write(view[done:])
        self.size += done
        return done

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()


class Writer(Protocol):
    """Writes batches in one format. `close` writes the end of the file, and does not close the stream."""

    def write_batch(self, batch: pa.RecordBatch) -> None: ...

    def close(self) -> None: ...


class _Lines:
    def __init__(self, output: Output, head: bytes, of: Callable[[pa.RecordBatch], pa.Buffer]):
        self._output, self._of = output, of
        output.write(head)

    def write_batch(self, batch: pa.RecordBatch) -> None:
        self._output.write(memoryview(self._of(batch)))

    def close(self) -> None:
        pass


class _Parquet:
    """Collects batches to row groups."""

    def __init__(self, output: Output, schema: pa.Schema) -> None:
        texts = [field.name for field in schema if pa.types.is_string(field.type)]
        self._writer = pq.ParquetWriter(
            output, schema, compression="zstd", compression_level=1, use_dictionary=texts
        )
        self._group: list[pa.RecordBatch] = []

    def write_batch(self, batch: pa.RecordBatch) -> None:
        self._group.append(batch)
        rows = sum(len(b) for b in self._group)
        if rows >= GROUP_ROWS or sum(b.nbytes for b in self._group) >= GROUP_BYTES:
            self._write_group()

    def close(self) -> None:
        if self._group:
            self._write_group()
        self._writer.close()

    def _write_group(self) -> None:
        self._writer.write_table(pa.Table.from_batches(self._group))
        self._group.clear()


def writer(
    kind: str, output: Output, schema: pa.Schema, target: Literal["file", "pipe", "terminal"]
) -> Writer:
    """Return the writer of a format of `FORMATS`.

    target: what the output is. On a terminal, control characters in strings are escaped; otherwise strings
    are written unchanged. In the format "arrow", a file has the IPC file format, and a pipe the IPC
    streaming format.
    """
    if kind == "csv":

        def cell(text: str) -> str:
            return lines.csv_cell(escape(text) if target == "terminal" else text)

        return _Lines(output, lines.csv_head(schema, cell), lambda b: lines.csv(b, cell))
    if kind == "json":
        return _Lines(output, b"", lambda b: lines.json(b, to_json))
    if kind == "parquet":
        return _Parquet(output, schema)
    arrow: Writer = (pa.ipc.new_file if target == "file" else pa.ipc.new_stream)(output, schema)
    return arrow


def write(target: Writer, batches: Iterable[pa.RecordBatch]) -> int:
    """Write all batches. Returns the number of rows."""
    rows = 0
    for batch in batches:
        target.write_batch(batch)
        rows += len(batch)
    target.close()
    return rows
