"""Reads an object of a bucket by requests for ranges."""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future

from sensorflow.adapters.objects import request_threads

FIRST_BYTES = 1 << 20
"""Size of the first range. An object that is not larger takes one request."""
RANGE_BYTES = 4 << 20
RANGES_AHEAD = 4
"""Number of requests in flight while an object is read from start to end. A reader holds at most
RANGES_AHEAD + 1 ranges in memory."""
SEQUENTIAL_BYTES = 256 << 10
"""Number of bytes that must be read one after the other until further ranges are requested ahead."""
BUFFER_BYTES = 64 << 10
"""Size of the smallest request, for random reads."""

Fetch = Callable[[int, int], "memoryview"]
"""A function that returns the bytes from one offset up to another one."""


def open_reader(fetch: Fetch, first: memoryview, size: int) -> io.BufferedReader:
    """Return a seekable reader of an object. first: the bytes at its start. size: size in bytes."""
    return io.BufferedReader(_RangeReader(fetch, first, size), BUFFER_BYTES)


class _RangeReader(io.RawIOBase):
    """Reads small ranges if the reads jump, and keeps `RANGES_AHEAD` ranges in flight if they do not."""

    def __init__(self, fetch: Fetch, first: memoryview, size: int) -> None:
        self._fetch, self._size = fetch, size
        self._position = 0
        self._run = 0  # bytes read one after the other since the last jump
        self._held_from, self._held = 0, first
        self._ahead: deque[tuple[int, int, Future[memoryview]]] = deque()
        self._pid = os.getpid()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError("negative position")
        if start + offset != self._position:
            self._position, self._run = start + offset, 0
        return self._position

    def readall(self) -> bytes:
        block = bytearray(max(0, self._size - self._position))
        self.readinto(block)
        return bytes(block)

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        target = memoryview(buffer).cast("B")
        end = min(self._position + len(target), self._size)
        count = max(0, end - self._position)
        done = 0
        while done < count:
            part = self._at(self._position + done, end)[: count - done]
            target[done : done + len(part)] = part
            done += len(part)
        self._position += count
        self._run += count
        return count

    def close(self) -> None:
        self._drop()
        self._held = memoryview(b"")
        super().close()

    def _at(self, position: int, end: int) -> memoryview:
        """Return some bytes at a position. end: the caller wants the bytes up to this offset."""
        if self._pid != os.getpid():  # no thread of the parent process completes its requests
            self._ahead.clear()
            self._pid = os.getpid()
        is_sequential = self._run >= SEQUENTIAL_BYTES
        limit = self._size if is_sequential else end
        if not self._holds(position):
            self._move_to(position, end, limit)
        if is_sequential:
            self._request(limit)
        return self._held[position - self._held_from :]

    def _holds(self, position: int) -> bool:
        return self._held_from <= position < self._held_from + len(self._held)

    def _move_to(self, position: int, end: int, limit: int) -> None:
        """Hold the bytes at a position."""
        if not (self._ahead and self._ahead[0][0] <= position < self._ahead[0][1]):
            self._drop()
            if limit - position <= RANGE_BYTES:
                last = min(self._size, max(end, position + BUFFER_BYTES))
                self._held = self._fetch(position, last)
                self._held_from = position
                return
            self._held_from, self._held = position, memoryview(b"")
            self._request(limit)
        start, last, future = self._ahead.popleft()
        self._held_from, self._held = start, memoryview(b"")
        try:
            # what has not begun waits for busy threads, perhaps with objects that wait for these bytes
            self._held = self._fetch(start, last) if future.cancel() else future.result()
        except BaseException:
            self._drop()
            raise
        self._request(limit)

    def _request(self, limit: int) -> None:
        """Request further ranges up to an offset."""
        last = self._ahead[-1][1] if self._ahead else self._held_from + len(self._held)
        while last < limit and len(self._ahead) < RANGES_AHEAD:
            start, last = last, min(last + RANGE_BYTES, limit)
            self._ahead.append((start, last, request_threads.submit(self._fetch, start, last)))

    def _drop(self) -> None:
        for _, _, future in self._ahead:
            future.cancel()
        self._ahead.clear()
