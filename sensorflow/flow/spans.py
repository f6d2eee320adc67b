"""The spans of a file's trace, from its folder to the commit.

    file             discovered, to loaded or quarantined; sent by the process that finishes it
    ├─ land          copy, hash and sync the bytes
    ├─ register      the transaction that adds the file to the ledger
    ├─ publish       send the message, to the broker's confirmation
    ├─ queue         from the time when the message was recorded as sent, to the claim
    └─ attempt       from the claim to the outcome; its id is the fencing token of the claim
       └─ process (all stages in a single pass), validate, transform, load, unpack, quarantine

A retry, a separate stage and the quarantine each add publish, queue and attempt. All functions do
nothing for a file without a trace.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sensorflow import tracing
from sensorflow.core.arrival import Arrival, OutboxEntry, printable
from sensorflow.core.trace import in_ns, root_span_id, started_ns
from sensorflow.errors import SensorflowError
from sensorflow.ports.intake import Kind, Registration
from sensorflow.tracing import Span

if TYPE_CHECKING:
    from sensorflow.flow.file_task import FileTask
    from sensorflow.flow.outcomes import Result

FILE_ID = "sensorflow.file.id"
SOURCE = "sensorflow.source"
STAGE = "sensorflow.stage"
ATTEMPT = "sensorflow.attempt"
OUTCOME = "sensorflow.outcome"
ROWS = "sensorflow.rows"
BATCH = "sensorflow.batch.files"
FINAL = ("loaded", "quarantined")
"""The outcomes that finish a file."""


def registered(
    arrivals: Sequence[Arrival], done: Sequence[Registration | None], began: int
) -> list[Registration | None]:
    """Record that files were landed and registered. began: start of the registration, in
    nanoseconds since 1970. Returns the registrations, with the traces of new files."""
    ended = time.time_ns()
    return [_registered(*pair, began, ended) for pair in zip(arrivals, done, strict=True)]


def _registered(
    arrival: Arrival, entered: Registration | None, began: int, ended: int
) -> Registration | None:
    trace_id = arrival.trace_id
    if trace_id is None or entered is None or entered.kind is not Kind.NEW:
        return entered
    root, landed = root_span_id(trace_id), in_ns(arrival.landed_at)
    facts = {FILE_ID: entered.file_id}
    tracing.record(Span("land", trace_id, started_ns(trace_id), landed, root, attributes=facts))
    tracing.record(Span("register", trace_id, began, ended, root, attributes=facts))
    return replace(entered, trace_id=trace_id)


def published(entries: Sequence[OutboxEntry], began: int) -> None:
    """Record that the broker has confirmed the message of these files. began: nanoseconds since
    1970."""
    ended = 0
    for entry in entries:
        if entry.trace_id is None:
            continue
        ended = ended or time.time_ns()
        facts: dict[str, Any] = {
            FILE_ID: entry.file_id,
            STAGE: str(entry.stage),
            "messaging.operation.type": "send",
            "messaging.batch.message_count": len(entries),
        }
        root, kind = root_span_id(entry.trace_id), tracing.Kind.PRODUCER
        tracing.record(
            Span("publish", entry.trace_id, began, ended, root, kind=kind, attributes=facts)
        )


class StageSpan:
    """A context manager that records the work of a stage as a span below the attempt. rows: the caller sets
    it to the number of rows that the stage has written. expected: exceptions that do not count as
    errors."""

    def __init__(
        self, file_task: FileTask, name: str, expected: tuple[type[Exception], ...] = ()
    ) -> None:
        self._file_task, self._name, self._expected = file_task, name, expected
        self.rows: int | None = None

    def __enter__(self) -> StageSpan:
        self._began = time.time_ns()
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        reason = None if isinstance(error, self._expected) else _reason(error)
        worked(self._file_task, self._name, self._began, self.rows, reason)


def worked(
    file_task: FileTask,
    name: str,
    began: int,
    rows: int | None = None,
    reason: tuple[str, str] | None = None,
    batch: int | None = None,
) -> None:
    """Record the work of a stage that ends now. began: nanoseconds since 1970. reason: code and
    message of the error. batch: number of files that were committed together."""
    claim = file_task.claim
    if claim.trace is None:
        return
    attributes: dict[str, Any] = {FILE_ID: claim.file_id, ROWS: rows, BATCH: batch}
    attributes = {name: value for name, value in attributes.items() if value is not None}
    tracing.record(
        Span(
            name,
            claim.trace.trace_id,
            began,
            time.time_ns(),
            parent=claim.token,
            attributes=attributes,
            error=reason,
        )
    )


def attempted(file_task: FileTask, result: Result) -> Result:
    """Record an attempt that ends now with this result. If the file is finished, also record its root span.
    Returns the result."""
    claim = file_task.claim
    if claim.trace is None or not tracing.is_on():
        return result
    trace, ended, error = claim.trace, time.time_ns(), _reason(result.error)
    root, claimed = root_span_id(trace.trace_id), in_ns(trace.claimed_at)
    place = {FILE_ID: claim.file_id}
    if trace.sent_at is not None:
        tracing.record(
            Span("queue", trace.trace_id, in_ns(trace.sent_at), claimed, root, attributes=place)
        )
    facts: dict[str, Any] = {**place, STAGE: str(claim.stage), ATTEMPT: claim.attempt}
    facts[OUTCOME] = str(result.outcome)
    kind = tracing.Kind.CONSUMER
    names = ("attempt", trace.trace_id, claimed, ended, root, claim.token)
    tracing.record(Span(*names, kind=kind, attributes=facts, error=error))
    abandoned = (
        claim.has_loaded_rows and str(result.outcome) == "condemned"
    )  # a replay that loads nothing
    if str(result.outcome) in FINAL or abandoned:
        _finish(file_task, result, ended)
    return result


def _finish(file_task: FileTask, result: Result, ended: int) -> None:
    claim, trace, error = file_task.claim, file_task.claim.trace, _reason(result.error)
    if trace is None:
        return
    if str(result.outcome) == "quarantined":
        error = (file_task.progress.error or ("unknown", ""))[:2]
    name = printable(claim.key)
    facts: dict[str, Any] = {
        FILE_ID: claim.file_id,
        SOURCE: claim.source,
        "sensorflow.version": claim.version,
        OUTCOME: str(result.outcome),
        "file.path": name,
        "file.name": name.rpartition("/")[2],
        "file.size": claim.size,
    }
    if (counts := result.counts) is not None:
        parts = ("read", "loaded", "rejected", "duplicate")
        facts |= {f"{ROWS}.{part}": getattr(counts, part) for part in parts}
    root, began = root_span_id(trace.trace_id), started_ns(trace.trace_id)
    names = ("file", trace.trace_id, began, ended, None, root)
    tracing.record(Span(*names, attributes=facts, error=error))


def _reason(error: BaseException | None) -> tuple[str, str] | None:
    """Return (code, message) of an error; None for None."""
    if error is None:
        return None
    if isinstance(error, SensorflowError):
        return str(error.code), error.message
    return type(error).__name__, str(error)[:500]
