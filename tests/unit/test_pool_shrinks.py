"""A pool of Celery that ends children: the message of a child is never lost or delayed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from kombu.asynchronous import Hub, set_event_loop
from patience import PATIENCE

from workers.pool import Processes


class Loop:
    """A pool of two children in an event loop."""

    def __init__(self) -> None:
        self.hub = Hub()
        set_event_loop(self.hub)
        self.pool: Any = Processes(2, threads=False, synack=False, sched_strategy="fair")
        self.pool.register_with_event_loop(self.hub)
        self._turns = self.hub.create_loop()

    def run_until(self, done: Callable[[], object]) -> None:
        self.hub.call_repeatedly(0.05, lambda: None)  # no turn waits longer
        deadline = time.monotonic() + PATIENCE
        while not done():
            assert time.monotonic() < deadline
            next(self._turns)

    def stop(self) -> None:
        self.pool.terminate()
        self.hub.close()
        set_event_loop(None)


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.stop()


@contextmanager
def suspended(children: list[Any]) -> Iterator[None]:
    for child in children:
        os.kill(child.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for child in children:
            os.kill(child.pid, signal.SIGCONT)


def test_a_child_that_was_sent_a_message_is_not_ended(loop: Loop) -> None:
    """It has not read the message yet, so it looks idle."""
    loop.run_until(lambda: len(loop.pool.idle()) == 2)
    with suspended(list(loop.pool._pool)):
        job = loop.pool.apply_async(os.getpid)
        loop.run_until(lambda: job._write_to is not None)
        chosen = job._write_to
        assert chosen not in loop.pool.idle()
        loop.pool.shrink(2)
    loop.run_until(job.ready)
    assert job.get(timeout=PATIENCE) == chosen.pid
    loop.run_until(lambda: [child.pid for child in loop.pool._pool] == [chosen.pid])


def test_a_message_that_meets_an_ending_child_goes_to_another_one_at_once(loop: Loop) -> None:
    loop.run_until(lambda: len(loop.pool.idle()) == 2)
    with suspended(list(loop.pool._pool)):
        ending = loop.pool.idle()[0]
        job = loop.pool.apply_async(os.getpid)  # not sent yet
        loop.pool.shrink(1)
        loop.run_until(lambda: job._write_to is not None)
        assert job._write_to is not ending
    loop.run_until(job.ready)
    assert job.get(timeout=PATIENCE) != ending.pid
