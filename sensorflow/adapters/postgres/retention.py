"""Retention, and garbage collection after a load, an undo or a kill."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from sensorflow.adapters.postgres import columnstore, expired_partitions
from sensorflow.adapters.postgres.history import Events
from sensorflow.adapters.postgres.queries import run
from sensorflow.adapters.postgres.rows import counts_of, identity_of_row
from sensorflow.adapters.postgres.touched import record
from sensorflow.core.events import FileEvent
from sensorflow.core.growth import HEADER
from sensorflow.core.states import State
from sensorflow.core.touched import Touched
from sensorflow.ports.maintenance import RECOLLECT_AFTER_SECONDS, Expirable, Expired, Garbage


def lock_garbage(c: sa.Connection, after: int, limit: int, is_rewritten: bool) -> list[Garbage]:
    """Return at most `limit` files with ids greater than `after` that may have garbage, and lock their rows
    until the transaction ends. is_rewritten: whether to return files of which silver may have to be
    rewritten, or all other files.

    Returns no files while a backup copies the disk.
    """
    if not run(c, "may_remove").scalar_one():
        return []
    facts = {
        "after": after,
        "again": RECOLLECT_AFTER_SECONDS,
        "rewritten": is_rewritten,
        "limit": limit,
    }
    with c.begin_nested() as rows_locked:
        rows = run(c, "untidy", **facts).all()
        is_landing_locked = any(Expirable.LANDING in row.expired for row in rows)
        if is_landing_locked:
            rows_locked.rollback()
    free: set[str] = set()
    if is_landing_locked:
        # the lock prevents a registration from reusing an object while it is being removed; a registration
        # that has it may wait for a row, therefore no rows are locked before it
        run(c, "lock_landing")
        rows = run(c, "untidy", **facts).all()
        free = _unneeded(c, [row for row in rows if Expirable.LANDING in row.expired])
    return [_garbage_of(c, row, free, is_rewritten) for row in rows]


def record_removed(c: sa.Connection, file_ids: Collection[int]) -> None:
    """Record that the garbage of these files was removed."""
    run(c, "tidied", ids=list(file_ids), again=RECOLLECT_AFTER_SECONDS)


def _unneeded(c: sa.Connection, rows: Sequence[Any]) -> set[str]:
    """Return the landed objects of these files that no file needs."""
    facts = {"names": [row.landing for row in rows], "contents": [row.sha256 for row in rows]}
    return set(run(c, "unneeded_landing", **facts).scalars())


def _garbage_of(c: sa.Connection, row: Any, free: set[str], is_rewritten: bool) -> Garbage:
    if is_rewritten:
        from sensorflow.adapters.postgres.ownership import owned_rows_lookup  # needs Arrow
    is_free = Expirable.LANDING in row.expired and row.landing in free
    return Garbage(
        file_id=row.id,
        source=row.source,
        version=row.version,
        received_at=row.landed_at,
        sensor_type=row.sensor_type,
        state=State(row.state),
        expired=frozenset(row.expired),
        landing=row.landing if is_free else None,
        counts=counts_of(row._mapping),
        identity=identity_of_row(row.identity) or "",
        holds=owned_rows_lookup(c, row) if is_rewritten else None,
    )


def expire(
    c: sa.Connection, actor: str, source: str, layer: Expirable, age: float, limit: int
) -> Expired:
    facts: dict[str, Any] = {"source": source, "layer": str(layer), "age": age, "limit": limit}
    if layer is Expirable.ROWS:
        rows = run(c, "expire_rows", **facts).all()
    else:
        rows = run(c, "expire_layer", **facts, head=HEADER).all()
    events = Events(actor)
    for row in rows:
        events.add(row.id, FileEvent.EXPIRED, row.stage, why=str(layer))
    events.write(c)
    touched = Touched(source)
    if layer is Expirable.ROWS:
        stored = [row for row in rows if row.ts_min is not None]
        _delete_rows(c, stored)
        for row in stored:
            touched = touched.over(row.ts_min, row.ts_max)
        record(c, [Touched(source).over(row.ts_min, row.ts_max) for row in stored])
    return Expired(len(rows), touched)


def _delete_rows(c: sa.Connection, files: list[Any]) -> None:
    """Delete the rows of these files. A hypertable has no partitions, and reads only the chunks of the
    time span of a file."""
    if columnstore.exists(c):
        for row in files:
            run(c, "delete_rows", id=row.id, low=row.ts_min, high=row.ts_max)
    else:
        for _ in expired_partitions.delete_rows(c, files):
            pass
