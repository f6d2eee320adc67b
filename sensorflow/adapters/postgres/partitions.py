"""Maintains the partitions of readings. Beat calls it every hour."""

from __future__ import annotations

from functools import partial

import sqlalchemy as sa

from sensorflow.adapters.postgres import empty_partitions, reading_index
from sensorflow.adapters.postgres.connect import engine_of, translated
from sensorflow.adapters.postgres.reading_partitions import PartitionCreator
from sensorflow.core.partition_width import Width
from sensorflow.flow.housekeeping import StepResult, run_all


def maintain(url: str, width: Width | None = None) -> StepResult:
    """Create partitions ahead of time, drop partitions that stay empty, and build the reading indexes of
    quiet partitions. Returns the results that are not zero.

    width: the width of new partitions; None to choose it from the rate of readings. Raises Transient
    DATABASE.
    """
    return run_all((partial(_create, url, width), partial(_drop, url), partial(_index, url)))


def _create(url: str, width: Width | None) -> StepResult:
    engine = engine_of(url, poolclass=sa.pool.NullPool)
    with translated():
        made = PartitionCreator(engine, width).create_ahead()
    return {"partitions made ahead": made} if made else {}


def _drop(url: str) -> StepResult:
    dropped = empty_partitions.drop_empty(url)
    return {"empty partitions": dropped} if dropped else {}


def _index(url: str) -> StepResult:
    return {
        f"reading index {time_range}": outcome
        for time_range, outcome in reading_index.index_partitions(url).items()
    }
