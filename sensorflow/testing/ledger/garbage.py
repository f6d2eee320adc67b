"""Garbage collection of the in-memory ledger."""

from __future__ import annotations

from sensorflow.ports.maintenance import GARBAGE_GROUP, Remove
from sensorflow.testing.ledger.file import garbage_of
from sensorflow.testing.ledger.heartbeats import MemoryHeartbeats


class MemoryGarbage(MemoryHeartbeats):
    """See `ports.maintenance.Maintenance`. All other calls wait while garbage is removed."""

    def collect_garbage(self, remove: Remove, limit: int = 100) -> int:
        after = passed = done = 0
        while passed < limit:
            with self._lock:
                found = [f for f in self._files.values() if f.may_have_garbage and f.id > after]
                group = found[: min(limit - passed, GARBAGE_GROUP)]
                removed = remove([garbage_of(file) for file in group]) if group else ()
                for file in group:
                    file.tidy = file.id in removed
            if not removed:
                break
            after, passed, done = group[-1].id, passed + len(group), done + len(removed)
        return done

    def mark_garbage(self, file_id: int) -> None:
        with self._lock:
            self._files[file_id].tidy = False
