"""Silver -> the database: the rows and the fact that they are loaded, in one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from sensorflow import crash
from sensorflow.core.keys import keys
from sensorflow.core.months import MonthLimits
from sensorflow.core.partitions import Layer
from sensorflow.errors import Transient
from sensorflow.flow.tidy import tidy
from sensorflow.flow.versions import NOTHING_BEFORE, Before, before, remarks_of
from sensorflow.flow.work import Job
from sensorflow.ports.files import Counts, FileView, StageReport
from sensorflow.ports.intake import OnChange
from sensorflow.ports.loading import Keyed, Load, Loaded
from sensorflow.telemetry import Event, emit

if TYPE_CHECKING:
    import pyarrow as pa


def load(job: Job, reports: tuple[StageReport, ...]) -> Counts:
    """Load a file and close it in the ledger; `reports` are of the stages that ran before in this task.

    Raises Fenced when the claim was lost: nothing is loaded, then.
    """
    older = before(job)
    first = next(job.world.lake.read(Layer.SILVER, job.file), None) if older.head else None
    plan = load_of(job, reports, older, first)
    return done(job, job.world.ledger.load(job.claim, _keyed(job), plan))


def load_of(
    job: Job,
    reports: tuple[StageReport, ...],
    older: Before = NOTHING_BEFORE,
    first: pa.RecordBatch | None = None,
) -> Load:
    """What the ledger is to hold of a loaded file. first: its first readings."""
    return Load(
        counts=job.counts,
        on_change=OnChange(job.source.on_change),
        profile=job.profile_name,
        profile_hash=job.profile.hash,
        code_version=job.world.code_version,
        reports=reports,
        identity=job.identity,
        covered=older.covered,
        name_matters=job.profile.name_matters,
        remarks=remarks_of(older.head, first),
        months=MonthLimits(job.source.new_months, job.source.sparse_months),
    )


def done(job: Job, loaded: Loaded) -> Counts:
    """After the commit: silver may lag behind, it never runs ahead."""
    crash.point(crash.Point.COMMITTED)
    facts = {"file_id": job.claim.file_id, "version": job.claim.version}
    if loaded.replaced:
        emit(Event.READINGS_REPLACED, **facts, readings=loaded.replaced)
    if loaded.remarks:
        emit(Event.VERSION_NOTICED, **facts, remarks=loaded.remarks)
    if loaded.kept is not None:
        _log_kept(job, loaded.kept)
    if loaded.garbage:
        _tidy(job)
    return loaded.counts


def _log_kept(job: Job, old: FileView) -> None:
    """Right for chunks, and wrong for a correction that leaves something out: only the user knows."""
    emit(
        Event.READINGS_KEPT,
        file_id=job.claim.file_id,
        version=job.claim.version,
        of_version=old.version,
        readings=old.counts.served,
        first=old.ts_min and old.ts_min.isoformat(),
        last=old.ts_max and old.ts_max.isoformat(),
        do=f"sensorflow undo '{old.name}@{old.version}', or on_change = \"supersede\"",
    )


def _tidy(job: Job) -> None:
    """The rows are in: a disk that fails now is the sweeper's matter."""
    with suppress(Transient):
        tidy(job.world.ledger, job.world.lake, job.world.landing)


def _keyed(job: Job) -> Iterator[Keyed]:
    for batch in job.world.lake.read(Layer.SILVER, job.file):
        job.require_lease()
        yield batch, keys(batch, job.identity)
