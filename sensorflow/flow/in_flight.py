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
    work: Callable[[Item], Result], items: Iterable[Item], threads: int
) -> Iterator[Result]:
    """Yield the result of `work` for each item, in the order of the items. Exceptions of `work` and of the
    iterable propagate, after the work that has begun has ended. threads: the number of items that are
    worked on at the same time."""
    with ThreadPoolExecutor(threads) as pool:
        begun: deque[Future[Result]] = deque()
        for item in items:
            if len(begun) >= threads * WAITING_PER_THREAD:
                yield begun.popleft().result()
            begun.append(pool.submit(work, item))
        while begun:
            yield begun.popleft().result()
