"""How far a stage has read a file. The working thread writes it, and the thread that renews the
lease reads it."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import BinaryIO

from sensorflow.ports.claims import ReadSoFar


class Meter:
    """Measures one claimed file, which it never touches itself: the kernel knows the position of
    its stream."""

    __slots__ = ("_size", "_stream", "_total", "rows")

    def __init__(self) -> None:
        self.rows = 0
        self._size = self._total = 0
        self._stream: BinaryIO | None = None

    def begin(self, size: int, stream: BinaryIO) -> None:
        """A stage begins to read the `size` landed bytes of the file from a stream."""
        self.rows, self._size, self._total, self._stream = 0, size, 0, stream

    def begin_rows(self, size: int, total: int) -> None:
        """A stage begins to read the `total` rows that an earlier stage has made of the file."""
        self.rows, self._size, self._total, self._stream = 0, size, total, None

    def read(self) -> ReadSoFar | None:
        """Returns what was read so far; None if no stage has begun. bytes: None if unknown. Rows of
        an earlier stage count as the same share of the file's bytes."""
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
            return min(self._size, os.lseek(self._stream.fileno(), 0, os.SEEK_CUR))
        return None
