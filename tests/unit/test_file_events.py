"""What is written to histories is of the list, and all of the list is written somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import sensorflow
from sensorflow.core.events import FileEvent

POSTGRES = Path(sensorflow.__file__).parent / "adapters" / "postgres"
WRITTEN = re.compile(r"INSERT INTO file_events \([^)]*\)\s+SELECT id, '([^']+)'")
READ = re.compile(r"\bwhat = '([^']+)'")


def in_sql(pattern: re.Pattern[str]) -> set[str]:
    return {word for file in POSTGRES.rglob("*.sql") for word in pattern.findall(file.read_text())}


def test_queries_write_and_ask_for_events_of_the_list() -> None:
    assert len(in_sql(WRITTEN)) >= 5
    assert len(in_sql(READ)) >= 3
    assert in_sql(WRITTEN) | in_sql(READ) <= set(FileEvent)


def test_each_event_of_the_list_is_written_somewhere() -> None:
    code = "\n".join(file.read_text() for file in POSTGRES.rglob("*.py"))
    written = {event for event in FileEvent if f"FileEvent.{event.name}" in code}
    assert written | in_sql(WRITTEN) == set(FileEvent)
