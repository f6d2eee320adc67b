"""The outbox, a part of the ledger: decides for which files a message is sent next, and which messages
were lost."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from sensorflow.adapters.postgres.publishing import publishing
from sensorflow.adapters.postgres.queries import run
from sensorflow.adapters.postgres.rows import outbox_entry_of
from sensorflow.adapters.postgres.transactions import Transactions
from sensorflow.core.arrival import Lane, OutboxEntry
from sensorflow.core.heartbeat import ALIVE_SECONDS
from sensorflow.ports.outbox import (
    HIDDEN_AFTER_PERIODS,
    HIDDEN_FILES,
    NO_IN_FLIGHT_LIMITS,
    PUBLISHER_LEASE_SECONDS,
    WORK_BYTES,
    WORK_MAX_BYTES,
    InFlightLimits,
    Reconciled,
    Throughput,
)

A_TURN = 25
"""Minimum number of files that `Outbox.pending` examines per source, even if many sources have pending
files."""
SECONDS, EVENTS = 5.0, 2_000
"""The throughput is measured over the last `SECONDS` seconds, but at most over the newest `EVENTS`
events."""
_WORK = {"work_bytes": WORK_BYTES, "work_most": WORK_MAX_BYTES}


class Outbox(Transactions):
    """Implements `ports.outbox.Outbox`."""

    def publisher_lease(
        self, lease: float = PUBLISHER_LEASE_SECONDS
    ) -> AbstractContextManager[Callable[[], bool]]:
        return publishing(self._statement, self._actor, lease)

    def pending(
        self,
        limit: int,
        max_in_flight: int,
        backfill_in_flight: int | None = None,
        in_flight: InFlightLimits = NO_IN_FLIGHT_LIMITS,
    ) -> list[OutboxEntry]:
        room = max_in_flight if backfill_in_flight is None else backfill_in_flight
        facts = {**vars(in_flight), **_WORK, **_shares(in_flight), "a_turn": A_TURN}
        facts |= {"limit": limit, "max_in_flight": max_in_flight}
        with self._statement() as c:
            rows = run(c, "due", **facts, lane=Lane.LIVE, live=True, room=max_in_flight).all()
            if not rows:  # a backfilled file never delays a live one
                rows = run(c, "due", **facts, lane=Lane.BACKFILL, live=False, room=room).all()
        return [outbox_entry_of(row) for row in rows]

    def throughput(self) -> Throughput:
        with self._statement() as c:
            facts = {"live": ALIVE_SECONDS, "seconds": SECONDS, "events": EVENTS}
            row = run(c, "pace", **facts, **_WORK).one()
        return Throughput(row.work or 0.0, row.children)

    def unfinished(self, lane: Lane, source: str | None = None) -> int:
        with self._transaction() as c:
            return int(run(c, "unfinished", lane=lane, source=source or "").scalar_one())

    def mark_sent(self, sent: list[OutboxEntry]) -> None:
        ids, tokens = [w.file_id for w in sent], [w.token for w in sent]
        carriers = [w.sent_with for w in sent]
        with self._statement() as c:
            run(c, "published", ids=ids, tokens=tokens, carriers=carriers, who=self._actor)

    def reconcile(self, stale_after: float, depth: int | None, grace: float = 0.0) -> Reconciled:
        with self._transaction() as c:
            expired = int(run(c, "expire", grace=grace, who=self._actor).scalar_one())
        with self._transaction() as c:
            waiting = int(run(c, "waiting_messages").scalar_one())
            lost = waiting - (depth or 0)
            if lost == 0:
                return Reconciled(expired, 0)
            if lost < 0:
                stale_after, lost = stale_after * HIDDEN_AFTER_PERIODS, HIDDEN_FILES
            facts = {"stale_after": stale_after, "lost": lost, "who": self._actor}
            stale = run(c, "stale", **facts).scalar_one()
        return Reconciled(expired, int(stale))


def _shares(in_flight: InFlightLimits) -> dict[str, Any]:
    """Returns the shares of the sources as arrays, for the arguments of the statement `due`."""
    shares = in_flight.shares.values()
    return {
        "sources": list(in_flight.shares),
        "weights": [share.weight for share in shares],
        "quotas": [share.max_in_flight for share in shares],
    }
