"""Replaces stdout and stderr by streams whose writes never fail, even if a disk is full, a pipe is closed
or a terminal no longer exists."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Any


class LossyStream:
    """A wrapper of a text stream. Writing to it never raises an error; output that cannot be written is
    lost."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._before: Any = None

    def reopen_after_fork(self) -> None:
        """Replace the wrapped stream in a forked child by a new stream with the same descriptor.

        Another thread may have held the lock of the stream's buffer during the fork. In the child, this
        lock would never be released. Output that is in the buffer is written by the parent only.
        """
        with suppress(OSError, ValueError, AttributeError):
            number, encoding = self._stream.fileno(), self._stream.encoding
            self._before = self._stream  # keep a reference: its finalizer would wait for the lock
            self._stream = open(  # noqa: SIM115
                number, "w", 1, encoding=encoding, errors=self._stream.errors, closefd=False
            )

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):  # ValueError: the stream is closed
            self._stream.write(text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def install() -> None:
    """Replace stdout and stderr of this process by instances of `LossyStream`. Idempotent.

    A standard descriptor (0, 1 or 2) that is closed is opened on /dev/null. Otherwise the next file or
    socket that is opened would get its number, and output would be written to this file or socket.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # open uses the lowest free number
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, LossyStream):
            continue
        steady = LossyStream(open(os.devnull, "w") if stream is None else stream)  # noqa: PTH123, SIM115
        os.register_at_fork(after_in_child=steady.reopen_after_fork)
        setattr(sys, name, steady)
        setattr(sys, f"__{name}__", steady)
