"""Ensures by a lease in the ledger that only one process publishes at a time.

A lease is used and not a session lock, because a lease expires. If a host fails, its session locks last
until the server notices the failure. Even if two processes publish at the same time, each file is claimed
only once.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

import sqlalchemy as sa

from sensorflow.adapters.host import has_ended, process
from sensorflow.adapters.postgres.queries import run
from sensorflow.errors import Transient

NAME = "publishing"
Statement = Callable[[], AbstractContextManager[sa.Connection]]


@contextmanager
def publishing(statement: Statement, actor: str, lease: float) -> Iterator[Callable[[], bool]]:
    """Implements `ports.outbox.Outbox.publisher_lease`. statement: a function that returns a context
    manager; the context manager yields a connection for one statement. actor: the owner of the lease, for
    display."""
    new_lease = _Lease(statement, actor, lease)
    new_lease.take()
    try:
        yield new_lease.is_mine
    finally:
        with suppress(Transient):  # the lease then expires
            new_lease.release()


class _Lease:
    def __init__(self, statement: Statement, actor: str, lease: float) -> None:
        self._statement, self._lease = statement, lease
        self._actor = {"owner": actor, "process": f"{process()} {secrets.token_hex(4)}"}
        self._token: int | None = None
        self._renew_at = 0.0

    def take(self) -> None:
        if not self._take(""):
            with self._statement() as c:
                holder = str(run(c, "lease_holder", name=NAME).scalar())
            if has_ended(holder):
                self._take(holder)

    def _take(self, ended: str) -> bool:
        at = time.monotonic()
        with self._statement() as c:
            given = {"name": NAME, "lease": self._lease, "ended": ended, **self._actor}
            self._token = run(c, "take_lease", **given).scalar()
        self._renew_at = at + self._lease / 3
        return self._token is not None

    def is_mine(self) -> bool:
        """Return whether this process has the lease. If a third of its duration is over, renew the lease
        first."""
        if self._token is not None and time.monotonic() >= self._renew_at:
            at = time.monotonic()
            with self._statement() as c:
                facts = {"name": NAME, "token": self._token, "lease": self._lease}
                if run(c, "renew_lease", **facts).rowcount != 1:
                    self._token = None
            self._renew_at = at + self._lease / 3
        return self._token is not None

    def release(self) -> None:
        if self._token is not None:
            with self._statement() as c:
                run(c, "release_lease", name=NAME, token=self._token)
