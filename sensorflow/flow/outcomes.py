"""The outcome of a file's work. It is always recorded, whatever the work raised."""

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
from sensorflow.errors import (
    DO,
    LASTING,
    REMEDY,
    Code,
    DecoderFailed,
    Fenced,
    Permanent,
    SensorflowError,
    Transient,
)
from sensorflow.flow.validate import TooManyRejects
from sensorflow.flow.work import Job
from sensorflow.telemetry import Event, emit


class Outcome(StrEnum):
    LOADED = "loaded"
    ADVANCED = "advanced"  # a stage is done; the next stage is a separate task
    QUARANTINED = "quarantined"
    CONDEMNED = "condemned"  # dead-lettered; a separate task quarantines it
    RETRY = "retry"
    NOTHING = "nothing"  # already done, or claimed by another worker
    FENCED = "fenced"


@dataclass(frozen=True)
class Result:
    """The outcome of one file. text: one line for people. error, delay (seconds): set on failure. along:
    the file was claimed in another file's batch, and its own message will find it done."""

    outcome: Outcome
    text: str
    error: SensorflowError | None = None
    delay: float = 0.0
    along: bool = False


RELEASE_PAUSE = 1.0
"""Seconds between attempts to record an outcome while the database is unavailable."""
RELEASE_PATIENCE = 600.0
"""Seconds after which these attempts end. An outage may outlast a lease, and must not count against the
file."""

SELDOM = {"base": 2.0, "cap": 300.0}
"""Retry delays for failures that waiting is unlikely to fix."""


def outcome_of(job: Job, work: Callable[[], Result]) -> Result:
    """Do the work and record the outcome, whatever the work raises."""
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
    except DecoderFailed as error:
        return failed(job, error)
    except Permanent as error:
        return _condemn(job, error)
    except Exception as error:  # noqa: BLE001 - a defect must end in the ledger too
        return failed(job, error)


def failed(job: Job, error: Exception) -> Result:
    """Of no attempt where it is not the file's fault."""
    raised = error.__cause__ if isinstance(error, DecoderFailed) else None
    if (lack := threads.lack(raised or error)) is not None:
        if (why := threads.refused(lack)) is not None:
            return _retried(job, Transient(Code.HOST, why), burned=False)
        return _unexpected(job, MemoryError())
    if isinstance(error, Transient):
        return _retried(job, error, burned=False)
    if isinstance(error, OSError):  # from the disk; file errors are raised as Permanent
        return _retried(job, Transient(Code.STORAGE, str(error)), burned=False)
    return _unexpected(job, error)


def _condemn(job: Job, error: Permanent) -> Result:
    if job.claim.stage is Stage.QUARANTINE:  # quarantine is the last stage
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
    with suppress(Transient):  # then `Maintenance.tidy` finds the file by itself
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
    """Nack the claim as soon as the database accepts it. burned: whether the attempt counts."""
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
    """Handle a defect, or a file that triggers one: the attempt counts, and the last attempt dead-letters
    the file."""
    emit(Event.FILE_RETRIED, "error", exc_info=True, file_id=job.claim.file_id)
    code, reason, do = Code.UNEXPECTED, f"{type(error).__name__}: {error}"[:500], None
    if isinstance(error, DecoderFailed):
        reason, do = error.message, error.place.get(DO)
    if isinstance(error, MemoryError):
        limit = job.world.settings.max_memory
        code, reason = Code.OUT_OF_MEMORY, f"the file needs more than {limit:,} bytes of memory"
    if job.claim.attempt >= job.world.settings.max_attempts:
        return _condemn(job, Permanent(code, reason, do=do))
    return _retried(job, Transient(code, reason, do=do), burned=True)
