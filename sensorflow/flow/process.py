"""Process a file: claim the file, run its stages, and record an outcome in every case."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import replace
from functools import partial

from sensorflow import failpoints
from sensorflow.core.deduplicate import OutOfOrder
from sensorflow.core.states import WORK, Stage, State
from sensorflow.errors import SensorflowError
from sensorflow.flow import micro_batch, publish, spans
from sensorflow.flow.clock import now
from sensorflow.flow.file_task import FileTask, Services
from sensorflow.flow.leases import IsLost, Watched
from sensorflow.flow.load import load
from sensorflow.flow.outcomes import Outcome, Result, after_failure, run_to_outcome
from sensorflow.flow.quarantine import quarantine
from sensorflow.flow.single_pass import load_single_pass
from sensorflow.flow.transform import transform
from sensorflow.flow.unpack import is_archive, unpack
from sensorflow.flow.validate import validate
from sensorflow.ports.claims import BatchLimits, Claim, Claimed
from sensorflow.ports.files import Counts, StageReport
from sensorflow.ports.queue import Task
from sensorflow.telemetry import Event, emit

KeepLeases = Callable[[Sequence[Claim]], AbstractContextManager[IsLost | None]]
"""A function that returns a context manager, which renews the leases of claims. The context manager may
raise Transient on entry. It yields a function that returns whether a lease is known to be lost; or None if
nobody renews the leases."""

_ALL_STAGES = Task(())
"""All stages, for any file."""


def process(services: Services, task: Task, keep_leases: KeepLeases) -> list[Result]:
    """Do the task of a message. A small new file that has its own message is claimed in a batch
    with other pending files.

    Returns the outcome of each claimed file, or a single result if no file was claimed. Never
    raises for a fault of a file. Raises Transient DATABASE if the outcome cannot be recorded. The
    lease then expires, and the reconciler sends the file again.
    """
    at = now()
    claimed = _claim(services, task)
    if not claimed.claims:
        return [Result(Outcome.NOTHING_TO_DO, _why_nothing_to_do(claimed))]
    failpoints.hit(failpoints.Failpoint.CLAIMED)
    file_tasks, batchable = _file_tasks(services, claimed, at), []
    with ExitStack() as stack:
        try:
            lost = stack.enter_context(keep_leases(claimed.claims))
        except Exception as error:  # noqa: BLE001 - the claims must be nacked
            return [
                spans.attempted(file_task, after_failure(file_task, error))
                for file_task in file_tasks
            ]
        file_tasks = [_watched(file_task, lost) for file_task in file_tasks]
        file_tasks = _read_ahead(stack, services, file_tasks)
        if len(file_tasks) > 1:  # runs all stages: a message for one stage has one file
            can_batch = [_can_batch(file_task) for file_task in file_tasks]
            batchable, file_tasks = (
                [file_task for file_task, fits in zip(file_tasks, can_batch, strict=True) if fits],
                [
                    file_task
                    for file_task, fits in zip(file_tasks, can_batch, strict=True)
                    if not fits
                ],
            )
        loaded = partial(_loaded_in_batch, time.time_ns(), len(batchable))
        results = micro_batch.run(
            batchable, _attempt, lambda file_task: _work(file_task, _ALL_STAGES), loaded
        )
        results += [
            _attempt(file_task, partial(_work, file_task, task)) for file_task in file_tasks
        ]
    return [
        replace(result, has_own_message=file_task.claim.file_id not in task.file_ids)
        for file_task, result in zip([*batchable, *file_tasks], results, strict=True)
    ]


def _read_ahead(stack: ExitStack, services: Services, file_tasks: list[FileTask]) -> list[FileTask]:
    """Request the bytes of small files in parallel, and only once, if they are not on this host. A file of
    a source that unpacks archives is opened twice: to find out whether it is an archive, and to read it."""
    unpacked = [name for name, source in services.settings.sources.items() if source.unpack]
    small = [
        t.claim.landing
        for t in file_tasks
        if t.claim.size <= publish.SMALL_FILE_BYTES and t.claim.stage is Stage.VALIDATE
        if len(file_tasks) > 1 or t.claim.source in unpacked
    ]
    if not small:
        return file_tasks
    landing = stack.enter_context(services.landing.read_ahead(small))
    return [replace(t, services=replace(t.services, landing=landing)) for t in file_tasks]


def _attempt(file_task: FileTask, work: Callable[[], Result]) -> Result:
    return spans.attempted(file_task, run_to_outcome(file_task, work))


def _file_tasks(services: Services, claimed: Claimed, at: float) -> list[FileTask]:
    return [
        FileTask(services, claim, at, claimed.progress[claim.file_id]) for claim in claimed.claims
    ]


def _watched(file_task: FileTask, lost: IsLost | None) -> FileTask:
    if isinstance(lost, Watched):
        return replace(file_task, is_lost=lost, meter=lost.meters[file_task.claim.file_id])
    return replace(file_task, is_lost=lost)


def _can_batch(file_task: FileTask) -> bool:
    """Whether a file may be committed with others. Returns False if this cannot be determined; the
    error then occurs again when the file is processed alone."""
    if not micro_batch.is_eligible(file_task):
        return False
    try:
        return not is_archive(file_task)
    except SensorflowError:
        return False


def _claim(services: Services, task: Task) -> Claimed:
    s, file_ids = services.settings, task.file_ids
    stages = WORK if task.only is None else (task.only,)
    if task.only is not None or len(file_ids) > 1 or s.group_small_files:
        return services.ledger.claim_many(file_ids, stages, services.owner, s.lease)
    limits = BatchLimits(
        sources=tuple(name for name, source in s.sources.items() if source.dedupe_scope == "file"),
        file_bytes=min(publish.SMALL_FILE_BYTES, s.inline_below),
        total_bytes=publish.BATCH_BYTES,
        files=publish.BATCH_FILES,
        share=publish.MIN_BATCHES,
    )
    return services.ledger.claim_batch(file_ids[0], stages, services.owner, s.lease, limits)


def _why_nothing_to_do(found: Claimed) -> str:
    """Returns the reason why there is nothing to do. If the file is in the batch of another file, the
    reason names that other file."""
    if found.state is None or found.taken_with is None:
        return "nothing to do: done, not due, or claimed by another worker"
    if found.state is State.LOADED:
        return f"nothing to do: loaded in the batch of file {found.taken_with}"
    if found.state is State.RUNNING:
        return f"nothing to do: being loaded in the batch of file {found.taken_with}"
    return f"nothing to do: in the batch of file {found.taken_with}, now {found.state}"


def _work(file_task: FileTask, task: Task) -> Result:
    if file_task.claim.stage is Stage.QUARANTINE:
        return _quarantine(file_task)
    if is_archive(file_task):
        return _unpacked(file_task)
    if (
        task.only is None
        and file_task.claim.stage is Stage.VALIDATE
        and not file_task.claim.has_loaded_rows
    ):
        with suppress(OutOfOrder), spans.StageSpan(file_task, "process", (OutOfOrder,)):
            # OutOfOrder: too large for a single pass, and out of order
            return _loaded(file_task, load_single_pass(file_task))
    return _in_stages(file_task, task)


def _unpacked(file_task: FileTask) -> Result:
    with spans.StageSpan(file_task, "unpack"):
        note = unpack(file_task)
    emit(Event.ARCHIVE_UNPACKED, **file_task.log_ids, note=note)
    return Result(Outcome.LOADED, f"{file_task.name}: {note}")


def _loaded(file_task: FileTask, counts: Counts) -> Result:
    emit(Event.FILE_LOADED, **file_task.log_ids, loaded=counts.loaded)
    return Result(Outcome.LOADED, _describe_counts(file_task, counts), counts=counts)


def _loaded_in_batch(began: int, files: int, file_task: FileTask, counts: Counts) -> Result:
    spans.worked(file_task, "process", began, counts.loaded, batch=files)
    return _loaded(file_task, counts)


def _in_stages(file_task: FileTask, task: Task) -> Result:
    reports: list[StageReport] = []
    for stage in WORK[WORK.index(file_task.claim.stage) :]:
        began = time.perf_counter()
        with spans.StageSpan(file_task, stage) as span:
            if stage is Stage.LOAD:
                counts = load(file_task, tuple(reports))
                span.rows = counts.loaded
                return _loaded(file_task, counts)
            file_task, rows, note = _STEPS[stage](file_task)
            span.rows = rows
        failpoints.hit(_DONE[stage])
        report = StageReport(stage, time.perf_counter() - began, rows, note)
        if task.only is not None:
            following = WORK[WORK.index(stage) + 1]
            file_task.services.ledger.advance(
                file_task.claim, following, file_task.counts, report, task.next_sent
            )
            failpoints.hit(failpoints.Failpoint.ADVANCED)
            return Result(Outcome.ADVANCED, f"{stage} done, {rows:,} rows: {file_task.name}")
        reports.append(report)
    raise AssertionError("load is the last stage")


_STEPS: dict[Stage, Callable[[FileTask], tuple[FileTask, int, str]]] = {
    Stage.VALIDATE: validate,
    Stage.TRANSFORM: transform,
}
_DONE = {
    Stage.VALIDATE: failpoints.Failpoint.VALIDATED,
    Stage.TRANSFORM: failpoints.Failpoint.TRANSFORMED,
}


def _describe_counts(file_task: FileTask, counts: Counts) -> str:
    return (
        f"loaded {file_task.name}: read={counts.read} loaded={counts.loaded} "
        f"rejected={counts.rejected} duplicates={counts.duplicate}"
    )


def _quarantine(file_task: FileTask) -> Result:
    began = time.perf_counter()
    with spans.StageSpan(file_task, Stage.QUARANTINE):
        where = quarantine(file_task)
    failpoints.hit(failpoints.Failpoint.MANIFEST_WRITTEN)
    report = StageReport(Stage.QUARANTINE, time.perf_counter() - began, 0)
    file_task.services.ledger.mark_quarantined(file_task.claim, where, report)
    failpoints.hit(failpoints.Failpoint.QUARANTINED)
    emit(Event.FILE_QUARANTINED, **file_task.log_ids, where=where)
    return Result(Outcome.QUARANTINED, f"quarantined {file_task.name}: {where}")
