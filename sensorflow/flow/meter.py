"""The progress of a stage that reads a file. The thread that does the work updates it, and the thread that
renews the lease reads it."""

from __future__ import annotations

import io
import os
from contextlib import suppress
from typing import BinaryIO

from sensorflow.ports.claims import ReadSoFar


class Meter:
    """Measures the progress of one claimed file. It never reads from the file's stream: the kernel, or the
    copy in memory, knows the position of the stream."""

    __slots__ = ("_size", "_stream", "_total", "rows")

    def __init__(self) -> None:
        self.rows = 0
        self._size = self._total = 0
        self._stream: BinaryIO | None = None

    def begin(self, size: int, stream: BinaryIO) -> None:
        """Record that a stage begins to read the landed bytes of the file. size: number of these bytes.
        stream: the stream that the stage reads."""
        self.rows, self._size, self._total, self._stream = 0, size, 0, stream

    def begin_rows(self, size: int, total: int) -> None:
        """Record that a stage begins to read the rows that an earlier stage has written. size: number of
        landed bytes of the file. total: number of these rows."""
        self.rows, self._size, self._total, self._stream = 0, size, total, None

    def read(self) -> ReadSoFar | None:
        """Returns the progress so far; None if no stage has begun. Its `bytes` are None if unknown. If the
        stage reads rows of an earlier stage, they are the bytes of the file multiplied by the share of rows
        that were read."""
        if not self._size:
            return None
        rows, total = self.rows, self._total
        if total:
            return ReadSoFar(self._size * min(rows, total) // total, rows)
        return ReadSoFar(self._position(), rows)

    def _position(self) -> int | None:
        if self._stream is None:
            return None
        with suppress(OSError, ValueError):  # it is closed, or no file of this host
            if isinstance(self._stream, io.BytesIO):
                return min(self._size, self._stream.tell())
            return min(self._size, os.lseek(self._stream.fileno(), 0, os.SEEK_CUR))
        return None
