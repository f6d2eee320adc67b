"""Take a file through its stages: claim it, do the work, and always record an outcome."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import replace
from functools import partial

from sensorflow import crash
from sensorflow.core.occurrences import Disordered
from sensorflow.core.states import WORK, Stage, State
from sensorflow.errors import SensorflowError
from sensorflow.flow import micro_batch, publish
from sensorflow.flow.clock import now
from sensorflow.flow.leases import Lost
from sensorflow.flow.load import load
from sensorflow.flow.outcomes import Outcome, Result, failed, outcome_of
from sensorflow.flow.quarantine import quarantine
from sensorflow.flow.single_pass import load_in_one_pass
from sensorflow.flow.transform import transform
from sensorflow.flow.unpack import is_archive, unpack
from sensorflow.flow.validate import validate
from sensorflow.flow.work import Job, World
from sensorflow.ports.claims import BatchLimits, Claim, Claimed
from sensorflow.ports.files import Counts, StageReport
from sensorflow.ports.queue import Task
from sensorflow.telemetry import Event, emit

Keep = Callable[[Sequence[Claim]], AbstractContextManager[Lost | None]]
"""Makes a context in which the leases of claims are renewed, and which knows those that were lost; None
where nobody renews. Its begin may raise Transient."""

_WHOLE = Task(())
"""All stages, for any file."""


def process(world: World, task: Task, keep: Keep) -> list[Result]:
    """Do what a message asks for, whichever engine received it. A small new file that has its own message
    is claimed in a batch with other pending files.

    Returns the outcome of each file that was claimed, or one result if none was. Never raises for a fault
    of a file. Raises Transient DATABASE if not even the outcome could be recorded; the lease then expires,
    and the reconciler sends the file again.
    """
    at = now()
    claimed = _claim(world, task)
    if not claimed.claims:
        return [Result(Outcome.NOTHING, _nothing(claimed))]
    crash.point(crash.Point.CLAIMED)
    jobs, alike = _jobs(world, claimed, at), []
    with ExitStack() as kept:
        try:
            lost = kept.enter_context(keep(claimed.claims))
        except Exception as error:  # noqa: BLE001 - the claims are to be given back
            return [failed(job, error) for job in jobs]
        jobs = [replace(job, is_lost=lost) for job in jobs]
        if len(jobs) > 1:  # all stages, then: a message of one stage is of one file
            plain = [_is_plain(job) for job in jobs]
            alike, jobs = (
                [job for job, fits in zip(jobs, plain, strict=True) if fits],
                [job for job, fits in zip(jobs, plain, strict=True) if not fits],
            )
        results = micro_batch.work(alike, outcome_of, lambda job: _work(job, _WHOLE), _loaded)
        results += [outcome_of(job, partial(_work, job, task)) for job in jobs]
    return [
        replace(result, along=job.claim.file_id not in task.file_ids)
        for job, result in zip([*alike, *jobs], results, strict=True)
    ]


def _jobs(world: World, claimed: Claimed, at: float) -> list[Job]:
    return [Job(world, claim, at, claimed.progress[claim.file_id]) for claim in claimed.claims]


def _is_plain(job: Job) -> bool:
    """Whether a file may be committed with others. If this cannot be determined now, returns the safe
    answer, and the error surfaces when the file is processed alone."""
    if not micro_batch.fits(job):
        return False
    try:
        return not is_archive(job)
    except SensorflowError:
        return False


def _claim(world: World, task: Task) -> Claimed:
    s, file_ids = world.settings, task.file_ids
    stages = WORK if task.only is None else (task.only,)
    if task.only is not None or len(file_ids) > 1 or s.group_small_files:
        return world.ledger.claim_many(file_ids, stages, world.owner, s.lease)
    limits = BatchLimits(
        sources=tuple(name for name, source in s.sources.items() if source.dedupe_scope == "file"),
        file_bytes=min(publish.SMALL, s.inline_below),
        total_bytes=publish.SIZE,
        files=publish.MOST,
        share=publish.PARTS,
    )
    return world.ledger.claim_batch(file_ids[0], stages, world.owner, s.lease, limits)


def _nothing(found: Claimed) -> str:
    """Returns why there is nothing to do, with the file that it was loaded together with, if known."""
    if found.state is None or found.taken_with is None:
        return "nothing to do: done, not due, or claimed by another worker"
    if found.state is State.LOADED:
        return f"nothing to do: loaded in the batch of file {found.taken_with}"
    if found.state is State.RUNNING:
        return f"nothing to do: being loaded in the batch of file {found.taken_with}"
    return f"nothing to do: in the batch of file {found.taken_with}, now {found.state}"


def _work(job: Job, task: Task) -> Result:
    if job.claim.stage is Stage.QUARANTINE:
        return _quarantine(job)
    if is_archive(job):
        return _unpacked(job)
    if task.only is None and job.claim.stage is Stage.VALIDATE and not job.claim.again:
        with suppress(Disordered):  # too large for a single pass, and out of order
            return _loaded(job, load_in_one_pass(job))
    return _in_stages(job, task)


def _unpacked(job: Job) -> Result:
    note = unpack(job)
    emit(Event.ARCHIVE_UNPACKED, file_id=job.claim.file_id, note=note)
    return Result(Outcome.LOADED, f"{job.name}: {note}")


def _loaded(job: Job, counts: Counts) -> Result:
    emit(Event.FILE_LOADED, file_id=job.claim.file_id, loaded=counts.loaded)
    return Result(Outcome.LOADED, _account(job, counts))


def _in_stages(job: Job, task: Task) -> Result:
    reports: list[StageReport] = []
    for stage in WORK[WORK.index(job.claim.stage) :]:
        began = time.perf_counter()
        if stage is Stage.LOAD:
            return _loaded(job, load(job, tuple(reports)))
        job, rows, note = _STEPS[stage](job)
        crash.point(_DONE[stage])
        report = StageReport(stage, time.perf_counter() - began, rows, note)
        if task.only is not None:
            following = WORK[WORK.index(stage) + 1]
            job.world.ledger.advance(job.claim, following, job.counts, report, task.next_sent)
            crash.point(crash.Point.ADVANCED)
            return Result(Outcome.ADVANCED, f"{stage} done, {rows:,} rows: {job.name}")
        reports.append(report)
    raise AssertionError("load is the last stage")


_STEPS: dict[Stage, Callable[[Job], tuple[Job, int, str]]] = {
    Stage.VALIDATE: validate,
    Stage.TRANSFORM: transform,
}
_DONE = {
    Stage.VALIDATE: crash.Point.VALIDATED,
    Stage.TRANSFORM: crash.Point.TRANSFORMED,
}


def _account(job: Job, counts: Counts) -> str:
    return (
        f"loaded {job.name}: read={counts.read} loaded={counts.loaded} "
        f"rejected={counts.rejected} duplicates={counts.duplicate}"
    )


def _quarantine(job: Job) -> Result:
    began = time.perf_counter()
    where = quarantine(job)
    crash.point(crash.Point.NOTED)
    report = StageReport(Stage.QUARANTINE, time.perf_counter() - began, 0)
    job.world.ledger.quarantined(job.claim, where, report)
    crash.point(crash.Point.QUARANTINED)
    emit(Event.FILE_QUARANTINED, file_id=job.claim.file_id, where=where)
    return Result(Outcome.QUARANTINED, f"quarantined {job.name}: {where}")
