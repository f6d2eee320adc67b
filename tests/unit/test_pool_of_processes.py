"""What is changed of Celery's pool."""

from __future__ import annotations

import errno
import os
import signal
import time
from types import SimpleNamespace

import pytest
from kombu.asynchronous.hub import Hub
from kombu.asynchronous.semaphore import LaxBoundedSemaphore

from workers.pool import Processes


def test_a_child_that_has_ended_keeps_no_worker_from_connecting_again() -> None:
    """It is listed until the pool is looked after, which the connection is needed for."""
    hub = Hub()
    pool = Processes.__new__(Processes)
    pool._track_child_process(SimpleNamespace(_sentinel_poll=None), hub)
    assert not hub.readers


def _no_fork() -> int:
    raise OSError(errno.ENOMEM, "Cannot allocate memory")


def test_a_child_that_cannot_be_replaced_gives_its_slot_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Celery's worker accepts a message only while a slot is free."""
    slots = LaxBoundedSemaphore(1)
    pool = Processes(1, threads=False, semaphore=slots)
    try:
        pool.on_process_down = lambda _: None
        slots.acquire(int)  # for a message
        (child,) = pool._pool
        os.kill(child.pid, signal.SIGKILL)
        while child.exitcode is None:
            time.sleep(0.01)
        monkeypatch.setattr(os, "fork", _no_fork)
        pool.maintain_pool()
        assert (pool._pool, slots.value) == ([], 1)
        monkeypatch.undo()
        pool.maintain_pool()
        assert (len(pool._pool), slots.value) == (1, 1)
    finally:
        for child in pool._pool:
            os.kill(child.pid, signal.SIGKILL)
            child.join()
