"""Files that grow, in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pyarrow as pa

from sensorflow.core.account import total
from sensorflow.core.arrival import Arrival
from sensorflow.core.growth import Growth, Part, Segment, Taken
from sensorflow.core.readings import BESIDE, US, micros
from sensorflow.core.stability import same_state
from sensorflow.core.states import State
from sensorflow.ports.files import ChainView, Counts
from sensorflow.ports.intake import IntakeLease, Kind, Registration
from sensorflow.testing.ledger.file import File, view_of


@dataclass
class Growing:
    """A growing file; files: its growths in order."""

    source: str
    taken: Taken
    grown_at: datetime
    files: list[File]


class GrowingFiles:
    """See `ports.ledger.Ledger`; of its methods those that growing files alone need."""

    _lock: threading.RLock
    _clock: Callable[[], datetime]
    _files: dict[int, File]
    _arrivals: list[tuple[str, bytes, str, Kind, int, datetime]]
    _growing: dict[int, Growing]
    rows: dict[bytes, tuple[int, float]]
    readings: dict[bytes, pa.RecordBatch]

    def _add(self, arrival: Arrival, refuse: bool) -> File:
        raise NotImplementedError

    def _arrive(self, file: File, key: bytes, mark: str, kind: Kind) -> None:
        raise NotImplementedError

    def grown(
        self, source: str, keys: Sequence[bytes], inodes: Sequence[str], newest: int = 0
    ) -> list[Taken]:
        with self._lock:
            mine = [g for g in self._growing.values() if g.source == source]
            named = {g.taken.key: g for g in mine if g.taken.key in keys}
            placed = {g.taken.inode: g for g in mine if g.taken.inode in inodes}
            last = mine[-newest:] if newest else []
            found = {g.taken.root: g for g in (*named.values(), *placed.values(), *last)}
            return [self._now(found[root]) for root in sorted(found)]

    def _now(self, growing: Growing) -> Taken:
        age = (self._clock() - growing.grown_at).total_seconds()
        waiting = growing.files[-1].state in (State.PENDING, State.RUNNING)
        rows = sum(f.counts.read for f in growing.files if f.state is State.LOADED)
        return replace(growing.taken, age=age, waiting=waiting, rows=rows)

    def _require_intake(self, held: IntakeLease) -> None:
        raise NotImplementedError

    def grow(
        self, growths: Sequence[Growth], lease: IntakeLease | None = None
    ) -> list[Registration | None]:
        with self._lock:
            if lease is not None:
                self._require_intake(lease)
            return [self._grow(growth) for growth in growths]

    def _grow(self, growth: Growth) -> Registration | None:
        arrival, taken = growth.arrival, growth.follows
        if taken is None:
            for source, key, mark, _, file_id, _ in self._arrivals:
                same = (source, key) == (arrival.source, arrival.key)
                same = same and same_state(mark, arrival.fingerprint)
                if same and self._files[file_id].arrival.landed.sha256 == arrival.landed.sha256:
                    return None
            file = self._add(arrival, False)
            growing = self._growing[file.id] = Growing(
                arrival.source, _none(file), self._clock(), []
            )
        else:
            growing = self._growing[taken.root]
            if (growing.taken.last, growing.taken.size) != (taken.last, taken.size):
                return None
            file = self._add(replace(arrival, key=taken.key), False)
        root = taken.root if taken else file.id
        follows = taken.last if taken else None
        file.part = Part(root, follows, growth.byte_offset, growth.line_base)
        growing.files.append(file)
        growing.grown_at = self._clock()
        growing.taken = replace(
            growing.taken,
            last=file.id,
            inode=growth.inode,
            size=growth.size,
            lines=growth.line_base + growth.lines,
            head=growth.head,
            tail=growth.tail,
            fingerprint=arrival.fingerprint,
        )
        kind = Kind.NEW if arrival.key == growing.taken.key else Kind.ALIAS
        self._arrive(file, arrival.key, arrival.fingerprint, kind)
        return Registration(file.id, file.version, Kind.NEW)

    def looked_at(
        self,
        source: str,
        key: bytes,
        taken: Taken,
        inode: str | None,
        fingerprint: str,
        whole: bool,
    ) -> None:
        with self._lock:
            growing = self._growing[taken.root]
            if inode is not None and growing.taken.last == taken.last:
                checked = fingerprint if whole else growing.taken.checked
                state: dict[str, Any] = {"inode": inode, "fingerprint": fingerprint}
                growing.taken = replace(growing.taken, **state, checked=checked)
            ids = {file.id for file in growing.files}
            names = [a for a in self._arrivals if a[:2] == (source, key) and a[4] in ids]
            known = any(a[2] == fingerprint for a in names) if inode is None else bool(names)
            if key != taken.key and not known:
                self._arrive(self._files[taken.last], key, fingerprint, Kind.ALIAS)

    def segments(self, root: int, start: int = 0, limit: int = 100) -> list[Segment]:
        with self._lock:
            files = self._growing[root].files if root in self._growing else []
            found = [_segment(file) for file in files]
        return [segment for segment in found if segment.byte_offset >= start][:limit]

    def segments_before(self, part: Part, limit: int) -> list[Segment]:
        found = self.segments(part.root, 0, 1 << 30)
        return [s for s in found if s.byte_offset < part.byte_offset][-limit:]

    def rows_beside(self, part: Part, file_id: int, ts: pa.Array) -> pa.RecordBatch:
        wanted = set(micros(ts).tolist())
        found: list[dict[str, Any]] = []
        with self._lock:
            ids = {file.id for file in self._growing[part.root].files} - {file_id}
            for key, (owner, value) in self.rows.items():
                row = self.readings[key]
                when = int(micros(row["ts"])[0])
                if owner in ids and when in wanted:
                    names = {n: row[n][0].as_py() for n in ("sensor_id", "reading_type")}
                    time = pa.scalar(when, pa.int64()).cast(US).as_py()
                    found.append({**names, "ts": time, "value": value, "dedupe_key": key})
        return pa.RecordBatch.from_pylist(found, schema=BESIDE)

    def chains(self, file_ids: Sequence[int]) -> dict[int, ChainView]:
        with self._lock:
            parts = {n: self._files[n].part for n in file_ids if n in self._files}
            return {n: self._chain(part.root) for n, part in parts.items() if part is not None}

    def _chain(self, root: int) -> ChainView:
        growing = self._growing[root]
        states = [file.state for file in growing.files]
        loaded = [file.counts for file in growing.files if file.state is State.LOADED]
        return ChainView(
            root=root,
            growths=len(growing.files),
            states={state: states.count(state) for state in State if state in states},
            counts=Counts(
                read=sum(c.read for c in loaded),
                loaded=sum(c.loaded for c in loaded),
                rejected=sum(c.rejected for c in loaded),
                duplicate=sum(c.duplicate for c in loaded),
                missing=sum(c.missing for c in loaded),
                replaced=sum(f.replaced for f in growing.files if f.state is State.LOADED),
            ),
            account=total(view_of(file).account for file in growing.files),
            size=growing.taken.size,
            lines=growing.taken.lines,
            newest=view_of(growing.files[-1]),
        )

    def part_of(self, file: File) -> Part | None:
        """As it is now, with what the file's other growths have brought."""
        if file.part is None:
            return None
        others = [f for f in self._growing[file.part.root].files if f is not file]
        counts = [f.counts for f in others if f.state is State.LOADED]
        ends = [f.span.high for f in others if f.span.high is not None]
        return replace(
            file.part,
            rows_read=sum(c.read for c in counts),
            rows_rejected=sum(c.rejected for c in counts),
            ts_max=max(ends, default=None),
        )

    def _held_back(self, file: File) -> bool:
        """Whether the growth before it is not finished."""
        before = file.part.follows if file.part else None
        return before is not None and self._files[before].state in (State.PENDING, State.RUNNING)


def _none(file: File) -> Taken:
    return Taken(file.id, file.id, file.arrival.key, "", 0, 0, b"", b"", "")


def _segment(file: File) -> Segment:
    assert file.part is not None
    return Segment(
        file_id=file.id,
        version=file.version,
        byte_offset=file.part.byte_offset,
        size=file.arrival.landed.size,
        sha256=file.arrival.landed.sha256,
        landing=file.arrival.landed.name,
        sensor_type=file.arrival.sensor_type,
        received_at=file.arrival.landed_at,
        loaded=file.state is State.LOADED,
    )
