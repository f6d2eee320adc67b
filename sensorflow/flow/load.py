"""Silver -> database: commit the rows and the loaded state in one transaction."""

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
    """Load a file and mark it as loaded in the ledger. reports: of the stages that ran before in this task.

    Raises Fenced, and loads nothing, if the claim was lost.
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
    """Returns what the ledger records for a loaded file. first: the file's first readings."""
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
    """Finish after the commit. Silver may lag behind the database, but is never ahead of it."""
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
    """Keeping old readings is right for files sent in pieces, but wrong for a correction that omits
    readings. Only the user knows which it is."""
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
    """The rows are committed. If the disk fails now, the reconciler completes the cleanup."""
    with suppress(Transient):
        tidy(job.world.ledger, job.world.lake, job.world.landing)


def _keyed(job: Job) -> Iterator[Keyed]:
    for batch in job.world.lake.read(Layer.SILVER, job.file):
        job.require_lease()
        yield batch, keys(batch, job.identity)
