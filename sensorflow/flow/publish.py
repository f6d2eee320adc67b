"""One message for each file that is due. The ledger keeps what the broker has no room for."""

from __future__ import annotations

from sensorflow import crash
from sensorflow.core.arrival import Waiting
from sensorflow.core.states import Stage
from sensorflow.ports import Ledger, Queue
from sensorflow.settings import Limits

BATCH = 100


def publish(ledger: Ledger, queue: Queue, limits: Limits) -> int:
    """Publish all that is due, within the limits; live files before those of the backfill lane.

    `published_at` is set after the broker's confirm; a crash between the two sends a message twice,
    which the claim makes harmless. Returns how many were sent; raises Transient when the broker or
    the database is away, what was sent until then being recorded.
    """
    total = 0
    with ledger.publishing() as mine:
        while mine and (due := _due(ledger, limits)):
            sent: list[Waiting] = []
            try:
                for waiting in due:
                    crash.point(crash.Point.PUBLISH)
                    inline = waiting.size < limits.inline_below and waiting.stage is Stage.VALIDATE
                    queue.publish(waiting, inline)
                    crash.point(crash.Point.SENT)
                    sent.append(waiting)
            finally:
                if sent:
                    ledger.published(sent)
                    crash.point(crash.Point.PUBLISHED)
            total += len(sent)
    return total


def _due(ledger: Ledger, limits: Limits) -> list[Waiting]:
    return ledger.due(BATCH, limits.max_in_flight, limits.backfill_in_flight)
