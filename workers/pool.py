"""Celery's process pool, hardened against children that end early or cannot be forked."""

from __future__ import annotations

from typing import Any

from celery.concurrency.asynpool import AsynPool
from celery.concurrency.prefork import TaskPool as Prefork

from sensorflow.errors import Code
from sensorflow.telemetry import Event, emit


class Processes(AsynPool):  # type: ignore[misc]  # celery has no types
    def maintain_pool(self) -> None:
        """Called every five seconds and whenever a child ends. Celery's worker ends on ENOMEM; this one
        tries again."""
        try:
            super().maintain_pool()
        except (MemoryError, OSError) as error:
            emit(Event.WORK_REFUSED, code=Code.HOST, reason=str(error) or "no memory")

    def _track_child_process(self, proc: Any, hub: Any) -> None:
        """Called for each connection. A child that ended while there was none is still listed but has no
        descriptor to watch; `maintain_pool` removes it."""
        if getattr(proc, "_sentinel_poll", hub) is not None:
            super()._track_child_process(proc, hub)

    def _create_worker_process(self, i: int) -> Any:
        before = list(self._pool)
        try:
            return super()._create_worker_process(i)
        except (MemoryError, OSError):
            self._forget([w for w in self._pool if w not in before and w._popen is None])
            raise

    def _forget(self, unmade: list[Any]) -> None:
        """Remove processes that were listed before they could be forked. They have no pid to be found
        by."""
        for worker in unmade:
            self._pool.remove(worker)
            for queues, owner in self._queues.items():
                if owner is worker:
                    self._queues[queues] = None


class TaskPool(Prefork):  # type: ignore[misc]  # celery has no types
    Pool = Processes

    def did_start_ok(self) -> bool:
        """Celery ends a worker if one child has died before the worker is connected. Instead, the child is
        replaced, as it would be later."""
        return True
