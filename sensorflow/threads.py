"""Starts threads in such a way that the caller never waits forever. Also detects that memory or threads
are exhausted."""

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

START_TIMEOUT_SECONDS = 30.0
"""Seconds within which a new thread must begin to run. After this time, the start counts as failed."""
PROBE_BYTES = 256 << 20
"""Number of bytes that are requested from the host to test whether it has memory."""
STACK_BYTES = 16 << 20
"""Number of bytes that are requested to test whether this process can get memory for a new thread. A
thread needs less."""


class Handle:
    """A thread that `start` has started."""

    def __init__(self) -> None:
        self._done = threading.Event()

    @property
    def is_alive(self) -> bool:
        return not self._done.is_set()

    def join(self, seconds: float | None = None) -> None:
        self._done.wait(seconds)


def start(work: Callable[[], None]) -> Handle:
    """Run `work` in a new daemon thread.

    Raises Transient HOST if the host refuses the thread, and MemoryError if this process has reached its
    own memory limit.

    `threading.Thread.start` is not used. It waits until the new thread runs, and would wait forever if the
    thread cannot allocate memory for its first object.
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
        if _process_limit_reached() and _host_has_memory():
            raise MemoryError("no memory left to start a thread") from error
        raise Transient(
            Code.HOST, f"the operating system refuses to start a thread: {error}"
        ) from error
    if not begun.wait(START_TIMEOUT_SECONDS):
        raise Transient(Code.HOST, f"a thread has not begun after {START_TIMEOUT_SECONDS:g} s")
    return handle


def exhaustion_in(error: BaseException) -> BaseException | None:
    """Return whichever of `error` and its direct cause reports a lack of memory, threads or processes;
    None if neither does."""
    if isinstance(error, BlockingIOError):  # EAGAIN from fork; as a cause it may come from a socket
        return error
    return next((e for e in (error, error.__cause__) if e is not None and _is_exhaustion(e)), None)


def _is_exhaustion(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError) or _is_thread_failure(error) or _is_mapping_failure(error)


def _is_mapping_failure(error: BaseException) -> bool:
    """Return whether an import failed because there was no memory to load a shared library."""
    texts = ("failed to map segment", "cannot allocate memory", "cannot create shared object")
    return isinstance(error, ImportError) and any(t in str(error).lower() for t in texts)


def _is_thread_failure(error: BaseException) -> bool:
    """Return whether the error reports that Python or Arrow could not start a thread."""
    texts = ("can't start new thread", "Failed to launch worker thread")
    return any(text in str(error) for text in texts)


def host_refusal(error: BaseException) -> str | None:
    """Return a text that says what the host refuses, if the host caused the error; None if the file caused
    it. error: an error that `exhaustion_in` has returned.

    The file is the cause if the host can still provide memory and the error does not report a lack of
    threads or processes, or if this process has reached its own memory limit. Before the memory is tested,
    the local variables in the traceback of the error are cleared, so that their memory is free again.
    """
    full = _process_limit_reached()
    traceback.clear_frames(error.__traceback__)
    gc.collect()
    if not _host_has_memory():
        return f"the host refuses {PROBE_BYTES >> 20} MiB of memory"
    counted = _is_thread_failure(error) or isinstance(error, BlockingIOError)
    return "the host refuses a thread or a process" if counted and not full else None


def _host_has_memory() -> bool:
    """Return whether the host has memory. The test requests shared memory, because the limit on the
    private memory of a process (`max_memory`) does not apply to it."""
    with suppress(OSError):
        mmap.mmap(-1, PROBE_BYTES).close()
        return True
    return False


def _process_limit_reached() -> bool:
    """Return whether this process has reached its memory limit, that is, cannot get private memory for a
    new thread."""
    with suppress(OSError):
        mmap.mmap(-1, STACK_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
        return False
    return True
