"""Changes the number of children of a worker according to the work that waits in the ledger. See
`core.scaling`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from celery.signals import worker_shutdown
from celery.worker import autoscale, state

from sensorflow import bootstrap
from sensorflow.core.scaling import SHRINK_AFTER_SECONDS, Maximum, Node
from sensorflow.engine import resources
from sensorflow.flow.scaling import FleetScaler, Plan
from sensorflow.telemetry import Event, emit
from workers import process
from workers.configured import settings
from workers.pool import pids

BUSY_SECONDS, IDLE_SECONDS = 1.0, 5.0
"""Seconds between two decisions while this worker has messages, and while it has no messages. A message
that arrives at a worker without messages causes a decision at once."""
OCCUPIED_SECONDS = 2.0
"""A child counts as occupied for long if it has worked on the same files for longer than this number of
seconds."""
NODES_PER_SECOND = 8
"""Maximum number of workers that decide once every `BUSY_SECONDS`. If there are more workers, each decides
less often, so that the number of queries does not grow."""


class Autoscaler(autoscale.Autoscaler):  # type: ignore[misc]  # celery has no types
    """Replaces the rule of Celery's autoscaler. A thread measures the work and decides. The worker's loop
    calls `maybe_scale` every second and for each message, and changes the pool according to the latest
    decision. Therefore the loop never waits for the database."""

    plan: Plan | None = None
    """The latest decision; None before the first one."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.keepalive: float = BUSY_SECONDS
        self._measure: Callable[[], Plan] | None = None
        self._wake, self._ending = threading.Event(), threading.Event()
        self._meter = resources.CpuMeter()
        self._recent, self._least = Maximum(SHRINK_AFTER_SECONDS), 0

    def start_measuring(self, me: str) -> None:
        """Start the thread. Called after the pool was forked. me: the id of this process, as in its
        heartbeats."""
        given = settings()
        ledger = bootstrap.ledger(given, "worker")
        result = FleetScaler(ledger, me, int(given.inline_below), given.limits.quotas)
        self._measure = lambda: result.plan(self.node())
        worker_shutdown.connect(self._end, weak=False)
        threading.Thread(target=self._run, name="autoscaler", daemon=True).start()

    def node(self) -> Node:
        """Returns the resources of this worker."""
        return Node(
            self.min_concurrency,
            self.max_concurrency,
            int(getattr(self.pool, "num_processes", 0) or 0),  # not before the pool is started
            resources.cpus(),
            self._meter.busy(),
            resources.free_bytes(),
            resources.process_bytes(pids(self.pool)),
        )

    def _run(self) -> None:
        assert self._measure is not None
        while not self._ending.is_set():
            self._wake.clear()
            began = time.monotonic()
            try:
                self.plan = self._measure()
                self._least = round(self._recent.add(began, self._not_blocked()))
            except Exception:  # noqa: BLE001 - this thread must outlive any defect
                emit(Event.DEFECT, exc_info=True)
            nodes = self.plan.nodes if self.plan else 1
            pause = BUSY_SECONDS * max(1.0, nodes / NODES_PER_SECOND)
            if not self.qty:
                self._wake.wait(max(pause, IDLE_SECONDS))
            self._ending.wait(max(0.0, began + pause - time.monotonic()))

    def _not_blocked(self) -> int:
        """Returns the number of processes that this worker needs so that no message waits for a child that
        is occupied for long, for example with a large file; 0 if no child is. The work in the ledger does
        not show this need, because such a message may be little work but would wait for minutes."""
        occupied = process.board.occupied(pids(self.pool), OCCUPIED_SECONDS)
        return occupied + 1 if self.qty > occupied > 0 else 0

    def _end(self, **_: Any) -> None:
        self._ending.set()
        self._wake.set()

    def _maybe_scale(self, req: Any = None) -> bool:
        """Change the pool according to the latest decision. Returns True if the pool was changed."""
        if req is not None:
            self._wake.set()
        if self.plan is None or state.should_stop or state.should_terminate:
            return False
        more: int = (
            min(max(self.plan.mine, self._least, self.min_concurrency), self.max_concurrency)
            - self.processes
        )
        if more > 0:
            self.scale_up(more)
        elif more < 0:
            more = -min(-more, len(self.pool._pool.idle()))
            if more < 0:
                self._shrink(-more)
        return more != 0
