"""The loop that sends pending files to the broker. It survives defects and outages of the broker."""

from __future__ import annotations

import math
import threading
import time

from sensorflow.core.retry import backoff
from sensorflow.errors import Transient, unexpected
from sensorflow.flow.heartbeats import LoopStatus
from sensorflow.flow.housekeeping import Housekeeping
from sensorflow.flow.publish import publish
from sensorflow.ports.ledger import Ledger
from sensorflow.ports.queue import Publisher
from sensorflow.settings import Settings
from sensorflow.telemetry import Event, emit

PUBLISH_EVERY = 1.0
"""Seconds between checks for due retries, when no new file wakes the publisher."""
PUBLISH_SOON = 0.25
"""Seconds between checks while files are being sent. The checks are frequent, because each file that a
worker completes makes room for a pending file."""
SOON_FOR = 5.0
"""Seconds for which `PUBLISH_SOON` applies after the last message was sent."""
CHECKS_PER_INTERVAL = 5
"""Number of times per reconciliation interval at which the loop checks whether a reconciliation is due."""


class PublisherLoop:
    """The loop of a publisher. An unavailable broker does not prevent files from being landed. Runs in the
    thread that calls `run`.

    housekeeping: the housekeeping, which reconciles if no beat does, for example because beat's host is
    down.
    """

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        queue: Publisher,
        loop: LoopStatus,
        housekeeping: Housekeeping,
    ) -> None:
        self._settings, self._housekeeping = settings, housekeeping
        self._ledger = ledger
        self._queue = queue
        self._loop = loop
        self._wakeup = threading.Event()
        self._stop = threading.Event()

    def wake(self) -> None:
        """Wake the loop, because files were registered."""
        self._wakeup.set()

    def stop(self) -> None:
        """Finish the current messages, then stop."""
        self._stop.set()
        self._wakeup.set()

    def run(self) -> None:
        """Run until `stop` is called."""
        failures, look_at, soon_until = 0, -math.inf, 0.0
        s, loop = self._settings, self._loop
        while not self._stop.is_set():
            soon = time.monotonic() < soon_until
            self._wakeup.wait(PUBLISH_SOON if soon else PUBLISH_EVERY)
            self._wakeup.clear()
            loop.touch()
            try:
                if time.monotonic() >= look_at:
                    loop.begin_long_call()  # until a message is sent, or the call returns
                    self._housekeeping.run_due_steps()
                    look_at = time.monotonic() + s.reconcile / CHECKS_PER_INTERVAL
                sent = publish(self._ledger, self._queue, s.limits, loop.touch)
            except Exception as error:  # noqa: BLE001 - this thread must outlive any defect
                failures += 1
                delay = backoff(failures, 0.5, cap=15.0)
                if isinstance(error, Transient):
                    facts = {"code": error.code, "reason": error.message}
                    emit(Event.PUBLISH_PAUSED, **facts, seconds=delay)
                    loop.pause(error)
                else:
                    emit(Event.DEFECT, exc_info=True)
                    loop.pause(unexpected(error))
                loop.wait(delay, self._stop)
                continue
            failures = 0
            loop.resume(is_confirmed=sent > 0)
            if sent:
                soon_until = time.monotonic() + SOON_FOR
                emit(Event.FILES_PUBLISHED, files=sent)
