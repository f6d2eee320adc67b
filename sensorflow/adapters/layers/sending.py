"""Puts an object into a store while it is still being written."""

from __future__ import annotations

import io
import os
import tempfile
from concurrent.futures import Future
from contextlib import suppress
from threading import Condition
from typing import IO

from sensorflow.adapters.objects import request_threads
from sensorflow.ports.objects import Puts

MEMORY = 8 << 20
"""Size in bytes up to which an object is in memory, and is put when it is complete. A larger one is in a
temporary file, and its start is sent while the rest is written."""


class Sending(io.RawIOBase):
    """A stream for the bytes of an object. The object is put when the context ends, unless it ends with an
    exception. Methods raise as `Puts.put` and `OSError`; `write` reports a failed request early.

    The writer never waits for the store: its speed does not limit the one of other work in this process.
    """

    def __init__(self, puts: Puts, name: str) -> None:
        self._puts, self._name = puts, name
        self._start = io.BytesIO()
        self._file: IO[bytes] | None = None
        self._sent: Future[str] | None = None
        self._changed = Condition()
        self._written, self._read = 0, 0
        self._is_complete = self._is_abandoned = False

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._written

    def write(self, data: bytes | memoryview, /) -> int:  # type: ignore[override]
        if self._sent is not None and self._sent.done():
            self._sent.result()  # raises
        count = memoryview(data).nbytes
        stream = self._file or self._start
        stream.write(data)
        stream.flush()  # for `_next`, which reads by the descriptor
        with self._changed:
            self._written += count
            self._changed.notify()
        if self._file is None and self._written > MEMORY:
            self._send_meanwhile()
        return count

    def _send_meanwhile(self) -> None:
        file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `__exit__`
        file.write(self._start.getbuffer())
        file.flush()
        self._file, self._start = file, io.BytesIO()
        self._sent = request_threads.submit(self._puts.put, self._name, _Written(self))

    def _next(self, size: int) -> bytes:
        """Return the next bytes for the store; b"" at the end. Waits until there are some; if the size is
        negative, until there are all."""
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    self._is_complete
                    or self._is_abandoned
                    or (size >= 0 and self._read < self._written)
                )
            )
            if self._is_abandoned:
                raise _AbandonedError
            available = self._written - self._read
        assert self._file is not None
        block = os.pread(
            self._file.fileno(), min(size, available) if size >= 0 else available, self._read
        )
        self._read += len(block)
        return block

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            with self._changed:
                self._is_complete, self._is_abandoned = kind is None, kind is not None
                self._changed.notify()
            if self._sent is not None:
                self._wait(self._sent)
            elif kind is None:
                self._start.seek(0)
                self._puts.put(self._name, self._start)
        finally:
            if self._file is not None:
                self._file.close()
            self.close()

    def _wait(self, sent: Future[str]) -> None:
        if self._is_abandoned:
            if not sent.cancel():
                with suppress(Exception):
                    sent.result()
        elif sent.cancel():  # all threads are busy
            self._puts.put(self._name, _Written(self))
        else:
            sent.result()


class _AbandonedError(Exception):
    """The writer of the object has failed."""


class _Written:
    """The bytes of a `Sending`, as a reader for the store."""

    def __init__(self, sending: Sending) -> None:
        self._sending = sending

    def read(self, size: int = -1, /) -> bytes:
        return self._sending._next(size)
