"""The tasks of a file, as its history tells them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sensorflow.core.events import FileEvent
from sensorflow.core.tasks import tasks_of
from sensorflow.ports.files import HistoryEvent

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MOVES = {
    FileEvent.CLAIMED: ("pending", "running"),
    FileEvent.RETRIED: ("running", "pending"),
    FileEvent.LEASE_EXPIRED: ("running", "pending"),
    FileEvent.CONDEMNED: ("running", "pending"),
    FileEvent.LOADED: ("running", "loaded"),
    FileEvent.QUARANTINED: ("running", "quarantined"),
}
Step = tuple[float, FileEvent, dict[str, Any]]


def history(*steps: Step) -> list[HistoryEvent]:
    """(seconds since the last event, event, facts)."""
    at, result = NOW, []
    for seconds, what, facts in steps:
        at += timedelta(seconds=seconds)
        moves = MOVES.get(what, (None, None))
        none = dict.fromkeys(("why", "seconds", "rows"))
        some = {"stage": "validate", "attempt": 1, "who": "worker@a:7", **none, **facts}
        states = dict(zip(("from_state", "to_state"), moves, strict=True))
        result.append(HistoryEvent(at=at, what=str(what), **{**states, **some}))
    return result


def test_a_file_that_is_loaded_at_once_has_one_task() -> None:
    [found] = tasks_of(
        history(
            (0, FileEvent.REGISTERED, {}),
            (1, FileEvent.PUBLISHED, {"who": "daemon@a:1"}),
            (2, FileEvent.CLAIMED, {}),
            (3, FileEvent.STAGE_DONE, {"rows": 20, "seconds": 2.5}),
            (0, FileEvent.STAGE_DONE, {"rows": 19, "stage": "transform"}),
            (0, FileEvent.LOADED, {"rows": 18, "stage": "load"}),
        )
    )
    assert found.published_at == NOW + timedelta(seconds=1)
    assert (found.queued_seconds, found.seconds) == (2, 3)
    assert (found.stage, found.attempt, found.worker) == ("validate", 1, "worker@a:7")
    assert (found.rows, found.outcome, found.code, found.batch) == (18, "loaded", None, None)


def test_each_attempt_is_a_task_with_its_code_and_worker() -> None:
    found = tasks_of(
        history(
            (0, FileEvent.PUBLISHED, {}),
            (1, FileEvent.CLAIMED, {}),
            (1, FileEvent.RETRIED, {"why": "I503 storage-unavailable: no space left"}),
            (5, FileEvent.PUBLISHED, {}),
            (2, FileEvent.CLAIMED, {"who": "worker@b:8", "attempt": 2}),
            (9, FileEvent.LEASE_EXPIRED, {"who": "daemon@a:1", "why": "held by worker@b:8"}),
            (1, FileEvent.PUBLISHED, {}),
            (1, FileEvent.CLAIMED, {"attempt": 3}),
            (1, FileEvent.CONDEMNED, {"why": "F203 file-unreadable: no gzip"}),
            (4, FileEvent.CLAIMED, {"stage": "quarantine"}),
            (1, FileEvent.QUARANTINED, {"why": "F203 file-unreadable", "stage": "quarantine"}),
        )
    )
    assert [(t.worker, t.outcome, t.code, t.queued_seconds) for t in found] == [
        ("worker@a:7", "will be tried again", "I503", 1),
        ("worker@b:8", "lease expired", None, 2),
        ("worker@a:7", "condemned", "F203", 1),
        ("worker@a:7", "quarantined", "F203", None),
    ]


def test_the_stages_of_a_large_file_are_tasks_whose_messages_follow_each_other() -> None:
    done = {"rows": 5, "from_state": "running", "to_state": "pending"}
    found = tasks_of(
        history(
            (0, FileEvent.PUBLISHED, {}),
            (1, FileEvent.CLAIMED, {}),
            (4, FileEvent.STAGE_DONE, done),
            (2, FileEvent.CLAIMED, {"stage": "transform", "who": "worker@b:8"}),
            (3, FileEvent.STAGE_DONE, {**done, "stage": "transform"}),
            (1, FileEvent.CLAIMED, {"stage": "load"}),
        )
    )
    assert [(t.stage, t.queued_seconds, t.seconds, t.rows) for t in found] == [
        ("validate", 1, 4, 5),
        ("transform", 2, 3, 5),
        ("load", 1, None, None),
    ]
    assert [t.outcome for t in found] == ["stage done", "stage done", "running"]


def test_a_claim_over_an_expired_lease_ends_the_task_before_it() -> None:
    found = tasks_of(
        history(
            (0, FileEvent.CLAIMED, {"why": "together with file 12"}),
            (9, FileEvent.CLAIMED, {"from_state": "running", "attempt": 2}),
        )
    )
    assert [(t.outcome, t.batch, t.queued_seconds) for t in found] == [
        ("lease expired", 12, None),
        ("running", None, None),
    ]


def test_the_time_in_the_queue_counts_from_the_last_message() -> None:
    found = tasks_of(
        history(
            (0, FileEvent.PUBLISHED, {}),
            (60, FileEvent.MESSAGE_MISSING, {}),
            (1, FileEvent.CLAIMED, {}),
        )
    )
    assert found[0].queued_seconds is None
