"""What is to be published, in memory."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import accumulate
from typing import NamedTuple

from sensorflow.core.arrival import Lane, Waiting
from sensorflow.core.heartbeat import Heartbeat, Role
from sensorflow.core.states import State
from sensorflow.ports.outbox import UNSHARED, Pace, Share, work_of
from sensorflow.testing.ledger.file import OPEN, File, waiting_of

SECONDS = 5.0


class _Place(NamedTuple):
    """Of a file in its source: how much work and how many files go before it, in flight or not."""

    turn: int
    nth: int
    id: int
    work: int
    file: File


def _work(file: File) -> int:
    return work_of(file.arrival.landed.size)


class Outbox:
    """See `ports.ledger.Ledger`; of its methods those that a publisher asks."""

    _lock: threading.RLock
    _clock: Callable[[], datetime]
    _files: dict[int, File]

    def _held_back(self, file: File) -> bool:
        raise NotImplementedError

    def heartbeats(self) -> list[Heartbeat]:
        raise NotImplementedError

    def due(
        self,
        limit: int,
        max_in_flight: int,
        backfill_in_flight: int | None = None,
        share: Share = UNSHARED,
    ) -> list[Waiting]:
        room = max_in_flight if backfill_in_flight is None else backfill_in_flight
        with self._lock:
            live = self._due(Lane.LIVE, limit, max_in_flight, max_in_flight, share)
            return live or self._due(Lane.BACKFILL, limit, max_in_flight, room, share)

    def _due(
        self, lane: Lane, limit: int, max_in_flight: int, room: int, share: Share
    ) -> list[Waiting]:
        flying = [f for f in self._files.values() if f.published_at and f.state in OPEN]
        held: Counter[str] = Counter()
        for file in flying:
            held[file.arrival.source] += _work(file)
        ready, work = self._ready(lane, held, flying), sum(held.values())
        large = share.large - sum(f.arrival.landed.size >= share.large_bytes for f in flying)
        placed: list[_Place] = []
        for place in sorted(ready, key=lambda p: (p.turn, p.id)):
            if place.file.arrival.landed.size >= share.large_bytes:
                if large <= 0:
                    continue
                large -= 1
            placed.append(place)
        sources = max(1, len({*held, *(p.file.arrival.source for p in ready)}))
        totals = accumulate(p.work for p in placed)
        chosen = [
            p.file
            for nth, (p, total) in enumerate(zip(placed, totals, strict=True), 1)
            if (total <= share.window - work and nth <= share.files - len(flying))
            or nth <= share.least - len(flying)
            or (lane is Lane.LIVE and (p.turn == 0 or _in_share(p, share, sources)))
        ]
        room = min(max_in_flight - len(flying), room - sum(f.lane is lane for f in flying))
        return [waiting_of(f) for f in chosen[: min(limit, max(0, room))]]

    def _ready(self, lane: Lane, held: Counter[str], flying: list[File]) -> list[_Place]:
        now, before = self._clock(), Counter(held)
        files = Counter(f.arrival.source for f in flying)
        ready = []
        for file in sorted(self._files.values(), key=lambda f: f.id):
            waits = file.state is State.PENDING and file.published_at is None
            early = file.not_before is not None and file.not_before > now
            if not waits or file.lane is not lane or early or self._held_back(file):
                continue
            source, work = file.arrival.source, _work(file)
            ready.append(_Place(before[source], files[source], file.id, work, file))
            before[source] += work
            files[source] += 1
        return ready

    def pace(self) -> Pace:
        with self._lock:
            since = self._clock() - timedelta(seconds=SECONDS)
            lately = [(e, f) for f in self._files.values() for e in f.events if e.at > since]
            beats = [b for b in self.heartbeats() if b.live and b.pulse.role is Role.WORKER]
            waits = any(
                f.state is State.PENDING and not f.published_at for f in self._files.values()
            )
            if not lately or not waits:
                return Pace(0.0, _children(beats))
            done = [
                _work(f)
                for e, f in lately
                if e.from_state == State.RUNNING and e.to_state != State.PENDING
            ]
            first = min(e.at for e, _ in lately)
            return Pace(
                sum(done) / max(0.5, (self._clock() - first).total_seconds()), _children(beats)
            )


def _in_share(place: _Place, share: Share, sources: int) -> bool:
    few = place.nth < share.files // sources
    return few and place.turn + place.work <= share.window // sources


def _children(beats: list[Heartbeat]) -> int | None:
    return sum(b.pulse.state["most"] for b in beats if "most" in b.pulse.state) or None
