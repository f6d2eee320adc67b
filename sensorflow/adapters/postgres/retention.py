"""Retention, and garbage collection after a load, an undo or a kill."""

from __future__ import annotations

from collections.abc import Callable
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


def collect_one(c: sa.Connection, remove: Callable[[Garbage], None], after: int) -> int | None:
    """Collect the garbage of the next file with an id greater than `after`. The file's row is locked until
    the transaction ends. Returns the id of the file, or None if there is no further file.

    Also returns None, and collects nothing, while a backup copies the disk.
    """
    if not run(c, "may_remove").scalar_one():
        return None
    row = run(c, "untidy", after=after, again=RECOLLECT_AFTER_SECONDS).first()
    if row is None:
        return None
    remove(_garbage_of(c, row))
    run(c, "tidied", id=row.id, again=RECOLLECT_AFTER_SECONDS)
    return int(row.id)


def _garbage_of(c: sa.Connection, row: Any) -> Garbage:
    free = None
    if Expirable.LANDING in row.expired:
        # the lock prevents a registration from reusing the object while it is being removed
        run(c, "lock_landing")
        free = run(c, "unneeded_landing", landing=row.landing).scalar()
    changed = row.state == State.LOADED and row.rows_replaced > 0
    if changed:
        from sensorflow.adapters.postgres.ownership import owned_rows_lookup  # needs Arrow
    return Garbage(
        file_id=row.id,
        source=row.source,
        version=row.version,
        received_at=row.landed_at,
        sensor_type=row.sensor_type,
        state=State(row.state),
        expired=frozenset(row.expired),
        landing=free,
        counts=counts_of(row._mapping),
        identity=identity_of_row(row.identity) or "",
        holds=owned_rows_lookup(c, row) if changed else None,
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
