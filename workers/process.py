"""What each worker process has: its connections, made after the fork, and the leases it keeps."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache

from sensorflow import bootstrap
from sensorflow.adapters.queues.celery import CeleryQueue
from sensorflow.errors import Fenced, Transient
from sensorflow.flow.work import World
from sensorflow.ports import Claim

parent = 0
"""The process that forks; noted before it does."""


@cache
def world() -> World:
    settings = bootstrap.settings()
    return bootstrap.world(settings, "worker", bootstrap.ledger(settings, "worker"))


@cache
def queue() -> CeleryQueue:
    return bootstrap.queue(world().settings)


def forget() -> None:
    """After a fork: nothing of the parent's is used."""
    world.cache_clear()
    queue.cache_clear()


@contextmanager
def keep(claims: Sequence[Claim]) -> Iterator[None]:
    """Renew the leases of `claims` every third of their length, as long as the work goes on.

    A renewal that fails is left: the final transaction checks the fencing token.
    """
    here, stop = world(), threading.Event()

    def renew() -> None:
        held = list(claims)
        while held and not stop.wait(here.settings.lease / 3):
            for claim in list(held):
                try:
                    here.ledger.renew(claim, here.settings.lease)
                except Fenced:
                    held.remove(claim)
                except Transient:
                    break

    thread = threading.Thread(target=renew, name=f"lease-{claims[0].file_id}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
