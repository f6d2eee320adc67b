"""Which processes run, in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from sensorflow.core.heartbeat import FORGOTTEN, Heartbeat, Pulse


class Heartbeats:
    """See `ports.ledger.Ledger`; of its methods those about heartbeats."""

    _lock: threading.RLock
    _clock: Callable[[], datetime]
    _beats: dict[tuple[str, str], Heartbeat]

    def beat(self, pulse: Pulse) -> None:
        with self._lock:
            now, key = self._clock(), (pulse.process, str(pulse.role))
            known = self._beats.get(key)
            self._beats[key] = Heartbeat(pulse, known.started_at if known else now, now, 0.0)
            self._beats = {key: b for key, b in self._beats.items() if self._age(b) < FORGOTTEN}

    def end_beats(self, process: str) -> None:
        with self._lock:
            self._beats = {key: b for key, b in self._beats.items() if key[0] != process}

    def heartbeats(self) -> list[Heartbeat]:
        with self._lock:
            found = [replace(b, age=self._age(b)) for b in self._beats.values()]
        return sorted(found, key=lambda b: (b.pulse.role, b.started_at, b.pulse.process))

    def _age(self, beat: Heartbeat) -> float:
        return (self._clock() - beat.beat_at).total_seconds()
