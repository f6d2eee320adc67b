"""Send requests to a store in parallel if the store is not on this host."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from sensorflow.flow.in_flight import in_flight

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
            yield from in_flight(lambda item: (item, ask(item)), remaining, REQUESTS, 2)
