"""What is to be published: the part of the ledger that says whose turn it is."""

from __future__ import annotations

from contextlib import AbstractContextManager

import sqlalchemy as sa

from sensorflow.adapters.postgres.queries import run
from sensorflow.adapters.postgres.rows import waiting_of
from sensorflow.core.arrival import Lane, Waiting
from sensorflow.core.heartbeat import LIVE
from sensorflow.ports.outbox import UNSHARED, WORK_BYTES, WORK_MOST, Pace, Share

A_TURN = 25
"""Files of a source that are looked at, at least, however many sources wait."""
SECONDS, EVENTS = 5.0, 2_000
"""How far back the pace is measured, at most."""
_WORK = {"work_bytes": WORK_BYTES, "work_most": WORK_MOST}


class Outbox:
    """See `ports.ledger.Ledger`; of its methods those that a publisher asks."""

    def _statement(self) -> AbstractContextManager[sa.Connection]:
        raise NotImplementedError

    def due(
        self,
        limit: int,
        max_in_flight: int,
        backfill_in_flight: int | None = None,
        share: Share = UNSHARED,
    ) -> list[Waiting]:
        room = max_in_flight if backfill_in_flight is None else backfill_in_flight
        facts = {**vars(share), **_WORK, "a_turn": A_TURN}
        facts |= {"limit": limit, "max_in_flight": max_in_flight}
        with self._statement() as c:
            rows = run(c, "due", **facts, lane=Lane.LIVE, live=True, room=max_in_flight).all()
            if not rows:  # no live file is kept waiting by an old one
                rows = run(c, "due", **facts, lane=Lane.BACKFILL, live=False, room=room).all()
        return [waiting_of(row) for row in rows]

    def pace(self) -> Pace:
        with self._statement() as c:
            facts = {"live": LIVE, "seconds": SECONDS, "events": EVENTS}
            row = run(c, "pace", **facts, **_WORK).one()
        return Pace(row.work or 0.0, row.children)
