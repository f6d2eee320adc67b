"""Events have their levels, and each is one line of the log."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any, get_args

import pytest
import structlog

from sensorflow import telemetry
from sensorflow.telemetry import Event, Level, emit


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    telemetry.configure("DEBUG")
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    structlog.reset_defaults()


@pytest.mark.parametrize("event", Event)
def test_an_event_is_one_line_with_its_name_its_level_and_its_fields(
    event: Event, lines: Any
) -> None:
    assert event.level in get_args(Level)
    emit(event, file_id=7, why="it is so")
    (line,) = lines()
    line.pop("timestamp")
    former = {"former_event": event.former} if event.former else {}
    expected = {"event": event.value, "level": event.level, "file_id": 7, "why": "it is so"}
    assert line == expected | former


FORMER = {
    "acknowledgement.dropped": "acknowledgement.failed",
    "beat.unkept": "schedule.not_saved",
    "file.condemned": "file.dead_lettered",
    "file.stuck": "file.not_disposed",
    "month.closed": "partition.sealed",
    "month.doubled": "partition.duplicates_found",
    "source.away": "source.unavailable",
    "swept": "reconciled",
    "work.unwatched": "watchdog.failed",
}


def test_events_that_were_renamed_since_the_last_release_say_their_former_names(
    lines: Any,
) -> None:
    for event in Event:
        emit(event)
    events = {line["former_event"]: line["event"] for line in lines() if "former_event" in line}
    assert events == FORMER
    assert not set(events) & set(Event)


def test_a_site_that_has_worse_news_than_usual_says_the_level(lines: Any) -> None:
    emit(Event.FILE_RETRIED, "error", file_id=7)
    assert [line["level"] for line in lines()] == ["error"]


def test_an_error_is_told_with_its_traceback(lines: Any) -> None:
    try:
        raise ValueError("odd")
    except ValueError as error:
        emit(Event.DEFECT, exc_info=True)
        emit(Event.DEFECT, exc_info=error)
    raised = [line["exception"][0]["exc_type"] for line in lines()]
    assert raised == ["ValueError", "ValueError"]


def test_a_level_that_is_not_logged_costs_no_line(lines: Any) -> None:
    telemetry.configure("WARNING")
    emit(Event.FILE_SKIPPED)
    emit(Event.DAEMON_STARTED)
    assert lines() == []
