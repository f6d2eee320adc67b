"""Do the work of a file and record its outcome, even if the work raises an exception."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from sensorflow import failpoints, threads
from sensorflow.core.arrival import printable
from sensorflow.core.retry import backoff
from sensorflow.core.states import Stage
from sensorflow.errors import (
    DO,
    OUTAGE_CODES,
    Code,
    DecoderFailed,
    Fenced,
    Permanent,
    SensorflowError,
    Transient,
)
from sensorflow.flow.file_task import FileTask
from sensorflow.flow.validate import TooManyRejects
from sensorflow.ports.files import Counts
from sensorflow.telemetry import Event, emit


class Outcome(StrEnum):
    LOADED = "loaded"
    ADVANCED = "advanced"  # a stage is done; the next stage is a separate task
    QUARANTINED = "quarantined"
    DEAD_LETTERED = "condemned"  # dead-lettered; a separate task quarantines it
    RETRY = "retry"
    NOTHING_TO_DO = "nothing"  # already done, or claimed by another worker
    FENCED = "fenced"


@dataclass(frozen=True)
class Result:
    """The outcome of one file. text: a human-readable line. error: the error of a file that failed. delay:
    seconds until a retry. has_own_message: whether the file was claimed in another file's batch, so that
    its own message will have no effect. counts: the row counts of a loaded file."""

    outcome: Outcome
    text: str
    error: SensorflowError | None = None
    delay: float = 0.0
    has_own_message: bool = False
    counts: Counts | None = None


NACK_RETRY_SECONDS = 1.0
"""Seconds between attempts to record an outcome if the database is unavailable."""
NACK_TIMEOUT_SECONDS = 600.0
"""Seconds after which no further attempt to record an outcome is made. The limit is long, because an outage
that outlasts the lease must not count as an attempt."""

SLOW_BACKOFF = {"base": 2.0, "cap": 300.0}
"""Retry delays for failures that usually need human intervention, such as a rejected login."""


def run_to_outcome(file_task: FileTask, work: Callable[[], Result]) -> Result:
    """Do the work and record its outcome, even if the work raises an exception."""
    claim = file_task.claim
    try:
        if (
            claim.attempt > file_task.services.settings.max_attempts
            and claim.stage is not Stage.QUARANTINE
        ):
            raise Permanent(
                Code.CRASHED,
                f"{claim.attempt - 1} attempts at {claim.stage} ended without a result",
                attempts=claim.attempt - 1,
            )
        return work()
    except Fenced as error:
        return _after_fencing(file_task, error)
    except DecoderFailed as error:
        return after_failure(file_task, error)
    except Permanent as error:
        return _dead_letter(file_task, error)
    except Exception as error:  # noqa: BLE001 - a defect must be recorded in the ledger too
        return after_failure(file_task, error)


def after_failure(file_task: FileTask, error: Exception) -> Result:
    """Schedule a retry. The attempt counts only if the file may have caused the error."""
    raised = error.__cause__ if isinstance(error, DecoderFailed) else None
    if (lack := threads.exhaustion_in(raised or error)) is not None:
        if (reason := threads.host_refusal(lack)) is not None:
            return _retry(file_task, Transient(Code.HOST, reason), counts_as_attempt=False)
        return _after_defect(file_task, MemoryError())
    if isinstance(error, Transient):
        return _retry(file_task, error, counts_as_attempt=False)
    if isinstance(error, OSError):  # from the disk; file errors are raised as Permanent
        return _retry(file_task, Transient(Code.STORAGE, str(error)), counts_as_attempt=False)
    return _after_defect(file_task, error)


def _dead_letter(file_task: FileTask, error: Permanent) -> Result:
    if file_task.claim.stage is Stage.QUARANTINE:  # quarantine is the last stage
        return _retry(file_task, error, counts_as_attempt=False)
    counts = error.counts if isinstance(error, TooManyRejects) else file_task.counts
    error.place.setdefault("attempts", file_task.claim.attempt)
    try:
        state = file_task.services.ledger.dead_letter(file_task.claim, error, counts)
        failpoints.hit(failpoints.Failpoint.DEAD_LETTERED)
    except Fenced as fenced:
        return _after_fencing(file_task, fenced)
    emit(Event.FILE_DEAD_LETTERED, **file_task.log_ids, code=error.code, state=state)
    return Result(Outcome.DEAD_LETTERED, f"{printable(file_task.claim.key)}: {error}", error)


def _after_fencing(file_task: FileTask, error: Fenced) -> Result:
    with suppress(Transient):  # otherwise `Maintenance.collect_garbage` finds the file
        file_task.services.ledger.mark_garbage(file_task.claim.file_id)
    emit(Event.LEASE_LOST, **file_task.log_ids, token=file_task.claim.token)
    return Result(Outcome.FENCED, str(error), error)


def _retry(file_task: FileTask, error: SensorflowError, counts_as_attempt: bool) -> Result:
    backoff_options = SLOW_BACKOFF if error.code in OUTAGE_CODES else {}
    delay = backoff(file_task.claim.retries + 1, random.random(), **backoff_options)
    try:
        _nack(file_task, error, delay, counts_as_attempt)
    except Fenced as fenced:
        return _after_fencing(file_task, fenced)
    facts = {"code": error.code, "reason": error.message, "do": error.remedy, "delay": delay}
    emit(Event.FILE_RETRIED, **file_task.log_ids, **facts)
    return Result(Outcome.RETRY, f"{file_task.name}: {error}", error, delay)


def _nack(
    file_task: FileTask, error: SensorflowError, delay: float, counts_as_attempt: bool
) -> None:
    """Nack the claim. If the database is unavailable, the nack is tried again for a limited time.
    counts_as_attempt: whether the claim counts towards `max_attempts`."""
    until = time.monotonic() + max(NACK_TIMEOUT_SECONDS, file_task.services.settings.lease)
    while True:
        try:
            return file_task.services.ledger.nack(file_task.claim, error, delay, counts_as_attempt)
        except Fenced:
            raise
        except Transient as is_unavailable:
            emit(
                Event.WORK_PAUSED,
                **file_task.log_ids,
                code=is_unavailable.code,
                reason=is_unavailable.message,
                do=is_unavailable.remedy,
            )
            if time.monotonic() + NACK_RETRY_SECONDS > until:
                raise
            time.sleep(NACK_RETRY_SECONDS)


def _after_defect(file_task: FileTask, error: Exception) -> Result:
    """Handle a defect of the program, which the file may have triggered. The attempt counts; after the last
    allowed attempt, the file is dead-lettered."""
    emit(Event.FILE_RETRIED, "error", exc_info=True, **file_task.log_ids)
    code, reason, do = Code.UNEXPECTED, f"{type(error).__name__}: {error}"[:500], None
    if isinstance(error, DecoderFailed):
        reason, do = error.message, error.place.get(DO)
    if isinstance(error, MemoryError):
        limit = file_task.services.settings.max_memory
        code, reason = Code.OUT_OF_MEMORY, f"the file needs more than {limit:,} bytes of memory"
    if file_task.claim.attempt >= file_task.services.settings.max_attempts:
        return _dead_letter(file_task, Permanent(code, reason, do=do))
    return _retry(file_task, Transient(code, reason, do=do), counts_as_attempt=True)
