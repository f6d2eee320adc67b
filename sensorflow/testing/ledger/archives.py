"""Archives whose members are files of their own, in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sensorflow.core import unpacking
from sensorflow.core.arrival import Arrival, printable
from sensorflow.core.events import FileEvent
from sensorflow.core.readings import Span
from sensorflow.core.states import Stage, State
from sensorflow.ports.catalog import Member
from sensorflow.ports.claims import Claim
from sensorflow.ports.files import Counts
from sensorflow.ports.intake import Kind, OnChange, Registration
from sensorflow.ports.loading import Unpack
from sensorflow.testing.ledger.file import OPEN, File

Place = tuple[str, bytes, str]
"""Of an arrival: source, key, fingerprint."""


class Archives:
    """See `ports.ledger.Ledger`; of its methods those that archives alone need."""

    _lock: threading.RLock
    _clock: Callable[[], datetime]
    _files: dict[int, File]
    _arrivals: list[tuple[str, bytes, str, Kind, int, datetime]]
    _lineage: dict[Place, int]

    def _guard(self, claim: Claim) -> File:
        raise NotImplementedError

    def _named(self, source: str, key: bytes) -> list[File]:
        raise NotImplementedError

    def _enter(self, arrival: Arrival, on_change: OnChange, name_matters: bool) -> Registration:
        raise NotImplementedError

    def _move(self, file: File, to: State, what: FileEvent, count: int = 0, **facts: Any) -> None:
        raise NotImplementedError

    def unpack(self, claim: Claim, members: Sequence[Arrival], how: Unpack) -> list[Registration]:
        with self._lock:
            archive = self._guard(claim)
            self._require_order(archive, members)
            how.keep()
            done = []
            for member in members:
                whole = archive.arrival
                arrival = replace(
                    member,
                    lane=archive.lane,
                    discovered_at=whole.discovered_at,
                    landed_at=whole.landed_at,
                )
                entered = self._enter(arrival, how.on_change, how.name_matters)
                self._lineage[arrival.source, arrival.key, arrival.fingerprint] = archive.id
                if claim.profile is not None and entered.kind is Kind.NEW:
                    self._files[entered.file_id].profile = claim.profile
                done.append(entered)
            self._finish_archive(archive, len(members), how)
            return done

    def _finish_archive(self, archive: File, members: int, how: Unpack) -> None:
        archive.stage, archive.members = Stage.LOAD, members
        facts: dict[str, Any] = {"seconds": how.report.seconds, "rows": 0, "why": how.report.note}
        self._move(archive, State.LOADED, FileEvent.UNPACKED, **facts)
        archive.finished_at, archive.counts, archive.checksum = self._clock(), Counts(), 0
        archive.previous, archive.error, archive.span, archive.identity = None, None, Span(), ""

    def _require_order(self, archive: File, members: Sequence[Arrival]) -> None:
        versions = self._named(archive.arrival.source, archive.arrival.key)
        for old in versions:
            waits = old.state in OPEN and old.stage is not Stage.QUARANTINE and old.members is None
            if waits and old.version < archive.version:
                raise unpacking.earlier(old.version)
        if archive.previous is not None and archive.previous[0].loaded:
            raise unpacking.loaded_whole(archive.previous[0].loaded)
        newer = {f.id: f.version for f in versions if f.version > archive.version}
        for member in members:
            if (member.source, member.key, member.fingerprint) in self._lineage:
                continue
            for source, key, mark, _, file_id, _ in self._arrivals:
                by = newer.get(self._lineage.get((source, key, mark), 0))
                other = self._files[file_id].arrival.landed.sha256 != member.landed.sha256
                if by and other and (source, key) == (member.source, member.key):
                    raise unpacking.later(printable(member.key), by)

    def members(self, file_id: int) -> list[Member]:
        with self._lock:
            found = [
                Member(printable(key), number, self._besides(number, file_id))
                for source, key, mark, _, number, _ in self._arrivals
                if self._lineage.get((source, key, mark)) == file_id
            ]
        return sorted(found, key=lambda member: member.name)

    def _besides(self, file_id: int, archive: int) -> frozenset[int]:
        came = {self._lineage.get(a[:3], 0) for a in self._arrivals if a[4] == file_id}
        return frozenset(
            n for n in came - {archive} if not n or self._files[n].state is not State.UNDONE
        )
