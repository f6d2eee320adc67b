"""Maintains the partitions of readings. Beat calls it every hour."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import sqlalchemy as sa

from sensorflow.adapters.postgres import months, reading_index
from sensorflow.adapters.postgres.connect import engine_of, translated
from sensorflow.adapters.postgres.queries import run
from sensorflow.flow.housekeeping import StepResult, run_all

AHEAD = timedelta(days=7)
"""How long before a month begins its partition is created."""


def maintain(url: str) -> StepResult:
    """Create the partition of the next month, drop months that stay empty, and build the reading indexes of
    quiet months. Returns the results that are not zero. Raises Transient DATABASE."""
    return run_all((partial(_create, url), partial(_drop, url), partial(_index, url)))


def create_ahead(url: str, ahead: timedelta = AHEAD) -> int:
    """Create the partition of the next month if it begins within `ahead`, so that the first load of the
    month does not have to. Does nothing if the current month has no partition, because files with old
    readings need no new months. Returns the number of partitions created. Raises Transient DATABASE."""
    engine = engine_of(url, poolclass=sa.pool.NullPool)
    with translated(), engine.begin() as c:
        return run(c, "next_month", ahead=ahead.total_seconds()).scalar() or 0


def _create(url: str) -> StepResult:
    made = create_ahead(url)
    return {"months made ahead": made} if made else {}


def _drop(url: str) -> StepResult:
    dropped = months.drop_empty(url)
    return {"empty months": dropped} if dropped else {}


def _index(url: str) -> StepResult:
    return {
        f"reading index {month}": outcome
        for month, outcome in reading_index.index_months(url).items()
    }
