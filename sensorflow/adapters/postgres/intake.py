"""The intake of files, in the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sensorflow.adapters.postgres.growing import Segments, grow, taken_of
from sensorflow.adapters.postgres.queries import run
from sensorflow.adapters.postgres.registering import announce, hold_source, name_of, register_all
from sensorflow.core.arrival import Arrival, printable
from sensorflow.core.disk_room import Unloaded
from sensorflow.core.growth import Growth, Ingested
from sensorflow.errors import Code
from sensorflow.ports.intake import IntakeLease, OnChange, Registration, intake_lost

EVENTS = 1_000
"""Number of the newest events that say how many readings the files of a source have."""


class Intake(Segments):
    """Implements `ports.intake.Intake`."""

    def acquire_intake_lease(
        self, source: str, owner: str, process: str, lease: float, ended: str = ""
    ) -> IntakeLease:
        actor = {"source": source, "process": process, "ended": ended}
        with self._statement() as c:
            holder = run(c, "intake_lease", **actor).first()
        if holder is None or holder.vacant:
            with self._transaction() as c:
                run(c, "lock_source", source=source)
                run(c, "take_intake", **actor, owner=owner, lease=lease)
                holder = run(c, "intake_lease", **actor).one()
        return IntakeLease(source, holder.owner, holder.process, holder.token)

    def renew_intake_lease(self, intake_lease: IntakeLease, lease: float) -> None:
        with self._statement() as c:
            facts = {"source": intake_lease.source, "token": intake_lease.token, "lease": lease}
            if run(c, "renew_intake", **facts).rowcount != 1:
                raise intake_lost(intake_lease)

    def release_intake_lease(self, intake_lease: IntakeLease) -> None:
        with self._statement() as c:
            run(c, "release_intake", source=intake_lease.source, token=intake_lease.token)

    def register(self, arrival: Arrival, on_change: OnChange, name_matters: bool) -> Registration:
        return self.register_many([arrival], on_change, name_matters)[0]

    def register_many(
        self,
        arrivals: Sequence[Arrival],
        on_change: OnChange,
        name_matters: bool,
        lease: IntakeLease | None = None,
    ) -> list[Registration]:
        with self._transaction() as c:
            hold_source(c, arrivals[0].source, lease)
            done = register_all(c, self._actor, arrivals, on_change, name_matters)
            announce(c, arrivals, done)
            return done

    def seen(self, source: str, key: bytes, fingerprint: str) -> bool:
        with self._statement() as c:
            place = {"source": source, "key": key, "fingerprint": fingerprint}
            return run(c, "seen", **place, sha256=None).first() is not None

    def other_spelling(self, source: str, key: bytes, sha256: bytes) -> bytes | None:
        with self._statement() as c:
            name = name_of(c, source, key) or key
            facts = {"source": source, "key": key, "name": name, "sha256": sha256}
            found = run(c, "spelt_otherwise", **facts).scalar()
        return None if found is None else bytes(found)

    def has_content(self, source: str, key: bytes, sha256: bytes) -> bool:
        with self._statement() as c:
            found = run(c, "has_content", source=source, key=key, sha256=sha256)
            return bool(found.scalar_one())

    def announced_by(self, source: str, gate: bytes, mark: str) -> frozenset[bytes]:
        with self._statement() as c:
            rows = run(c, "announced_by", source=source, gate=gate, mark=mark).all()
        return frozenset(bytes(row.key) for row in rows)

    def recently_nacked(self, code: Code, within: float) -> bool:
        with self._statement() as c:
            found = run(c, "given_back_lately", code=str(code), within=within)
            return bool(found.scalar_one())

    def unloaded(self) -> list[Unloaded]:
        with self._statement() as c:
            rows = run(c, "unloaded", events=EVENTS).all()
        return [Unloaded(row.source, row.bytes, row.rows_per_byte) for row in rows]

    def find_ingested(
        self, source: str, keys: Sequence[bytes], inodes: Sequence[str], newest: int = 0
    ) -> list[Ingested]:
        facts = {"keys": list(keys), "inodes": list(inodes), "newest": newest}
        with self._transaction() as c:
            rows = run(c, "grown", source=source, **facts).all()
        return [taken_of(row) for row in rows]

    def grow(
        self, growths: Sequence[Growth], lease: IntakeLease | None = None
    ) -> list[Registration | None]:
        with self._transaction() as c:
            hold_source(c, growths[0].arrival.source, lease)
            return [grow(c, self._actor, growth) for growth in growths]

    def record_inspection(
        self,
        source: str,
        key: bytes,
        ingested: Ingested,
        inode: str | None,
        fingerprint: str,
        fully_compared: bool,
    ) -> None:
        facts = {"root": ingested.root, "fingerprint": fingerprint}
        with self._transaction() as c:
            if inode is not None:
                run(c, "looked_at", **facts, inode=inode, last=ingested.last, whole=fully_compared)
            if key != ingested.key:
                name: dict[str, Any] = {"source": source, "key": key, "key_text": printable(key)}
                name["name"] = name_of(c, source, key)
                run(c, "add_other_name", **facts, **name, id=ingested.last, copy=inode is None)
