"""Files that grow: the part of the ledger that tells what was taken of each."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from sensorflow.adapters.postgres.history import add_event
from sensorflow.adapters.postgres.indexing import Wanted
from sensorflow.adapters.postgres.intake import holds_intake, name_of
from sensorflow.adapters.postgres.queries import run
from sensorflow.adapters.postgres.rows import counts_of, facts_of, view_of
from sensorflow.core.account import Account
from sensorflow.core.arrival import printable
from sensorflow.core.growth import Growth, Part, Segment, Taken
from sensorflow.core.states import State
from sensorflow.ports.files import ChainView, FileView
from sensorflow.ports.intake import IntakeLease, Kind, OnChange, Registration, intake_lost

if TYPE_CHECKING:
    import pyarrow as pa


MERGE = str(OnChange.MERGE)


class GrowingFiles:
    """See `ports.ledger.Ledger`; of its methods those that growing files alone need."""

    _who: str
    _wanted: Wanted

    def _transaction(self) -> AbstractContextManager[sa.Connection]:
        raise NotImplementedError

    def grown(
        self, source: str, keys: Sequence[bytes], inodes: Sequence[str], newest: int = 0
    ) -> list[Taken]:
        facts = {"keys": list(keys), "inodes": list(inodes), "newest": newest}
        with self._transaction() as c:
            rows = run(c, "grown", source=source, **facts).all()
        return [_taken(row) for row in rows]

    def grow(
        self, growths: Sequence[Growth], lease: IntakeLease | None = None
    ) -> list[Registration | None]:
        with self._transaction() as c:
            run(c, "lock_source", source=growths[0].arrival.source)
            if lease is not None and not holds_intake(c, lease):
                raise intake_lost(lease)
            return [_grow(c, self._who, growth) for growth in growths]

    def looked_at(
        self,
        source: str,
        key: bytes,
        taken: Taken,
        inode: str | None,
        fingerprint: str,
        whole: bool,
    ) -> None:
        facts = {"root": taken.root, "fingerprint": fingerprint}
        with self._transaction() as c:
            if inode is not None:
                run(c, "looked_at", **facts, inode=inode, last=taken.last, whole=whole)
            if key != taken.key:
                name: dict[str, Any] = {"source": source, "key": key, "key_text": printable(key)}
                name["name"] = name_of(c, source, key)
                run(c, "add_other_name", **facts, **name, id=taken.last, copy=inode is None)

    def segments(self, root: int, start: int = 0, limit: int = 100) -> list[Segment]:
        with self._transaction() as c:
            rows = run(c, "segments", root=root, start=start, limit=limit).all()
        return [_segment(row) for row in rows]

    def segments_before(self, part: Part, limit: int) -> list[Segment]:
        with self._transaction() as c:
            place = {"root": part.root, "end": part.byte_offset, "limit": limit}
            rows = run(c, "segments_before", **place).all()
        return [_segment(row) for row in reversed(rows)]

    def rows_beside(self, part: Part, file_id: int, ts: pa.Array) -> pa.RecordBatch:
        import pyarrow as pa

        from sensorflow.core.readings import BESIDE, NS, Span

        span = Span().over(ts.cast(NS))
        facts: dict[str, Any] = {"root": part.root, "id": file_id, "ts": ts.to_pylist()}
        query = "rows_beside"
        if self._wanted.deferred:
            query, facts = "rows_beside_deferred", {**facts, "low": span.low, "high": span.high}
        with self._transaction() as c:
            rows = [dict(row) for row in run(c, query, **facts).mappings()]
        for row in rows:
            row["dedupe_key"] = row["dedupe_key"].bytes
        return pa.RecordBatch.from_pylist(rows, schema=BESIDE)

    def chains(self, file_ids: Sequence[int]) -> dict[int, ChainView]:
        with self._transaction() as c:
            rows = run(c, "chains", ids=list(file_ids)).mappings().all()
            last = run(c, "files_of", ids=[row["last_file"] for row in rows]).mappings()
            newest = {row["id"]: view_of(row) for row in last}
        return {row["asked"]: _chain(row, newest[row["last_file"]]) for row in rows}


def _taken(row: Any) -> Taken:
    return Taken(
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


def _segment(row: Any) -> Segment:
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


def _grow(c: sa.Connection, who: str, growth: Growth) -> Registration | None:
    arrival, taken = growth.arrival, growth.follows
    facts = facts_of(arrival)
    mark = facts.pop("fingerprint")
    place = {"source": arrival.source, "key": arrival.key}
    facts["name"] = name_of(c, arrival.source, taken.key if taken else arrival.key)
    if taken is None:
        if run(c, "seen", **place, fingerprint=mark, sha256=arrival.landed.sha256).first():
            return None
        none = {"refuse": False, "refusal_code": None, "refusal": None, "on_change": MERGE}
        row = run(c, "add_file", source=arrival.source, **none, **facts).one()
    else:
        known = {"root": taken.root, "last": taken.last, "size": taken.size}
        if not run(c, "is_newest_growth", **known).scalar_one():
            return None
        facts |= {"key": taken.key, "key_text": printable(taken.key)}
        row = run(c, "add_growth", source=arrival.source, on_change=MERGE, **facts).one()
    _note(c, growth, row.id, mark)
    follows = f", after file {taken.last}" if taken else ""
    why = f"bytes {growth.byte_offset:,} to {growth.size:,} of a growing file{follows}"
    add_event(c, who, row.id, "registered", row.stage, why=why)
    return Registration(row.id, row.version, Kind.NEW)


def _note(c: sa.Connection, growth: Growth, file_id: int, mark: str) -> None:
    arrival, taken = growth.arrival, growth.follows
    root = taken.root if taken else file_id
    state = {
        "root": root,
        "inode": growth.inode,
        "size": growth.size,
        "lines": growth.line_base + growth.lines,
        "head": growth.head,
        "tail": growth.tail,
        "fingerprint": mark,
    }
    if taken is None:
        run(c, "begin_growing", **state, source=arrival.source, key=arrival.key)
    else:
        run(c, "go_on_growing", **state, id=file_id)
    where = {"byte_offset": growth.byte_offset, "line_base": growth.line_base}
    run(c, "add_part", id=file_id, root=root, follows=taken.last if taken else None, **where)
    kind = Kind.NEW if taken is None or taken.key == arrival.key else Kind.ALIAS
    name = {"source": arrival.source, "key": arrival.key, "key_text": printable(arrival.key)}
    known = name_of(c, arrival.source, arrival.key)
    run(c, "add_arrival", file_id=file_id, **name, name=known, fingerprint=mark, kind=kind)


def _chain(row: sa.RowMapping, newest: FileView) -> ChainView:
    return ChainView(
        root=row["root"],
        growths=row["growths"],
        states={state: row[state] for state in State if row[state]},
        counts=counts_of(row),
        account=Account(
            read=int(row["all_read"]),
            loaded=int(row["rows_loaded"]),
            rejected=int(row["all_rejected"]),
            duplicate=int(row["all_duplicate"]),
            not_loaded=int(row["not_loaded"]),
            missing=int(row["all_missing"]),
            replaced=int(row["rows_replaced"]),
        ),
        size=row["size"],
        lines=row["lines"],
        newest=newest,
    )
