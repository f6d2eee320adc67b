"""Drops the partitions of months that are empty after an undo or a rejected load."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from sensorflow.adapters.postgres.connect import engine_of, translated
from sensorflow.adapters.postgres.queries import run

PAUSE = timedelta(minutes=50)
"""How long a month must be empty before it is dropped. beat checks once an hour and drops the month at the
second check."""


MONTHS_PER_TRANSACTION = 50
"""Maximum number of months dropped per transaction. The number is small, because each month needs entries
in the lock table that all sessions share, and because loads wait during the transaction."""


def drop_empty(url: str, pause: timedelta = PAUSE) -> int:
    """Drop the months that were empty at the previous check and are still empty. Records the months that
    are empty now. Returns the number of months dropped. Also drops empty months of the aggregates.

    Files may be loaded at the same time: if a load finds that its month was dropped, it creates the month
    again. This function does not wait long for loads or readers; a month that is in use is skipped until
    the next run. Raises Transient DATABASE.
    """
    engine = engine_of(url, poolclass=sa.pool.NullPool)
    total = 0
    with translated(), engine.connect() as c:
        c = c.execution_options(isolation_level="AUTOCOMMIT")
        lows = list(run(c, "droppable_months").scalars())
        for start in range(0, len(lows), MONTHS_PER_TRANSACTION):
            some = lows[start : start + MONTHS_PER_TRANSACTION]
            done = run(c, "drop_empty_months", months=some, pause=pause.total_seconds()).one()
            total += done.dropped
            if done.busy:
                break
        _drop_empty_gold(c)
    return total


def _drop_empty_gold(c: sa.Connection) -> None:
    """Drop the months of aggregates that are empty, unless readers use them."""
    lows = list(run(c, "droppable_gold_months").scalars())
    for start in range(0, len(lows), MONTHS_PER_TRANSACTION):
        some = lows[start : start + MONTHS_PER_TRANSACTION]
        run(c, "drop_empty_gold", months=some)
