"""The history of files: an event for whatever happens to one."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from sensorflow.adapters.postgres.queries import run


def add_event(
    c: sa.Connection, who: str, file_id: int, what: str, stage: str, **facts: Any
) -> None:
    given: dict[str, Any] = {"from_state": None, "to_state": None, "attempt": 0, "why": None}
    given |= {"seconds": None, "rows": None, "who": who}
    run(c, "add_event", file_id=file_id, what=what, stage=stage, **(given | facts))
