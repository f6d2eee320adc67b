"""Load silver into the database: commit the rows and the state `loaded` in one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from sensorflow import failpoints
from sensorflow.core.keys import keys
from sensorflow.core.months import MonthLimits
from sensorflow.core.partitions import Layer
from sensorflow.errors import Transient
from sensorflow.flow.file_task import FileTask
from sensorflow.flow.garbage import collect_garbage
from sensorflow.flow.versions import (
    NO_PREVIOUS_VERSIONS,
    PreviousVersions,
    previous_versions,
    remarks_of,
)
from sensorflow.ports.files import Counts, FileView, StageReport
from sensorflow.ports.intake import OnChange
from sensorflow.ports.loading import Keyed, Load, Loaded
from sensorflow.telemetry import Event, emit

if TYPE_CHECKING:
    import pyarrow as pa


def load(file_task: FileTask, reports: tuple[StageReport, ...]) -> Counts:
    """Load a file and mark it as loaded in the ledger. reports: the reports of the earlier stages of this
    task.

    Raises Fenced, and loads nothing, if the claim was lost.
    """
    older = previous_versions(file_task)
    first = (
        next(file_task.services.lake.read(Layer.SILVER, file_task.layer_file), None)
        if older.head
        else None
    )
    plan = build_load(file_task, reports, older, first)
    return after_commit(
        file_task, file_task.services.ledger.load(file_task.claim, _keyed(file_task), plan)
    )


def build_load(
    file_task: FileTask,
    reports: tuple[StageReport, ...],
    older: PreviousVersions = NO_PREVIOUS_VERSIONS,
    first: pa.RecordBatch | None = None,
) -> Load:
    """Returns what the ledger records for a loaded file.

    reports: the reports of the earlier stages of this task. first: the file's first readings.
    """
    return Load(
        counts=file_task.counts,
        on_change=OnChange(file_task.source.on_change),
        profile=file_task.profile_name,
        profile_hash=file_task.profile.hash,
        code_version=file_task.services.code_version,
        reports=reports,
        identity=file_task.identity,
        covered=older.covered,
        name_matters=file_task.profile.name_matters,
        remarks=remarks_of(older.head, first),
        months=MonthLimits(file_task.source.new_months, file_task.source.sparse_months),
    )


def after_commit(file_task: FileTask, loaded: Loaded) -> Counts:
    """Update silver after the commit, and report the load. Silver may be older than the database, but never
    newer."""
    failpoints.hit(failpoints.Failpoint.COMMITTED)
    facts = {**file_task.log_ids, "version": file_task.claim.version}
    if loaded.replaced:
        emit(Event.READINGS_REPLACED, **facts, readings=loaded.replaced)
    if loaded.remarks:
        emit(Event.VERSION_NOTICED, **facts, remarks=loaded.remarks)
    if loaded.retained is not None:
        _log_kept(file_task, loaded.retained)
    if loaded.garbage:
        _collect_garbage(file_task)
    return loaded.counts


def _log_kept(file_task: FileTask, old: FileView) -> None:
    """Report an older version that still has readings. These readings must stay if the versions are pieces
    of one file. They are wrong if the new version is a correction that omits them. Only the user knows
    which case applies."""
    emit(
        Event.READINGS_KEPT,
        **file_task.log_ids,
        version=file_task.claim.version,
        of_version=old.version,
        readings=old.counts.served,
        first=old.ts_min and old.ts_min.isoformat(),
        last=old.ts_max and old.ts_max.isoformat(),
        do=f"run sensorflow undo '{old.name}@{old.version}', or set on_change = \"supersede\"",
    )


def _collect_garbage(file_task: FileTask) -> None:
    """Collect the file's garbage. An unavailable disk is ignored, because the rows are committed already
    and the reconciler completes the cleanup."""
    with suppress(Transient):
        collect_garbage(
            file_task.services.ledger, file_task.services.lake, file_task.services.landing
        )


def _keyed(file_task: FileTask) -> Iterator[Keyed]:
    meter, counts = file_task.meter, file_task.counts
    meter.begin_rows(file_task.claim.size, counts.read - counts.rejected - counts.duplicate)
    for batch in file_task.services.lake.read(Layer.SILVER, file_task.layer_file):
        file_task.require_lease()
        meter.rows += len(batch)
        yield batch, keys(batch, file_task.identity)
