"""Drops the partitions that are empty after an undo, a rejected load or retention. On a hypertable of
TimescaleDB, its chunks."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from sensorflow.adapters.postgres.connect import engine_of, translated
from sensorflow.adapters.postgres.queries import run

PAUSE = timedelta(minutes=50)
"""How long a partition must be empty before it is dropped. beat checks once an hour and drops the partition
at the second check."""


PARTITIONS_PER_TRANSACTION = 50
"""Maximum number of partitions dropped per transaction. The number is small, because each partition needs
entries in the lock table that all sessions share, and because loads wait during the transaction."""


def drop_empty(url: str, pause: timedelta = PAUSE) -> int:
    """Drop the partitions that were empty at the previous check and are still empty. Records the partitions
    that are empty now. Returns the number of partitions dropped. Also drops empty months of the aggregates.

    Files may be loaded at the same time: if a load finds that its partition was dropped, it is tried again
    and creates the partition. This function does not wait long for loads or readers; a partition that is in
    use is skipped until the next run. Raises Transient DATABASE.
    """
    engine = engine_of(url, poolclass=sa.pool.NullPool)
    total = 0
    with translated(), engine.connect() as c:
        c = c.execution_options(isolation_level="AUTOCOMMIT")
        chunks = run(c, "has_chunks").scalar_one()
        lows = list(run(c, "droppable_chunks" if chunks else "droppable_partitions").scalars())
        for start in range(0, len(lows), PARTITIONS_PER_TRANSACTION):
            some = lows[start : start + PARTITIONS_PER_TRANSACTION]
            done = run(c, "drop_empty_partitions", lows=some, pause=pause.total_seconds()).one()
            total += done.dropped
            if done.busy:
                break
        _drop_empty_gold(c)
    return total


def _drop_empty_gold(c: sa.Connection) -> None:
    """Drop the months of aggregates that are empty, unless readers use them."""
    lows = list(run(c, "droppable_gold_months").scalars())
    for start in range(0, len(lows), PARTITIONS_PER_TRANSACTION):
        some = lows[start : start + PARTITIONS_PER_TRANSACTION]
        run(c, "drop_empty_gold", months=some)
