"""The ledger's records of growing files: how many bytes of each file were taken in, and in which parts."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from sensorflow.adapters.postgres.history import add_event
from sensorflow.adapters.postgres.queries import run
from sensorflow.adapters.postgres.registering import name_of
from sensorflow.adapters.postgres.rows import facts_of
from sensorflow.adapters.postgres.transactions import Transactions
from sensorflow.core.arrival import Arrival, printable
from sensorflow.core.events import FileEvent
from sensorflow.core.growth import Growth, Increment, Ingested, Segment
from sensorflow.ports.intake import Kind, OnChange, Registration

MERGE = str(OnChange.MERGE)


class Segments(Transactions):
    """Implements `ports.segments.Segments`."""

    def segments(self, root: int, start: int = 0, limit: int = 100) -> list[Segment]:
        with self._transaction() as c:
            rows = run(c, "segments", root=root, start=start, limit=limit).all()
        return [segment_of(row) for row in rows]


def taken_of(row: Any) -> Ingested:
    return Ingested(
        root=row.root,
        last=row.last_file,
        key=bytes(row.key),
        inode=row.inode,
        size=row.size,
        lines=row.lines,
        head=bytes(row.head),
        tail=bytes(row.tail),
        fingerprint=row.fingerprint,
        checked=row.checked,
        age=float(row.age),
        waiting=row.waiting,
        rows=row.rows_read,
    )


def segment_of(row: Any) -> Segment:
    return Segment(
        file_id=row.id,
        version=row.version,
        byte_offset=row.byte_offset,
        size=row.size,
        sha256=bytes(row.sha256),
        landing=row.landing,
        sensor_type=row.sensor_type,
        received_at=row.landed_at,
        loaded=row.loaded,
    )


def grow(c: sa.Connection, actor: str, growth: Growth) -> Registration | None:
    arrival, new = growth.arrival, growth.increment
    ingested = new.follows
    facts = facts_of(arrival)
    mark = facts.pop("fingerprint")
    place = {"source": arrival.source, "key": arrival.key}
    facts["name"] = name_of(c, arrival.source, ingested.key if ingested else arrival.key)
    if ingested is None:
        if run(c, "seen", **place, fingerprint=mark, sha256=arrival.landed.sha256).first():
            return None
        none = {"refuse": False, "refusal_code": None, "refusal": None, "on_change": MERGE}
        row = run(c, "add_file", source=arrival.source, **none, **facts).one()
    else:
        known = {"root": ingested.root, "last": ingested.last, "size": ingested.size}
        if not run(c, "is_newest_growth", **known).scalar_one():
            return None
        facts |= {"key": ingested.key, "key_text": printable(ingested.key)}
        row = run(c, "add_growth", source=arrival.source, on_change=MERGE, **facts).one()
    _note(c, arrival, new, row.id)
    follows = f", after file {ingested.last}" if ingested else ""
    reason = f"bytes {new.start:,} to {new.end:,} of a growing file{follows}"
    add_event(c, actor, row.id, FileEvent.REGISTERED, row.stage, why=reason)
    return Registration(row.id, row.version, Kind.NEW)


def _note(c: sa.Connection, arrival: Arrival, new: Increment, file_id: int) -> None:
    ingested, mark = new.follows, arrival.fingerprint
    root = ingested.root if ingested else file_id
    state = {
        "root": root,
        "inode": new.inode,
        "size": new.end,
        "lines": new.line_base + new.lines,
        "head": new.head,
        "tail": new.tail,
        "fingerprint": mark,
    }
    if ingested is None:
        run(c, "begin_growing", **state, source=arrival.source, key=arrival.key)
    else:
        run(c, "go_on_growing", **state, id=file_id)
    where = {"byte_offset": new.start, "line_base": new.line_base}
    run(c, "add_part", id=file_id, root=root, follows=ingested.last if ingested else None, **where)
    kind = Kind.NEW if ingested is None or ingested.key == arrival.key else Kind.ALIAS
    name = {"source": arrival.source, "key": arrival.key, "key_text": printable(arrival.key)}
    known = name_of(c, arrival.source, arrival.key)
    run(c, "add_arrival", file_id=file_id, **name, name=known, fingerprint=mark, kind=kind)
