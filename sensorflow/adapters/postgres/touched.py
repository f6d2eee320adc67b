"""Records which readings a transaction has changed, for the refresher of the aggregates."""

from __future__ import annotations

import json
from collections.abc import Iterable

import sqlalchemy as sa

from sensorflow.adapters.postgres.queries import run
from sensorflow.core.touched import Touched


def json_of(changed: Iterable[Touched]) -> str:
    """Return these ranges as the JSON that the statement `record_touched` reads, without empty ones."""
    ranges = [
        {
            "source": touched.source,
            "low": touched.low.isoformat(),
            "high": touched.high.isoformat(),
            "sensors": None if touched.sensors is None else sorted(touched.sensors),
        }
        for touched in changed
        if touched.low is not None and touched.high is not None
    ]
    return json.dumps(ranges)


def record(c: sa.Connection, changed: Iterable[Touched]) -> None:
    """Record these ranges, in the transaction that changes the readings. Each transaction inserts its own
    rows, so that it waits for no other."""
    if (ranges := json_of(changed)) != "[]":
        run(c, "record_touched", touched=ranges)
