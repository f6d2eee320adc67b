"""Threads that are started, or refused: never waited for without end."""

from __future__ import annotations

import _thread
import errno
import gc
import mmap
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress

from sensorflow.errors import Code, Transient

PATIENCE = 30.0
"""Seconds until a thread that was made must have begun."""
SPARE = 256 << 20
"""Bytes of address space that a host in good health can give."""


class Handle:
    """A thread that has begun."""

    def __init__(self) -> None:
        self._done = threading.Event()

    @property
    def alive(self) -> bool:
        return not self._done.is_set()

    def join(self, seconds: float | None = None) -> None:
        self._done.wait(seconds)


def start(work: Callable[[], None]) -> Handle:
    """Run `work` in a thread of its own, which does not keep the process. Raises Transient HOST.

    `Thread.start` waits until the thread has begun; one that the kernel made, and that then found no
    memory for its first object, never does.
    """
    handle, begun = Handle(), threading.Event()

    def run() -> None:
        begun.set()
        try:
            work()
        finally:
            handle._done.set()

    try:
        _thread.start_new_thread(run, ())
    except (RuntimeError, MemoryError) as error:
        raise Transient(Code.HOST, f"the host refuses a thread: {error}") from error
    if not begun.wait(PATIENCE):
        raise Transient(Code.HOST, f"a thread has not begun after {PATIENCE:g} s")
    return handle


def refused(error: BaseException) -> str | None:
    """Why the host, and not a file, is to blame for an error: it has no memory or no threads left.

    Whoever asked for too much is to blame himself, while others would still be given it. The memory of
    the error's frames is given back first.
    """
    if isinstance(error, RuntimeError) and "can't start new thread" in str(error):
        return "the host refuses a thread"
    if isinstance(error, OSError) and error.errno in (errno.ENOMEM, errno.EAGAIN):
        return f"the host refuses memory or processes: {error.strerror}"
    if isinstance(error, MemoryError):
        traceback.clear_frames(error.__traceback__)
        gc.collect()
        with suppress(OSError):
            mmap.mmap(-1, SPARE).close()  # shared: not counted by the limit that is the file's
            return None
        return f"the host refuses {SPARE >> 20} MiB of memory"
    return None
