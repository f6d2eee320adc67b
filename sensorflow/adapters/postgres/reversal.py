"""Replay and undo: load a file again, or remove its load."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from sensorflow import tracing
from sensorflow.adapters.postgres.history import add_event
from sensorflow.adapters.postgres.queries import run
from sensorflow.adapters.postgres.touched import record
from sensorflow.core.events import FileEvent
from sensorflow.core.states import Stage
from sensorflow.core.touched import Touched
from sensorflow.core.trace import in_ns, root_span_id
from sensorflow.ports.maintenance import Undone


def replay(
    c: sa.Connection,
    actor: str,
    file_id: int,
    profile: str | None,
    reason: str | None,
    also_superseded: bool = False,
) -> bool:
    at = datetime.now(UTC)
    facts = {"profile": profile, "also_superseded": also_superseded}
    trace_id = tracing.new_trace_id(at)
    row = run(c, "replay", id=file_id, trace_id=trace_id, **facts).first()
    if row is None:
        return False
    if trace_id is not None:
        _trace(trace_id, at, file_id, row.former_trace)
    steps = {"from_state": row.state_before, "to_state": "pending"}
    by = f"by profile {profile}" if profile else None
    add_event(c, actor, file_id, FileEvent.REPLAYED, Stage.VALIDATE, **steps, why=reason or by)
    return True


def _trace(trace_id: bytes, at: datetime, file_id: int, former: bytes | None) -> None:
    """Begin the trace of a replay, with a link to the former trace of the file."""
    root = root_span_id(trace_id)
    links = () if former is None else (bytes(former),)
    facts = {"sensorflow.file.id": file_id}
    ended = in_ns(datetime.now(UTC))
    tracing.record(
        tracing.Span("replay", trace_id, in_ns(at), ended, root, attributes=facts, links=links)
    )


def undo(
    c: sa.Connection, actor: str, file_id: int, reason: str, also_undone: Sequence[int] = ()
) -> Undone | None:
    place = run(c, "place_of", id=file_id).first()
    if place is None:
        return None
    session = {"by_name": True, "by_content": True, "name": f"sensorflow undo {file_id}"}
    run(c, "hold_name", id=file_id, **place._mapping, **session)
    row = run(c, "undo", id=file_id).first()
    if row is None:
        return None
    rows, touched = 0, Touched(row.source)
    run(c, "chain_shrank", id=file_id)
    if row.ts_min is not None:
        span = {"low": row.ts_min, "high": row.ts_max}
        rows = run(c, "delete_rows", id=file_id, **span).rowcount
        if rows:
            touched = touched.over(row.ts_min, row.ts_max)
            record(c, [touched])
        _return_shared(c, actor, row, span, also_undone)
    steps = {"from_state": row.state_before, "to_state": "undone"}
    add_event(c, actor, file_id, FileEvent.UNDONE, Stage.LOAD, **steps, rows=rows, why=reason)
    return_replaced(c, actor, file_id, "which had readings of this file, was undone", also_undone)
    run(c, "forget_replacements", ids=[file_id])
    return Undone(rows, touched)


def _return_shared(
    c: sa.Connection, actor: str, row: Any, span: dict[str, Any], also_undone: Sequence[int]
) -> None:
    """Replay the other files that contain readings which were not loaded because this file had already
    loaded them."""
    facts = {
        "id": row.id,
        "source": row.source,
        "identity": row.identity,
        "along": list(also_undone),
    }
    for other in run(c, "sharers", **facts, **span).scalars().all():
        reason = f"file {row.id}, which had readings of this file, was undone"
        replay(c, actor, other, None, reason)


def return_replaced(
    c: sa.Connection, actor: str, file_id: int, why: str, also_undone: Sequence[int] = ()
) -> None:
    """Replay the files whose readings this file had replaced, so that these readings are loaded again. why:
    the text that follows "file ID, " in the recorded reason of the replay."""
    for row in run(c, "replaced_by", ids=[file_id], name=None, along=list(also_undone)).all():
        reason = f"file {file_id}, {why}"
        if not replay(c, actor, row.file_id, row.wanted_profile, reason, also_superseded=True):
            facts = {"rows": row.rows, "why": f"{reason}; the landed bytes have expired"}
            add_event(c, actor, row.file_id, FileEvent.NOT_RETURNED, Stage.LOAD, **facts)
