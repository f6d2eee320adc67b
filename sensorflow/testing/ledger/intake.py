"""The intake part of the in-memory ledger: registrations and leases."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from sensorflow.core.arrival import Arrival, Lane, printable
from sensorflow.core.controls import Control, Mode
from sensorflow.core.disk_room import Unloaded
from sensorflow.core.events import FileEvent
from sensorflow.core.gates.announced import Announced
from sensorflow.core.names import canonical
from sensorflow.core.stability import same_state
from sensorflow.core.states import Stage, State, allowed
from sensorflow.errors import REMEDY, Code, IntakeLost
from sensorflow.ports.files import ArrivalRecord, HistoryEvent
from sensorflow.ports.intake import IntakeLease, Kind, OnChange, Registration, intake_lost
from sensorflow.ports.project import Project
from sensorflow.testing.ledger.file import OPEN, File


def unsupported(what: str) -> NoReturn:
    raise NotImplementedError(f"the in-memory ledger cannot {what}; use the ledger in PostgreSQL")


class MemoryIntake:
    """The intake and the controls of an in-memory ledger (see `ports.intake.Intake` and
    `ports.controls.Controls`). Does not support growing files."""

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._files: dict[int, File] = {}
        self._project_id = str(uuid.uuid4())
        self._arrivals: list[tuple[str, bytes, str, Kind, int, datetime]] = []
        self._announced: dict[tuple[str, bytes, str, bytes], tuple[int, Announced]] = {}
        self._intake: dict[str, tuple[IntakeLease, datetime]] = {}
        self._tokens = 0
        self._controls: dict[str, Control] = {}

    def controls(self) -> dict[str, Control]:
        with self._lock:
            return dict(sorted(self._controls.items()))

    def hold_back(self, source: str, mode: Mode, actor: str, reason: str | None = None) -> Control:
        with self._lock:
            known = self._controls.get(source)
            if known is None or known.mode is not mode:
                known = Control(source, mode, self._clock(), actor, reason)
            elif reason not in (None, known.reason):
                known = Control(source, mode, known.since, actor, reason)
            self._controls[source] = known
            return known

    def resume(self, source: str) -> bool:
        with self._lock:
            return self._controls.pop(source, None) is not None

    def _is_paused(self, source: str) -> bool:
        return source in self._controls and self._controls[source].mode is Mode.PAUSED

    def acquire_intake_lease(
        self, source: str, owner: str, process: str, lease: float, ended: str = ""
    ) -> IntakeLease:
        with self._lock:
            now = self._clock()
            current, until = self._intake.get(source, (None, now))
            if current is None or until <= now or current.process in (process, ended):
                self._tokens += 1
                current = IntakeLease(source, owner, process, self._tokens)
                self._intake[source] = (current, self._in(lease))
            return current

    def renew_intake_lease(self, intake_lease: IntakeLease, lease: float) -> None:
        with self._lock:
            self._require_intake(intake_lease)
            self._intake[intake_lease.source] = (intake_lease, self._in(lease))

    def release_intake_lease(self, intake_lease: IntakeLease) -> None:
        with self._lock, suppress(IntakeLost):
            self._require_intake(intake_lease)
            self._intake[intake_lease.source] = (intake_lease, self._clock())

    def _require_intake(self, intake_lease: IntakeLease) -> None:
        newest, _ = self._intake.get(intake_lease.source, (None, None))
        if newest is None or newest.token != intake_lease.token:
            raise intake_lost(intake_lease)

    def register(self, arrival: Arrival, on_change: OnChange, name_matters: bool) -> Registration:
        return self.register_many([arrival], on_change, name_matters)[0]

    def register_many(
        self,
        arrivals: Sequence[Arrival],
        on_change: OnChange,
        name_matters: bool,
        lease: IntakeLease | None = None,
    ) -> list[Registration]:
        with self._lock:
            if lease is not None:
                self._require_intake(lease)
            return [self._register(arrival, on_change, name_matters) for arrival in arrivals]

    def _register(self, arrival: Arrival, on_change: OnChange, name_matters: bool) -> Registration:
        known = self._known(arrival)
        if known is None and on_change is OnChange.MERGE and self._was_alias(arrival):
            unsupported("register new content under the name of an alias")
        duplicate = known or self._duplicate(arrival, name_matters)
        file = duplicate or self._add(arrival, on_change is OnChange.REJECT)
        kind = Kind.NEW if duplicate is None else Kind.ALIAS if known is None else Kind.SEEN
        if known is None:
            place = (arrival.source, arrival.key, arrival.fingerprint, kind, file.id, self._clock())
            self._arrivals.append(place)
        if (announcement := arrival.announcement) is not None:
            gate = (arrival.source, announcement.gate, announcement.mark, arrival.key)
            self._announced.pop(gate, None)  # inserted again, so that the newest version comes last
            self._announced[gate] = (file.id, announcement.announced)
        return Registration(file.id, file.version, kind)

    def _known(self, arrival: Arrival) -> File | None:
        for source, key, mark, _, file_id, _ in self._arrivals:
            same = (source, key) == (arrival.source, arrival.key)
            same = same and same_state(mark, arrival.fingerprint)
            if same and self._files[file_id].sha256 == arrival.landed.sha256:
                return self._files[file_id]
        return None

    def _was_alias(self, arrival: Arrival) -> bool:
        """Whether the previous arrival with the same name was an alias of a file that is open or loaded and
        has other bytes than this arrival."""
        name = canonical(arrival.key)
        named = [a[4] for a in self._arrivals if (a[0], canonical(a[1])) == (arrival.source, name)]
        last = self._files[named[-1]] if named else None
        if last is None or last.name == name or last.sha256 == arrival.landed.sha256:
            return False
        return last.state in (*OPEN, State.LOADED)

    def _named(self, source: str, key: bytes) -> list[File]:
        """Return the versions of a name, oldest first."""
        name = canonical(key)
        return [f for f in self._files.values() if (f.source, f.name) == (source, name)]

    def _duplicate(self, arrival: Arrival, name_matters: bool) -> File | None:
        name = canonical(arrival.key)
        newest = max((f.version for f in self._named(arrival.source, name)), default=0)
        found = [
            f
            for f in self._files.values()
            if (f.source, f.sha256) == (arrival.source, arrival.landed.sha256)
            and f.state in (*OPEN, State.LOADED)
            and (f.version == newest if f.name == name else not name_matters and newest == 0)
        ]
        return min(found, key=lambda f: (f.name != name, f.id), default=None)

    def _add(self, arrival: Arrival, refuse: bool) -> File:
        if arrival.lane is not Lane.LIVE:
            unsupported("process the backfill lane")
        older = self._named(arrival.source, arrival.key)
        first = older[0].first_key if older else arrival.key
        file = File(len(self._files) + 1, arrival, len(older) + 1, first)
        if refuse and any(f.state in (*OPEN, State.LOADED) for f in older):
            file.stage = Stage.QUARANTINE
            file.error = (str(Code.VERSION_REFUSED), REMEDY[Code.VERSION_REFUSED], {})
        self._files[file.id] = file
        self._add_event(file, FileEvent.REGISTERED)
        return file

    def seen(self, source: str, key: bytes, fingerprint: str) -> bool:
        with self._lock:
            return any(
                a[:2] == (source, key) and same_state(a[2], fingerprint) for a in self._arrivals
            )

    def other_spelling(self, source: str, key: bytes, sha256: bytes) -> bytes | None:
        with self._lock:
            newest = max(self._named(source, key), key=lambda f: f.version, default=None)
        if newest is None or newest.sha256 == sha256:
            return None
        return None if newest.arrival.key == key else newest.arrival.key

    def has_content(self, source: str, key: bytes, sha256: bytes) -> bool:
        with self._lock:
            return any(
                a[:2] == (source, key) and self._files[a[4]].sha256 == sha256
                for a in self._arrivals
            )

    def announced(self, file_id: int) -> list[Announced]:
        with self._lock:
            return [what for number, what in self._announced.values() if number == file_id][::-1]

    def announced_by(self, source: str, gate: bytes, mark: str) -> frozenset[bytes]:
        with self._lock:
            return frozenset(k[3] for k in self._announced if k[:3] == (source, gate, mark))

    def project(self) -> Project:
        with self._lock:
            with_layers = (State.LOADED, State.UNDONE)
            has_layers = any(
                f.state in with_layers and f.counts.loaded for f in self._files.values()
            )
            stored = {"landing": bool(self._files), "lake": has_layers}
            return Project(
                self._project_id,
                bool(self._files),
                frozenset(z for z, has in stored.items() if has),
            )

    def unloaded(self) -> list[Unloaded]:
        with self._lock:
            open_, loaded = Counter[str](), Counter[str]()
            rows = Counter[str]()
            for file in self._files.values():
                if file.state in OPEN:
                    open_[file.source] += file.size
                elif file.state is State.LOADED:
                    loaded[file.source] += file.size
                    rows[file.source] += file.counts.read
            rates = {source: rows[source] / size for source, size in loaded.items() if size}
            return [Unloaded(s, open_[s], rates.get(s)) for s in sorted({*open_, *rates})]

    def recently_nacked(self, code: Code, within: float) -> bool:
        with self._lock:
            after = self._in(-within)
            return any(
                f.state is State.RUNNING
                or (f.state is State.PENDING and f.not_before is not None and f.not_before > after)
                for f in self._files.values()
                if f.error is not None and f.error[0] == code
            )

    def arrivals(self, file_id: int) -> list[ArrivalRecord]:
        with self._lock:
            return [
                ArrivalRecord(at, str(kind), printable(key), mark, None)
                for _, key, mark, kind, owner, at in self._arrivals
                if owner == file_id
            ]

    def find_ingested(self, *_given: Any, **_named: Any) -> NoReturn:
        unsupported("process growing files")

    grow = record_inspection = segments = segments_before = rows_in_other_parts = chains = (
        find_ingested
    )

    def _in(self, seconds: float) -> datetime:
        return self._clock() + timedelta(seconds=seconds)

    def _move(self, file: File, state: State, file_event: FileEvent, **facts: Any) -> None:
        assert allowed(file.state, state), (file.state, state)
        before, file.state, file.lease_until = file.state, state, None
        file.progress_bytes = file.progress_rows = None
        self._add_event(file, file_event, from_state=str(before), to_state=str(state), **facts)

    def _add_event(self, file: File, file_event: FileEvent, **facts: Any) -> None:
        none = dict.fromkeys(("from_state", "to_state", "why", "seconds", "rows"))
        place = {
            "at": self._clock(),
            "what": str(file_event),
            "stage": str(file.stage),
            "who": "memory",
        }
        file.events.append(HistoryEvent(**{**none, **place, "attempt": file.attempts, **facts}))
