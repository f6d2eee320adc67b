"""What is changed of Celery's pool."""

from __future__ import annotations

from types import SimpleNamespace

from kombu.asynchronous.hub import Hub

from workers.pool import Processes


def test_a_child_that_has_ended_keeps_no_worker_from_connecting_again() -> None:
    """It is listed until the pool is looked after, which the connection is needed for."""
    hub = Hub()
    pool = Processes.__new__(Processes)
    pool._track_child_process(SimpleNamespace(_sentinel_poll=None), hub)
    assert not hub.readers
