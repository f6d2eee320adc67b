"""Runs loops of sensorflow in a thread of a test."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol


class Loop(Protocol):
    """A loop that can be run and stopped: a `Daemon`, an `Intake`, or your own."""

    def run(self) -> None:
        """Run until `stop` is called."""

    def stop(self) -> None: ...


@contextmanager
def running(loop: Loop) -> Iterator[None]:
    """Run the loop in a thread until the `with` block ends."""
    thread = threading.Thread(target=loop.run, name="loop")
    thread.start()
    try:
        yield
    finally:
        loop.stop()
        thread.join()


def within(seconds: float, done: Callable[[], bool]) -> Callable[[], bool]:
    """Return `done` with a time limit, for loops that end when `done` returns True. The returned function
    raises TimeoutError if `done` is still False after `seconds`."""
    deadline = time.monotonic() + seconds

    def asked() -> bool:
        if done():
            return True
        if time.monotonic() > deadline:
            raise TimeoutError(f"not done after {seconds:g} s")
        return False

    return asked
