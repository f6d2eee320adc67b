"""Send requests to a store in parallel if the store is not on this host."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

REQUESTS = 16
"""Maximum number of requests in flight."""
SLOW_SECONDS = 0.002
"""A request that takes longer leaves the processor idle."""

T = TypeVar("T")
R = TypeVar("R")


def each(ask: Callable[[T], R], items: Iterable[T]) -> Iterator[tuple[T, R]]:
    """Yield each item with the result of `ask`, in order. Exceptions of `ask` propagate.

    The first calls are made one after the other. As soon as one of them is slow, the others are made by
    threads. At most 2 * `REQUESTS` results are in memory.
    """
    remaining = iter(items)
    for item in remaining:
        began = time.monotonic()
        result = ask(item)
        is_slow = time.monotonic() - began > SLOW_SECONDS
        yield item, result
        if is_slow:
            yield from _by_threads(ask, remaining)


def _by_threads(ask: Callable[[T], R], items: Iterator[T]) -> Iterator[tuple[T, R]]:
    ahead: deque[tuple[T, Future[R]]] = deque()
    with ThreadPoolExecutor(REQUESTS) as threads:
        try:
            for item in items:
                ahead.append((item, threads.submit(ask, item)))
                if len(ahead) == 2 * REQUESTS:
                    first, future = ahead.popleft()
                    yield first, future.result()
            while ahead:
                first, future = ahead.popleft()
                yield first, future.result()
        finally:
            for _, future in ahead:
                future.cancel()
