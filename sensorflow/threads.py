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
STACK = 16 << 20
"""Bytes that a thread needs, and some more."""


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
    """Run `work` in a thread of its own, which does not keep the process. Raises Transient HOST, or
    MemoryError where it is this process that has used up what it may.

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
        if _full() and _given():
            raise MemoryError("no memory left to start a thread") from error
        raise Transient(
            Code.HOST, f"the operating system refuses to start a thread: {error}"
        ) from error
    if not begun.wait(PATIENCE):
        raise Transient(Code.HOST, f"a thread has not begun after {PATIENCE:g} s")
    return handle


def lack(error: BaseException) -> BaseException | None:
    """The lack of memory, threads or processes that an error is, or was caused by."""
    if isinstance(error, BlockingIOError):  # EAGAIN, as a fork says; of a socket it is no cause
        return error
    return next((e for e in (error, error.__cause__) if e is not None and _lacks(e)), None)


def _lacks(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError) or _threadless(error) or _unmapped(error)


def _unmapped(error: BaseException) -> bool:
    """A library that is loaded at its first use, in the words of the dynamic loader."""
    texts = ("failed to map segment", "cannot allocate memory", "cannot create shared object")
    return isinstance(error, ImportError) and any(t in str(error).lower() for t in texts)


def _threadless(error: BaseException) -> bool:
    """As Python says it, and as Arrow does of the threads of its pool."""
    texts = ("can't start new thread", "Failed to launch worker thread")
    return any(text in str(error) for text in texts)


def refused(error: BaseException) -> str | None:
    """Why the host, and not a file, is to blame for a `lack`.

    Whoever asked for too much is to blame himself, while others would still be given it. The memory of
    the error's frames is given back first.
    """
    full = _full()
    traceback.clear_frames(error.__traceback__)
    gc.collect()
    if not _given():
        return f"the host refuses {SPARE >> 20} MiB of memory"
    counted = _threadless(error) or isinstance(error, BlockingIOError)
    return "the host refuses a thread or a process" if counted and not full else None


def _given() -> bool:
    """Whether the host gives memory: shared, which the limit that is the file's does not count."""
    with suppress(OSError):
        mmap.mmap(-1, SPARE).close()
        return True
    return False


def _full() -> bool:
    """Whether this process may not even have memory of its own for a thread."""
    with suppress(OSError):
        mmap.mmap(-1, STACK, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
        return False
    return True
