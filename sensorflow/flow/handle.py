"""Take one file through its stages: claim, work, and an outcome that is always written down."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Any

from sensorflow import crash, threads
from sensorflow.core.arrival import printable
from sensorflow.core.occurrences import Disordered
from sensorflow.core.retry import backoff
from sensorflow.core.states import WORK, Stage, State
from sensorflow.errors import LASTING, REMEDY, Code, Fenced, Permanent, SensorflowError, Transient
from sensorflow.flow import publish, together
from sensorflow.flow.clock import now
from sensorflow.flow.ingest import load_in_one_pass
from sensorflow.flow.load import load
from sensorflow.flow.quarantine import quarantine
from sensorflow.flow.transform import transform
from sensorflow.flow.unpack import is_archive, unpack
from sensorflow.flow.validate import TooManyRejects, validate
from sensorflow.flow.work import Job, World
from sensorflow.ports.claims import BatchLimits, Claim, Claimed
from sensorflow.ports.files import Counts, StageReport
from sensorflow.telemetry import Event, log


class Outcome(StrEnum):
    LOADED = "loaded"
    ADVANCED = "advanced"  # a stage is done, the next one is its own task
    QUARANTINED = "quarantined"
    CONDEMNED = "condemned"  # to be quarantined by a task of its own
    RETRY = "retry"
    NOTHING = "nothing"  # done already, or somebody else's
    FENCED = "fenced"


@dataclass(frozen=True)
class Result:
    """The outcome of one file. text: one line for people; error and delay (seconds) on failure. along:
    the file was taken along, and has a task of its own that finds it done."""

    outcome: Outcome
    text: str
    error: SensorflowError | None = None
    delay: float = 0.0
    along: bool = False


RELEASE_PAUSE = 1.0
"""Seconds between tries to write down an outcome while the database is away."""
RELEASE_PATIENCE = 600.0
"""Seconds of such tries. An outage is longer than a lease, and none of it is the file's fault."""

SELDOM = {"base": 2.0, "cap": 300.0}
"""How long to wait with what no waiting cures."""

Keep = Callable[[Sequence[Claim]], Any]
"""Makes a context in which the leases of claims are renewed. Its begin may raise Transient."""


def handle(world: World, file_ids: Sequence[int], only: Stage | None, keep: Keep) -> list[Result]:
    """Work on the files of a message: all their stages from where they stand, or `only` one of a chain.
    A small new file that comes by itself takes waiting ones along.

    Returns the outcome of each file that was there to be worked on, or one result if none was. Never
    raises for a file's fault. Raises Transient DATABASE when not even the outcome could be written
    down: then the lease ends by itself and the sweeper publishes the file again.
    """
    at = now()
    claimed = _claim(world, file_ids, only)
    if not claimed.claims:
        return [Result(Outcome.NOTHING, _nothing(claimed))]
    crash.point(crash.Point.CLAIMED)
    jobs, alike = [Job(world, claim, at) for claim in claimed.claims], []
    with ExitStack() as kept:
        try:
            kept.enter_context(keep(claimed.claims))
        except Transient as error:
            return [_retry(job, error, burned=False) for job in jobs]
        if len(jobs) > 1:  # all stages, then: a message of a chain is of one file
            plain = [_is_plain(job) for job in jobs]
            alike, jobs = (
                [job for job, fits in zip(jobs, plain, strict=True) if fits],
                [job for job, fits in zip(jobs, plain, strict=True) if not fits],
            )
        results = together.work(alike, _outcome, lambda job: _work(job, None), _loaded)
        results += [_outcome(job, partial(_work, job, only)) for job in jobs]
    return [
        replace(result, along=job.claim.file_id not in file_ids)
        for job, result in zip([*alike, *jobs], results, strict=True)
    ]


def _is_plain(job: Job) -> bool:
    """Whether a file may be committed with others. What cannot be known now is found out by whoever has it
    alone."""
    if not together.fits(job):
        return False
    try:
        return not is_archive(job)
    except SensorflowError:
        return False


def _claim(world: World, file_ids: Sequence[int], only: Stage | None) -> Claimed:
    s, stages = world.settings, WORK if only is None else (only,)
    if only is not None or len(file_ids) > 1 or s.group_small_files:
        return Claimed(world.ledger.claim_many(file_ids, stages, world.owner, s.lease))
    limits = BatchLimits(
        sources=tuple(name for name, source in s.sources.items() if source.dedupe_scope == "file"),
        file_bytes=min(publish.SMALL, s.inline_below),
        total_bytes=publish.SIZE,
        files=publish.MOST,
        share=publish.PARTS,
    )
    return world.ledger.claim_batch(file_ids[0], stages, world.owner, s.lease, limits)


def _nothing(found: Claimed) -> str:
    """Why there is nothing to do: with which file it was loaded, where that is known."""
    if found.state is None or found.taken_with is None:
        return "nothing to do: done, not due, or another worker has it"
    if found.state is State.LOADED:
        return f"nothing to do: loaded together with file {found.taken_with}"
    if found.state is State.RUNNING:
        return f"nothing to do: being loaded together with file {found.taken_with}"
    return f"nothing to do: taken along with file {found.taken_with}, now {found.state}"


def _outcome(job: Job, work: Callable[[], Result]) -> Result:
    """Do the work; whatever it raises is written down."""
    claim = job.claim
    try:
        if claim.attempt > job.world.settings.max_attempts and claim.stage is not Stage.QUARANTINE:
            raise Permanent(
                Code.CRASHED,
                f"{claim.attempt - 1} attempts at {claim.stage} ended without an outcome",
                attempts=claim.attempt - 1,
            )
        return work()
    except Fenced as error:
        return _fenced(job, error)
    except Permanent as error:
        return _condemn(job, error)
    except Exception as error:  # noqa: BLE001 - a defect must end in the ledger too
        return _failed(job, error)


def _failed(job: Job, error: Exception) -> Result:
    """Of no attempt where it is not the file's fault."""
    if (lack := threads.lack(error)) is not None:
        if (why := threads.refused(lack)) is not None:
            return _retry(job, Transient(Code.HOST, why), burned=False)
        return _unexpected(job, MemoryError())
    if isinstance(error, Transient):
        return _retry(job, error, burned=False)
    if isinstance(error, OSError):  # the disk's: those of files are Permanent where they arise
        return _retry(job, Transient(Code.STORAGE, str(error)), burned=False)
    return _unexpected(job, error)


def _work(job: Job, only: Stage | None) -> Result:
    if job.claim.stage is Stage.QUARANTINE:
        return _quarantine(job)
    if is_archive(job):
        return _unpacked(job)
    if only is None and job.claim.stage is Stage.VALIDATE and not job.claim.again:
        with suppress(Disordered):  # too large for one pass, and not in order
            return _loaded(job, load_in_one_pass(job))
    return _in_stages(job, only)


def _unpacked(job: Job) -> Result:
    note = unpack(job)
    log().info(Event.ARCHIVE_UNPACKED, file_id=job.claim.file_id, note=note)
    return Result(Outcome.LOADED, f"{job.name}: {note}")


def _loaded(job: Job, counts: Counts) -> Result:
    log().info(Event.FILE_LOADED, file_id=job.claim.file_id, loaded=counts.loaded)
    return Result(Outcome.LOADED, _account(job, counts))


def _in_stages(job: Job, only: Stage | None) -> Result:
    reports: list[StageReport] = []
    for stage in WORK[WORK.index(job.claim.stage) :]:
        began = time.perf_counter()
        if stage is Stage.LOAD:
            return _loaded(job, load(job, tuple(reports)))
        job, rows, note = _STEPS[stage](job)
        crash.point(_DONE[stage])
        report = StageReport(stage, time.perf_counter() - began, rows, note)
        if only is not None:
            following = WORK[WORK.index(stage) + 1]
            job.world.ledger.advance(job.claim, following, job.counts, report)
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
    log().warning(Event.FILE_QUARANTINED, file_id=job.claim.file_id, where=where)
    return Result(Outcome.QUARANTINED, f"quarantined {job.name}: {where}")


def _condemn(job: Job, error: Permanent) -> Result:
    if job.claim.stage is Stage.QUARANTINE:  # there is nowhere further to go
        return _retry(job, error, burned=False)
    counts = error.counts if isinstance(error, TooManyRejects) else job.counts
    error.place.setdefault("attempts", job.claim.attempt)
    try:
        state = job.world.ledger.condemn(job.claim, error, counts)
        crash.point(crash.Point.CONDEMNED)
    except Fenced as fenced:
        return _fenced(job, fenced)
    log().warning(Event.FILE_CONDEMNED, file_id=job.claim.file_id, code=error.code, state=state)
    return Result(Outcome.CONDEMNED, f"{printable(job.claim.key)}: {error}", error)


def _fenced(job: Job, error: Fenced) -> Result:
    with suppress(Transient):  # then `Ledger.tidy` comes to it by itself
        job.world.ledger.collect_again(job.claim.file_id)
    log().warning(Event.LEASE_LOST, file_id=job.claim.file_id, token=job.claim.token)
    return Result(Outcome.FENCED, str(error), error)


def _retry(job: Job, error: SensorflowError, burned: bool) -> Result:
    waits = SELDOM if error.code in LASTING else {}
    delay = backoff(job.claim.retries + 1, random.random(), **waits)
    try:
        _release(job, error, delay, burned)
    except Fenced as fenced:
        return _fenced(job, fenced)
    log().warning(Event.FILE_RETRIED, file_id=job.claim.file_id, code=error.code, delay=delay)
    return Result(Outcome.RETRY, f"{job.name}: {error}", error, delay)


def _release(job: Job, error: SensorflowError, delay: float, burned: bool) -> None:
    """Give the claim back, and with it the attempt, as soon as the database takes it."""
    until = time.monotonic() + max(RELEASE_PATIENCE, job.world.settings.lease)
    while True:
        try:
            return job.world.ledger.release(job.claim, error, delay, burned)
        except Fenced:
            raise
        except Transient as away:
            log().error(
                Event.WORK_PAUSED,
                file_id=job.claim.file_id,
                code=away.code,
                reason=away.message,
                do=REMEDY.get(away.code, ""),
            )
            if time.monotonic() + RELEASE_PAUSE > until:
                raise
            time.sleep(RELEASE_PAUSE)


def _unexpected(job: Job, error: Exception) -> Result:
    """A defect, or a file that provokes one: the attempt counts, and the last one condemns."""
    log().exception(Event.FILE_RETRIED, file_id=job.claim.file_id)
    code, reason = Code.UNEXPECTED, f"{type(error).__name__}: {error}"[:500]
    if isinstance(error, MemoryError):
        limit = job.world.settings.max_memory
        code, reason = Code.OUT_OF_MEMORY, f"the file needs more than {limit:,} bytes of memory"
    if job.claim.attempt >= job.world.settings.max_attempts:
        return _condemn(job, Permanent(code, reason))
    return _retry(job, Transient(code, reason), burned=True)
