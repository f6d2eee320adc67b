"""Celery's process pool, changed so that children may end early or fail to be forked."""

from __future__ import annotations

import time
from typing import Any

from celery.concurrency.asynpool import AsynPool
from celery.concurrency.prefork import TaskPool as Prefork

from sensorflow.errors import Code
from sensorflow.telemetry import Event, emit


class Processes(AsynPool):  # type: ignore[misc]  # celery has no types
    def maintain_pool(self) -> None:
        """Replace ended children. Called every five seconds and whenever a child ends. On ENOMEM,
        Celery's own pool ends the worker; this pool tries again later."""
        try:
            super().maintain_pool()
        except (MemoryError, OSError) as error:
            _refused(error)

    def _maintain_pool(self) -> None:
        """Replace ended children. Each of them gives its slot back, even if its replacement cannot be
        forked. Celery's own pool keeps the slot in this case. A worker without a free slot accepts no more
        messages."""
        before = list(self._pool)
        try:
            self._repopulate_pool(self._join_exited_workers())
        finally:
            for child in before:
                if child not in self._pool and self._putlock:
                    self._putlock.release()

    def on_job_process_lost(self, job: Any, pid: int, exitcode: int) -> None:
        """Report the job of an ended child as lost, or try again when the pool is maintained next."""
        try:
            super().on_job_process_lost(job, pid, exitcode)
        except MemoryError as error:
            job._worker_lost = (time.monotonic(), exitcode)
            _refused(error)

    def shrink(self, n: int = 1) -> None:
        """End up to n children that have no message. Celery's own pool may end a child to which a
        message was just sent; the message then waits until another child is free."""
        for child in self.idle()[:n]:
            self._all_inqueues.discard(child.inqW_fd)  # no message is sent to it from now on
            self._processes -= 1
            if self._putlock:
                self._putlock.shrink()
            child.terminate_controlled()
            self.on_shrink(1)

    def idle(self) -> list[Any]:
        """Returns the children that are ready, have no message, and are not ending."""
        sent = {
            id(child)
            for job in self._cache.values()
            for child in (job._write_to, job._scheduled_for)
            if child is not None
        }
        return [
            child
            for child in self._pool
            if id(child) not in sent
            and child.inqW_fd in self._all_inqueues
            and not self._worker_active(child)
        ]

    def _track_child_process(self, proc: Any, hub: Any) -> None:
        """Watch a child's descriptor. Called for each child on each connection. A child that ended
        while there was no connection has no descriptor; `maintain_pool` removes it."""
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
        """Remove processes that Celery listed but could not fork. Celery itself cannot find them,
        because they have no pid."""
        for worker in unmade:
            self._pool.remove(worker)
            for queues, owner in self._queues.items():
                if owner is worker:
                    self._queues[queues] = None


def _refused(error: Exception) -> None:
    emit(Event.WORK_REFUSED, code=Code.HOST, reason=str(error) or "no memory")


def pids(pool: Any) -> list[int]:
    """Returns the pids of a pool's children."""
    children = getattr(getattr(pool, "_pool", None), "_pool", ())
    return [child.pid for child in list(children) if child.pid]


class TaskPool(Prefork):  # type: ignore[misc]  # celery has no types
    Pool = Processes

    def did_start_ok(self) -> bool:
        """Returns True in all cases, because Celery would otherwise end a worker if a child died before the
        worker was connected. Instead, the child is replaced."""
        return True
