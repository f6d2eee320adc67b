"""Replaces stdout by a stream that either writes all bytes or raises an error.

Without a buffer (PYTHONUNBUFFERED, as in containers and systemd units), Python's stdout calls write(2) once
and ignores how many bytes were written. A full disk, a pipe whose reader closes it and a non-blocking pipe
accept only a part of the bytes.
"""

from __future__ import annotations

import io
import os
import select
import sys
from typing import Any


class IncompleteOutput(OSError):
    """Stdout did not accept all bytes. The errno is that of write(2)."""

    def __str__(self) -> str:
        from sensorflow.disk import explained

        reason = explained(OSError(self.errno, self.strerror)) or self.strerror
        return f"the output is incomplete: {reason}"


class CompleteWriter(io.RawIOBase):
    """An unbuffered stream to a descriptor. `write` writes all bytes, and waits if the descriptor is
    non-blocking and accepts no more bytes. Raises IncompleteOutput."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._is_discarding = False

    def discard(self) -> None:
        """Ignore all further bytes, such as those that a buffer still holds after an error."""
        self._is_discarding = True

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        done = len(view) if self._is_discarding else 0
        while done < len(view):
            try:
                done += os.write(self._descriptor, view[done:])
            except BlockingIOError:
                self._wait()
            except OSError as error:
                raise IncompleteOutput(error.errno, error.strerror) from error
        return len(view)

    def _wait(self) -> None:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        poll.poll()

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        return True


def install() -> None:
    """Replace sys.stdout, with the same encoding and buffering. Idempotent. Leaves a stream alone that is
    not Python's own, such as one that captures output.

    If stdout is closed, output to it is an error, and its descriptor is opened on /dev/null. Otherwise the
    next file or socket would get this descriptor.
    """
    stream = sys.stdout
    if stream is None:
        while os.open(os.devnull, os.O_RDWR) < 1:  # open uses the lowest free number
            pass
        sys.stdout = io.TextIOWrapper(io.BufferedWriter(CompleteWriter(-1)), encoding="utf-8")
        return
    if type(stream) is not io.TextIOWrapper:
        return
    raw = getattr(stream.buffer, "raw", stream.buffer)
    if not isinstance(raw, io.FileIO) or raw.closed or raw.fileno() != 1:
        return
    stream.flush()
    writer = CompleteWriter(1)
    sys.stdout = io.TextIOWrapper(
        writer if raw is stream.buffer else io.BufferedWriter(writer),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def discard() -> None:
    """Discard output that sys.stdout could not write, so that Python does not try again when it exits."""
    buffer = getattr(sys.stdout, "buffer", None)
    raw = getattr(buffer, "raw", buffer)
    if isinstance(raw, CompleteWriter):
        raw.discard()
