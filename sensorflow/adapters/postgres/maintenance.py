"""Maintenance of finished files, in the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sensorflow.adapters.postgres import expired_partitions, retention, reversal
from sensorflow.adapters.postgres.queries import run
from sensorflow.adapters.postgres.transactions import Transactions
from sensorflow.ports.maintenance import GARBAGE_GROUP, Expirable, Expired, Remove, Undone


class Maintenance(Transactions):
    """Implements `ports.maintenance.Maintenance`."""

    def claim_turn(self, step: str, interval_seconds: float, early: float = 0.0) -> bool:
        facts = {
            "name": f"{step} begun",
            "owner": self._actor,
            "every": interval_seconds,
            "early": early,
        }
        with self._statement() as c:
            return run(c, "take_turn", **facts).scalar() is not None

    def replay(self, file_id: int, profile: str | None = None) -> bool:
        with self._transaction() as c:
            return reversal.replay(c, self._actor, file_id, profile, None)

    def undo(self, file_id: int, reason: str, also_undone: Sequence[int] = ()) -> Undone | None:
        with self._transaction() as c:
            return reversal.undo(c, self._actor, file_id, reason, also_undone)

    def collect_garbage(self, remove: Remove, limit: int = 100) -> int:
        return sum(self._collect(remove, limit, is_rewritten) for is_rewritten in (False, True))

    def _collect(self, remove: Remove, limit: int, is_rewritten: bool) -> int:
        after = passed = done = 0
        while passed < limit:
            size = 1 if is_rewritten else min(limit - passed, GARBAGE_GROUP)
            with self._transaction() as c:
                if not (group := retention.lock_garbage(c, after, size, is_rewritten)):
                    break
                removed = remove(group)
                retention.record_removed(c, removed)
            if not removed:
                break
            after, passed, done = group[-1].file_id, passed + len(group), done + len(removed)
        return done

    def mark_garbage(self, file_id: int) -> None:
        with self._statement() as c:
            run(c, "collect_again", id=file_id)

    def expire(self, source: str, layer: Expirable, age: float, limit: int = 1000) -> Expired:
        with self._transaction() as c:
            return retention.expire(c, self._actor, source, layer, age, limit)

    def expire_partitions(self, ages: Mapping[str, float]) -> list[Expired]:
        done: list[Expired] = []
        kept: set[datetime] = set()
        while ages:
            try:
                with self._transaction() as c:
                    found = expired_partitions.expired_partitions(c, ages, kept)
                    if not found:
                        break
                    done += expired_partitions.expire_partitions(c, self._actor, ages, found)
            except expired_partitions.PartitionKept as partition:
                if partition.low is None:
                    break
                kept.add(partition.low)
        return done

    def delete_history(self, source: str, age: float, limit: int = 10000) -> int:
        with self._transaction() as c:
            return int(run(c, "forget", source=source, age=age, limit=limit).scalar_one())
