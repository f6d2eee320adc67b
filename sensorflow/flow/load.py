"""Silver -> the database: the rows and the fact that they are loaded, in one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pyarrow as pa

from sensorflow import crash
from sensorflow.core.dedupe import keys
from sensorflow.core.partitions import Layer
from sensorflow.errors import Transient
from sensorflow.flow.tidy import tidy
from sensorflow.flow.work import Job
from sensorflow.ports import Counts, Load, OnChange, StageReport


def load(job: Job, reports: tuple[StageReport, ...]) -> Counts:
    """Load a file and close it in the ledger; `reports` are of the stages that ran before in this task.

    Raises Fenced when the claim was lost: nothing is loaded, then.
    """
    loaded = job.world.ledger.load(
        job.claim,
        _keyed(job),
        Load(
            counts=job.counts,
            on_change=OnChange(job.source.on_change),
            profile=job.profile_name,
            profile_hash=job.profile.hash,
            code_version=job.world.code_version,
            reports=reports,
            identity=job.identity,
        ),
    )
    crash.point(crash.Point.COMMITTED)
    if loaded.replaced:  # after the commit: silver may lag behind, it never runs ahead
        _tidy(job)
    return loaded.counts


def _tidy(job: Job) -> None:
    """The rows are in: a disk that fails now is the sweeper's matter."""
    with suppress(Transient):
        tidy(job.world.ledger, job.world.lake, job.world.landing)


def _keyed(job: Job) -> Iterator[tuple[pa.RecordBatch, pa.Array]]:
    for batch in job.world.lake.read(job.path(Layer.SILVER)):
        yield batch, keys(batch, job.identity)
