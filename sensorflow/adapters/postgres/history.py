"""Writes the history of files: one event for each change."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from sensorflow.adapters.postgres.queries import run
from sensorflow.core.events import FileEvent

_NO_FACTS: dict[str, Any] = {
    **dict.fromkeys(("from_state", "to_state", "why", "seconds", "rows")),
    "attempt": 0,
}


def add_event(
    c: sa.Connection, actor: str, file_id: int, file_event: FileEvent, stage: str, **facts: Any
) -> None:
    event = {"file_id": file_id, "what": str(file_event), "stage": str(stage), "who": actor}
    run(c, "add_event", **(_NO_FACTS | facts), **event)


class Events:
    """Collects events. `write` then writes all of them with one statement, in the order in which they were
    added."""

    def __init__(self, actor: str) -> None:
        self._actor = actor
        self._columns: dict[str, list[Any]] = {}

    def add(self, file_id: int, file_event: FileEvent, stage: str, **facts: Any) -> None:
        """Add an event; see `add_event`."""
        event = (
            _NO_FACTS | facts | {"file_id": file_id, "what": str(file_event), "stage": str(stage)}
        )
        for name, value in event.items():
            self._columns.setdefault(name, []).append(value)

    def write(self, c: sa.Connection) -> None:
        if self._columns:
            run(c, "add_events", **self._columns, who=self._actor)
