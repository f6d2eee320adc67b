"""Threads that send requests to buckets in parallel. Each process has its own.

They are daemon threads, so that a process ends although a provider does not answer.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from queue import SimpleQueue
from typing import Any, TypeVar

from sensorflow import threads
from sensorflow.errors import Transient

T = TypeVar("T")

THREADS = 16
"""Maximum number of threads of a process, for all buckets together."""
EXIT_SECONDS = 5.0
"""At the end of the process, requests in flight have this many seconds to complete."""


class _Pool:
    def __init__(self) -> None:
        self._queue: SimpleQueue[tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]] = (
            SimpleQueue()
        )
        self._idle = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._threads = 0
        self.running = 0

    def submit(self, work: Callable[..., T], arguments: tuple[Any, ...]) -> Future[T]:
        future: Future[T] = Future()
        self._queue.put((future, work, arguments))
        if not self._idle.acquire(blocking=False):
            try:
                self._start()
            except (Transient, MemoryError):
                if self._threads == 0:
                    future.cancel()
                    raise
        return future

    def _start(self) -> None:
        with self._lock:
            if self._threads < THREADS:
                threads.start(self._work)
                self._threads += 1

    def _work(self) -> None:
        while True:
            future, work, arguments = self._queue.get()
            if future.set_running_or_notify_cancel():
                self._run(future, work, arguments)
            del future, work, arguments  # an idle thread must not hold what was read
            self._idle.release()

    def _run(
        self, future: Future[Any], work: Callable[..., Any], arguments: tuple[Any, ...]
    ) -> None:
        with self._lock:
            self.running += 1
        try:
            future.set_result(work(*arguments))
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits for the result
            future.set_exception(error)
        finally:
            with self._lock:
                self.running -= 1


_pool = _Pool()


def submit(work: Callable[..., T], *arguments: Any) -> Future[T]:
    """Call a function in another thread. Raises Transient HOST if the host refuses the first thread, and
    MemoryError if this process has reached its memory limit."""
    return _pool.submit(work, arguments)


def run_all(work: Callable[..., Any], each: Iterable[tuple[Any, ...]]) -> None:
    """Call a function with each tuple of arguments, in parallel. If a call raises, calls that have not
    begun are cancelled, and the exception is raised after all others have ended."""
    futures = [submit(work, *arguments) for arguments in each]
    _, waiting = wait(futures, return_when=FIRST_EXCEPTION)
    for future in waiting:
        future.cancel()
    wait(waiting)
    for future in futures:
        if not future.cancelled():
            future.result()


def _forget() -> None:
    """In a forked child, which does not have the threads of its parent."""
    global _pool
    _pool = _Pool()


def _finish() -> None:
    """Wait for requests in flight: obstore does not expect that the interpreter ends during a request."""
    deadline = time.monotonic() + EXIT_SECONDS
    while _pool.running and time.monotonic() < deadline:
        time.sleep(0.01)


os.register_at_fork(after_in_child=_forget)
atexit.register(_finish)
