"""The state of each worker process: its connections, opened after the fork, and the leases that it
renews."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import cache
from typing import cast

from sensorflow import bootstrap
from sensorflow.adapters.postgres.ledger import PostgresLedger
from sensorflow.adapters.queues.celery import CeleryPublisher
from sensorflow.engine import periodic
from sensorflow.engine.board import Board
from sensorflow.errors import UsageError
from sensorflow.flow.file_task import Services
from sensorflow.flow.housekeeping import Housekeeping
from sensorflow.flow.leases import IsLost, LeaseKeeper
from sensorflow.ports.claims import Claim
from sensorflow.telemetry import Event, emit
from workers.configured import settings

parent = 0
"""Pid of the worker's parent process. The parent records it before it forks the children."""
board = Board()
"""Memory shared with the parent. No process writes to it before a child joins."""


@cache
def services() -> Services:
    """Raises Transient SCHEMA if the schema of the database is older than this process, before a file is
    claimed in vain, and UsageError if a store cannot be used."""
    try:
        found = bootstrap.services(settings(), "worker", ledger())
    except (
        UsageError
    ) as error:  # was not so at the start; no file is claimed, and its message is lost
        emit(Event.WORK_REFUSED, code=error.code, reason=error.message)
        raise
    ledger().project()
    return found


@cache
def ledger() -> PostgresLedger:
    return bootstrap.ledger(settings(), "worker")


@cache
def publisher() -> CeleryPublisher:
    return cast(CeleryPublisher, bootstrap.publisher(settings()))


@cache
def housekeeping() -> Housekeeping:
    return periodic.housekeeping(settings(), ledger(), publisher())


def forget() -> None:
    """Discard, after a fork, all objects that belong to the parent."""
    services.cache_clear()
    ledger.cache_clear()
    publisher.cache_clear()
    housekeeping.cache_clear()
    keeper.cache_clear()


@cache
def keeper() -> LeaseKeeper:
    """Returns the lease keeper of this process. Raises Transient HOST if no thread can be started."""
    return LeaseKeeper(settings().lease, board.hold, board.lose, board.report)


def keep(claims: Sequence[Claim]) -> AbstractContextManager[IsLost]:
    """Returns a context manager that renews the leases of `claims` and records the claims on the board."""
    return keeper().keep_claims(ledger(), claims)
