"""What each worker process has: its connections, made after the fork, and the leases it keeps."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache

from sensorflow import bootstrap, threads
from sensorflow.adapters.queues.celery import CeleryPublisher
from sensorflow.errors import Fenced, Transient
from sensorflow.flow.work import World
from sensorflow.ports.claims import Claim
from sensorflow.telemetry import Event, log
from workers.board import Board
from workers.configured import settings

parent = 0
"""The process that forks; noted before it does."""
board = Board()
"""Shared with it. Nothing is written there before a child joins."""


@cache
def world() -> World:
    return bootstrap.world(settings(), "worker", bootstrap.ledger(settings(), "worker"))


@cache
def publisher() -> CeleryPublisher:
    return bootstrap.publisher(world().settings)


def forget() -> None:
    """After a fork: nothing of the parent's is used."""
    world.cache_clear()
    publisher.cache_clear()
    keeper.cache_clear()


class Keeper:
    """Renews the leases of what this process holds every third of their length, in one thread for good.

    A renewal that fails is left: the final transaction checks the fencing token.
    """

    def __init__(self) -> None:
        self._held: dict[int, tuple[Claim, float]] = {}
        self._change = threading.Condition()
        threads.start(self._run)

    @contextmanager
    def keep(self, claims: Sequence[Claim]) -> Iterator[None]:
        due = time.monotonic() + world().settings.lease / 3
        with self._change:
            self._held = {claim.file_id: (claim, due) for claim in claims}
            self._change.notify()
        try:
            yield
        finally:
            with self._change:
                self._held = {}

    def _run(self) -> None:
        while True:
            try:
                for claim in self._due():
                    self._renew(claim)
            except Exception:  # noqa: BLE001 - without it every file would be lost
                log().exception(Event.DEFECT)
                time.sleep(1.0)

    def _due(self) -> list[Claim]:
        """Waits until there are any."""
        with self._change:
            while True:
                now = time.monotonic()
                found = [claim for claim, due in self._held.values() if due <= now]
                if found:
                    return found
                first = min((due for _, due in self._held.values()), default=None)
                self._change.wait(None if first is None else first - now)

    def _renew(self, claim: Claim) -> None:
        lease = world().settings.lease
        try:
            world().ledger.renew(claim, lease)
        except Fenced:
            self._again(claim, math.inf)
        except Transient:
            self._again(claim, lease / 3)
        else:
            self._again(claim, lease / 3)

    def _again(self, claim: Claim, seconds: float) -> None:
        with self._change:
            if self._held.get(claim.file_id, (None, 0.0))[0] is claim:
                self._held[claim.file_id] = claim, time.monotonic() + seconds


@cache
def keeper() -> Keeper:
    """Raises Transient HOST where there is no thread to be had."""
    return Keeper()


@contextmanager
def keep(claims: Sequence[Claim]) -> Iterator[None]:
    """Renew the leases of `claims` as long as the work goes on, and say outside what is held."""
    board.hold(claims)
    try:
        with keeper().keep(claims):
            yield
    finally:
        board.hold(())
