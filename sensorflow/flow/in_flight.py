"""Does the same work for many items, several at a time, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

WAITING_PER_THREAD = 4
"""Number of items per thread that are taken from the iterable in advance, so that a slow item does not stop
the other threads."""


def in_flight(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    threads: int,
    waiting_per_thread: int = WAITING_PER_THREAD,
) -> Iterator[Result]:
    """Yield the result of `work` for each item, in the order of the items. Exceptions of `work` and of the
    iterable propagate, after the work that has begun has ended; the rest is cancelled.

    threads: the number of items that are worked on at the same time. At most threads * waiting_per_thread
    results are in memory.
    """
    begun: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                if len(begun) >= threads * waiting_per_thread:
                    yield begun.popleft().result()
                begun.append(pool.submit(work, item))
            while begun:
                yield begun.popleft().result()
        finally:
            for future in begun:
                future.cancel()
