"""The tasks of a file, derived from its history. There is one task for each claim of the file by a
worker."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from sensorflow.core.events import FileEvent

RUNNING = "running"
"""The outcome of a task that has not ended."""
_CODE = re.compile(r"([A-Z]\d{3})\b")
_BATCH = re.compile(r"together with file (\d+)")
_AGAIN = {FileEvent.MESSAGE_MISSING, FileEvent.RETRIED, FileEvent.LEASE_EXPIRED, FileEvent.REPLAYED}
"""Events after which a new message is sent, so that the time of an earlier message does not apply."""


class Event(Protocol):
    """An event of a file's history, with only the fields that this module uses. See
    `ports.files.HistoryEvent`."""

    @property
    def at(self) -> datetime: ...
    @property
    def what(self) -> str: ...
    @property
    def from_state(self) -> str | None: ...
    @property
    def stage(self) -> str: ...
    @property
    def attempt(self) -> int: ...
    @property
    def who(self) -> str: ...
    @property
    def why(self) -> str | None: ...
    @property
    def rows(self) -> int | None: ...


@dataclass(frozen=True)
class FileTaskRecord:
    """One task: the claim of a file by a worker, and its outcome. Times are by the database's clock.

    stage: the first stage of the task. published_at: when the message of the task was sent; None if
    unknown, for example because the file was claimed before the sending was recorded. queued_seconds:
    seconds from `published_at` to the claim. worker: role, host and process id. batch: the id of the first
    file of the batch; None if the file was not claimed as a batch member. ended_at, seconds: when the task
    ended, and the seconds from the claim to the end; None if it has not ended. rows: number of readings
    that the task produced. outcome: the event that ended the task, or `RUNNING`. code: the error code
    without its name; None if the task did not fail.
    """

    stage: str
    attempt: int
    published_at: datetime | None
    claimed_at: datetime
    queued_seconds: float | None
    worker: str
    batch: int | None = None
    ended_at: datetime | None = None
    seconds: float | None = None
    rows: int | None = None
    outcome: str = RUNNING
    code: str | None = None


def tasks_of(history: Iterable[Event]) -> list[FileTaskRecord]:
    """Return the tasks of a file, in chronological order. history: the events of the file, in chronological
    order."""
    done: list[FileTaskRecord] = []
    published: datetime | None = None
    current: FileTaskRecord | None = None
    for event in history:
        if event.what == FileEvent.PUBLISHED:
            published = event.at
        elif event.what == FileEvent.CLAIMED:
            if current is not None:  # its lease had expired
                done.append(_ended(current, event, FileEvent.LEASE_EXPIRED))
            current, published = _begun(event, published), None
        elif current is not None and event.from_state == RUNNING:
            done.append(_ended(current, event, event.what))
            current = None
            # the next stage's message may be on its way already
            published = event.at if event.what == FileEvent.STAGE_DONE else None
        elif current is not None and event.rows is not None:
            current = replace(current, rows=event.rows)
        elif event.what in _AGAIN:
            published = None
    return [*done, current] if current is not None else done


def _begun(event: Event, published: datetime | None) -> FileTaskRecord:
    batch = _BATCH.fullmatch(event.why or "")
    queued = None if published is None else max(0.0, (event.at - published).total_seconds())
    place = (event.stage, event.attempt, published, event.at, queued, event.who)
    return FileTaskRecord(*place, int(batch[1]) if batch else None)


def _ended(task: FileTaskRecord, event: Event, outcome: str) -> FileTaskRecord:
    code = _CODE.match(event.why or "") if outcome != FileEvent.STAGE_DONE else None
    return replace(
        task,
        ended_at=event.at,
        seconds=max(0.0, (event.at - task.claimed_at).total_seconds()),
        rows=task.rows if event.rows is None else event.rows,
        outcome=str(outcome),
        code=code and code[1],
    )
