"""The heartbeats of the in-memory ledger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from sensorflow.core.heartbeat import FORGET_AFTER_SECONDS, Heartbeat, LoopReport
from sensorflow.testing.ledger.intake import MemoryIntake


class MemoryHeartbeats(MemoryIntake):
    """See `ports.heartbeats.Heartbeats`."""

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        super().__init__(clock)
        self._beats: dict[tuple[str, str], Heartbeat] = {}

    def record_report(self, report: LoopReport) -> None:
        with self._lock:
            now, key = self._clock(), (report.process, str(report.role))
            known = self._beats.get(key)
            self._beats[key] = Heartbeat(report, known.started_at if known else now, now, 0.0)
            self._beats = {
                key: b for key, b in self._beats.items() if self._age(b) < FORGET_AFTER_SECONDS
            }

    def remove_reports(self, process: str) -> None:
        with self._lock:
            self._beats = {key: b for key, b in self._beats.items() if key[0] != process}

    def heartbeats(self) -> list[Heartbeat]:
        with self._lock:
            found = [replace(b, age=self._age(b)) for b in self._beats.values()]
        return sorted(found, key=lambda b: (b.report.role, b.started_at, b.report.process))

    def _age(self, beat: Heartbeat) -> float:
        return (self._clock() - beat.beat_at).total_seconds()
