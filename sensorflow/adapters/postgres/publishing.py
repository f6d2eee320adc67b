"""Ensures one publisher at a time by a lease in the ledger.

A session lock would be held for as long as the server believes that a dead host is alive; a lease expires.
If two processes publish all the same, each file is still claimed once.
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
    """See `ports.outbox.Outbox.publisher_lease`. statement: provides a connection for one statement."""
    held = _Lease(statement, actor, lease)
    held.take()
    try:
        yield held.is_mine
    finally:
        with suppress(Transient):  # then it expires
            held.release()


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
        """Whether the lease is ours; renews it when a third of its time is over."""
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
