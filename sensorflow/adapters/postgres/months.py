"""Months of readings that hold none, after an undo or a load that was refused: their tables are dropped."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from sensorflow.adapters.postgres.connect import engine_of, translated
from sensorflow.adapters.postgres.queries import run

PAUSE = timedelta(minutes=50)
"""How long a month stays empty before it goes: beat looks once an hour, and drops at the second look."""


AT_ONCE = 50
"""Months of one transaction: each takes some places of the server's table of locks, which all sessions
share, and while one is dropped nobody loads."""


def drop_empty(url: str, pause: timedelta = PAUSE) -> int:
    """Drop what was empty at a look before and is still; note what is empty now. Returns how many went.

    Safe while files are loaded: a load that finds its month gone makes it anew. Never waits long for
    those who load or read, and keeps the rest for the next time. Raises Transient DATABASE.
    """
    engine = engine_of(url, poolclass=sa.pool.NullPool)
    total = 0
    with translated(), engine.connect() as c:
        c = c.execution_options(isolation_level="AUTOCOMMIT")
        lows = list(run(c, "droppable_months").scalars())
        for start in range(0, len(lows), AT_ONCE):
            some = lows[start : start + AT_ONCE]
            done = run(c, "drop_empty_months", months=some, pause=pause.total_seconds()).one()
            total += done.dropped
            if done.busy:
                break
    return total
