"""Loops of the product on a thread of a test."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol


class Loop(Protocol):
    """A `Daemon`, an `Intake`, or a loop of your own."""

    def run(self) -> None:
        """Until `stop`."""

    def stop(self) -> None: ...


@contextmanager
def running(loop: Loop) -> Iterator[None]:
    """The loop runs on a thread of its own until the block is left."""
    thread = threading.Thread(target=loop.run, name="loop")
    thread.start()
    try:
        yield
    finally:
        loop.stop()
        thread.join()


def within(seconds: float, done: Callable[[], bool]) -> Callable[[], bool]:
    """`done`, for loops that end by it. Raises TimeoutError where it is false after so many seconds."""
    deadline = time.monotonic() + seconds

    def asked() -> bool:
        if done():
            return True
        if time.monotonic() > deadline:
            raise TimeoutError(f"not done after {seconds:g} s")
        return False

    return asked
