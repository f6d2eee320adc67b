"""Silver -> the database: the rows and the fact that they are loaded, in one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from sensorflow import crash
from sensorflow.core.dedupe import keys
from sensorflow.core.partitions import Layer
from sensorflow.errors import Transient
from sensorflow.flow.tidy import tidy
from sensorflow.flow.work import Job
from sensorflow.ports import Counts, Keyed, Load, Loaded, OnChange, StageReport


def load(job: Job, reports: tuple[StageReport, ...]) -> Counts:
    """Load a file and close it in the ledger; `reports` are of the stages that ran before in this task.

    Raises Fenced when the claim was lost: nothing is loaded, then.
    """
    return done(job, job.world.ledger.load(job.claim, _keyed(job), load_of(job, reports)))


def load_of(job: Job, reports: tuple[StageReport, ...]) -> Load:
    """What the ledger is to hold of a loaded file."""
    return Load(
        counts=job.counts,
        on_change=OnChange(job.source.on_change),
        profile=job.profile_name,
        profile_hash=job.profile.hash,
        code_version=job.world.code_version,
        reports=reports,
        identity=job.identity,
    )


def done(job: Job, loaded: Loaded) -> Counts:
    """After the commit: silver may lag behind, it never runs ahead."""
    crash.point(crash.Point.COMMITTED)
    if loaded.replaced:
        _tidy(job)
    return loaded.counts


def _tidy(job: Job) -> None:
    """The rows are in: a disk that fails now is the sweeper's matter."""
    with suppress(Transient):
        tidy(job.world.ledger, job.world.lake, job.world.landing)


def _keyed(job: Job) -> Iterator[Keyed]:
    for batch in job.world.lake.read(job.path(Layer.SILVER)):
        yield batch, keys(batch, job.identity)
