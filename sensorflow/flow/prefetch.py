"""Prefetch: produce the next items while the caller uses the current one."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Generator, Iterable
from typing import Any, TypeVar

from sensorflow import threads

T = TypeVar("T")

_END = object()
_INTERRUPT_SECONDS = 0.1
"""Seconds between two calls that interrupt an abandoned source."""


def available_cores() -> int:
    """Returns the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def prefetch(
    source: Iterable[T], count: int = 2, interrupt: Callable[[], object] = lambda: None
) -> Generator[T, None, None]:
    """Iterate over `source` in a separate thread, which prefetches at most `count` items and then produces
    one more.

    An exception of the source is raised after the items that the source produced before. If the iteration
    is abandoned, the source is closed. interrupt: called repeatedly until then, to end a wait of the
    source. Raises Transient HOST if no thread can be started.
    """
    ready: queue.Queue[Any] = queue.Queue(count)
    abandoned = threading.Event()

    def offer(item: object) -> bool:
        while not abandoned.is_set():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def produce() -> None:
        items = iter(source)
        try:
            for item in items:
                if not offer((item, None)):
                    return
            offer((_END, None))
        except BaseException as error:  # noqa: BLE001 - it is raised where the items are used
            offer((_END, error))
        finally:
            if close := getattr(items, "close", None):
                close()

    thread, is_complete = threads.start(produce), False
    try:
        while True:
            item, error = ready.get()
            is_complete = item is _END
            if error is not None:
                raise error
            if is_complete:
                return
            yield item
    finally:
        abandoned.set()
        while thread.is_alive and not is_complete:
            interrupt()
            thread.join(_INTERRUPT_SECONDS)
        thread.join()
