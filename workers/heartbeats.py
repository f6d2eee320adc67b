"""Heartbeats of beat and of a worker's parent, sent as long as their loops make progress."""

from __future__ import annotations

from typing import Any

from celery import bootsteps
from celery.signals import worker_shutdown
from celery.worker import state

from sensorflow import bootstrap
from sensorflow.adapters.host import process
from sensorflow.core.heartbeat import Role
from sensorflow.engine import process_metrics
from sensorflow.errors import Code, Transient, UsageError
from sensorflow.flow.heartbeats import HeartbeatSender, LoopStatus
from workers import schedule
from workers.configured import settings
from workers.pool import pids

INTERVAL_SECONDS = 2.0
"""Seconds between signs of life of a worker's loop."""


def heartbeat_sender(role: Role) -> tuple[HeartbeatSender, LoopStatus] | None:
    """Returns (heartbeat sender of this process, status of its loop). The sender sends nothing until it is
    started. Returns None if the settings do not define a database."""
    try:
        ledger = bootstrap.ledger(settings(), role)
    except UsageError:
        return None
    sender = bootstrap.heartbeat_sender(settings(), ledger, process())
    return sender, sender.add_loop(role)


class HeartbeatStep(bootsteps.StartStopStep):  # type: ignore[misc]  # celery has no types
    """Reports the progress of a Celery worker. Runs in the consumer's loop, which exists only while the
    broker is connected. Reports a pause while there is no connection."""

    requires = ("celery.worker.consumer.connection:Connection",)

    def __init__(self, c: Any, **options: Any) -> None:
        """Start the heartbeat sender. Celery calls this after forking the pool, so no child
        inherits a lock of the sender's thread."""
        super().__init__(c, **options)
        self._loop: LoopStatus | None = None
        if (found := heartbeat_sender(Role.WORKER)) is not None:
            sender, self._loop = found
            self._note(c)
            self._loop.pause(CONNECTING)
            self._loop.begin_long_call()
            sender.start()
            from workers.process import board  # not in beat, which imports no Arrow

            process_metrics.serve(
                settings(), Role.WORKER, [self._loop], lambda: [*pids(c.pool)], board.events
            )
            if (scaler := getattr(c.controller, "autoscaler", None)) is not None:
                scaler.start_measuring(process())
            worker_shutdown.connect(lambda **_: sender.stop(), weak=False)

    def start(self, c: Any) -> None:
        """Report progress. Called for each new connection."""
        if self._loop is not None:
            self._loop.resume()
            self._note(c)
            c.timer.call_repeatedly(INTERVAL_SECONDS, self._note, (c,))

    def stop(self, c: Any) -> None:
        """Report that the connection has ended. A worker that is shutting down finishes its files
        without a connection."""
        if self._loop is None:
            return
        if state.should_stop in (None, False) and state.should_terminate in (None, False):
            self._loop.pause(CONNECTING)
        else:
            self._loop.set_facts(paused=None, ending=True)
        self._loop.begin_long_call()

    def _note(self, c: Any) -> None:
        if self._loop is not None:
            from workers.process import board  # not in beat, which imports no Arrow

            self._loop.set_facts(**size(c), **board.facts(pids(c.pool)))


def size(c: Any) -> dict[str, int | None]:
    """Returns the status fields of the heartbeat that describe the size of a worker's pool, see
    `core.heartbeat.LoopReport`."""
    scaler = getattr(c.controller, "autoscaler", None)
    if scaler is None:
        most = int(c.controller.concurrency)
        return {
            "children": int(getattr(c.pool, "num_processes", 0) or 0),
            "least": most,
            "most": most,
        }
    node = scaler.node()
    facts = {"children": node.present, "least": node.least, "most": node.most, "limit": node.limit}
    return {**facts, "wanted": scaler.plan.wanted if scaler.plan else None}


CONNECTING = Transient(Code.BROKER, "connecting to the broker")


class Scheduler(schedule.Scheduler):
    """A scheduler of beat that reports its progress on each tick."""

    _heartbeats: HeartbeatSender | None = None
    _loop: LoopStatus | None = None
    _begun = False

    def tick(self, *given: Any, **options: Any) -> Any:
        if not self._begun:
            self._begun = True
            if (found := heartbeat_sender(Role.BEAT)) is not None:
                self._heartbeats, self._loop = found
                self._heartbeats.start()
                process_metrics.serve(settings(), Role.BEAT, [self._loop])
        if self._loop is not None:
            self._loop.touch()
        return super().tick(*given, **options)

    def close(self) -> None:
        super().close()
        if self._heartbeats is not None:
            self._heartbeats.stop()
            self._heartbeats = None
