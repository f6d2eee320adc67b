"""What a file's work ends with: an outcome that is always written down, whatever it raised."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from sensorflow import crash, threads
from sensorflow.core.arrival import printable
from sensorflow.core.retry import backoff
from sensorflow.core.states import Stage
from sensorflow.errors import LASTING, REMEDY, Code, Fenced, Permanent, SensorflowError, Transient
from sensorflow.flow.validate import TooManyRejects
from sensorflow.flow.work import Job
from sensorflow.telemetry import Event, emit


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


def outcome_of(job: Job, work: Callable[[], Result]) -> Result:
    """Do the work; whatever it raises is written down."""
    claim = job.claim
    try:
        if claim.attempt > job.world.settings.max_attempts and claim.stage is not Stage.QUARANTINE:
            raise Permanent(
                Code.CRASHED,
                f"{claim.attempt - 1} attempts at {claim.stage} ended without a result",
                attempts=claim.attempt - 1,
            )
        return work()
    except Fenced as error:
        return _fenced(job, error)
    except Permanent as error:
        return _condemn(job, error)
    except Exception as error:  # noqa: BLE001 - a defect must end in the ledger too
        return failed(job, error)


def failed(job: Job, error: Exception) -> Result:
    """Of no attempt where it is not the file's fault."""
    if (lack := threads.lack(error)) is not None:
        if (why := threads.refused(lack)) is not None:
            return _retried(job, Transient(Code.HOST, why), burned=False)
        return _unexpected(job, MemoryError())
    if isinstance(error, Transient):
        return _retried(job, error, burned=False)
    if isinstance(error, OSError):  # the disk's: those of files are Permanent where they arise
        return _retried(job, Transient(Code.STORAGE, str(error)), burned=False)
    return _unexpected(job, error)


def _condemn(job: Job, error: Permanent) -> Result:
    if job.claim.stage is Stage.QUARANTINE:  # there is nowhere further to go
        return _retried(job, error, burned=False)
    counts = error.counts if isinstance(error, TooManyRejects) else job.counts
    error.place.setdefault("attempts", job.claim.attempt)
    try:
        state = job.world.ledger.condemn(job.claim, error, counts)
        crash.point(crash.Point.CONDEMNED)
    except Fenced as fenced:
        return _fenced(job, fenced)
    emit(Event.FILE_CONDEMNED, file_id=job.claim.file_id, code=error.code, state=state)
    return Result(Outcome.CONDEMNED, f"{printable(job.claim.key)}: {error}", error)


def _fenced(job: Job, error: Fenced) -> Result:
    with suppress(Transient):  # then `Maintenance.tidy` comes to it by itself
        job.world.ledger.collect_again(job.claim.file_id)
    emit(Event.LEASE_LOST, file_id=job.claim.file_id, token=job.claim.token)
    return Result(Outcome.FENCED, str(error), error)


def _retried(job: Job, error: SensorflowError, burned: bool) -> Result:
    waits = SELDOM if error.code in LASTING else {}
    delay = backoff(job.claim.retries + 1, random.random(), **waits)
    try:
        _release(job, error, delay, burned)
    except Fenced as fenced:
        return _fenced(job, fenced)
    emit(Event.FILE_RETRIED, file_id=job.claim.file_id, code=error.code, delay=delay)
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
            emit(
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
    emit(Event.FILE_RETRIED, "error", exc_info=True, file_id=job.claim.file_id)
    code, reason = Code.UNEXPECTED, f"{type(error).__name__}: {error}"[:500]
    if isinstance(error, MemoryError):
        limit = job.world.settings.max_memory
        code, reason = Code.OUT_OF_MEMORY, f"the file needs more than {limit:,} bytes of memory"
    if job.claim.attempt >= job.world.settings.max_attempts:
        return _condemn(job, Permanent(code, reason))
    return _retried(job, Transient(code, reason), burned=True)
