"""The loop that publishes what is due. It outlives any defect, and a broker that is away."""

from __future__ import annotations

import math
import threading
import time

from sensorflow.core.retry import backoff
from sensorflow.errors import Transient, unexpected
from sensorflow.flow.housekeeping import Housekeeping
from sensorflow.flow.publish import publish
from sensorflow.flow.pulse import Loop
from sensorflow.ports.ledger import Ledger
from sensorflow.ports.queue import Publisher
from sensorflow.settings import Settings
from sensorflow.telemetry import Event, emit

PUBLISH_EVERY = 1.0
"""Seconds between looks for retries that are due, when no new file wakes the publisher."""
PUBLISH_SOON = 0.25
"""The same while files are sent: others may wait for those that the workers finish."""
SOON_FOR = 5.0
"""Seconds after the last one was sent for which that holds."""
LOOKS = 5
"""How often in the time from one sweep to the next it is asked whether one is due."""


class PublisherLoop:
    """In the thread that calls `run`; a broker that is away never keeps a file from being landed.

    house: the sweeper, which sweeps where nobody else does, for beat's host may be gone, or there is none.
    """

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        queue: Publisher,
        loop: Loop,
        house: Housekeeping,
    ) -> None:
        self._settings, self._house = settings, house
        self._ledger = ledger
        self._queue = queue
        self._loop = loop
        self._fresh = threading.Event()
        self._stop = threading.Event()

    def wake(self) -> None:
        """Files were registered."""
        self._fresh.set()

    def stop(self) -> None:
        """Finish the files in hand, and end."""
        self._stop.set()
        self._fresh.set()

    def run(self) -> None:
        """Until `stop`."""
        troubles, look_at, soon_until = 0, -math.inf, 0.0
        s, loop = self._settings, self._loop
        while not self._stop.is_set():
            soon = time.monotonic() < soon_until
            self._fresh.wait(PUBLISH_SOON if soon else PUBLISH_EVERY)
            self._fresh.clear()
            loop.touch()
            try:
                if time.monotonic() >= look_at:
                    loop.hold()  # until a message is sent, or this is over
                    self._house.run_due()
                    look_at = time.monotonic() + s.sweep / LOOKS
                sent = publish(self._ledger, self._queue, s.limits, loop.touch)
            except Exception as error:  # noqa: BLE001 - this thread must outlive any defect
                troubles += 1
                delay = backoff(troubles, 0.5, cap=15.0)
                if isinstance(error, Transient):
                    facts = {"code": error.code, "reason": error.message}
                    emit(Event.PUBLISH_PAUSED, **facts, seconds=delay)
                    loop.pause(error)
                else:
                    emit(Event.DEFECT, exc_info=True)
                    loop.pause(unexpected(error))
                loop.wait(delay, self._stop)
                continue
            troubles = 0
            loop.resume(sure=sent > 0)
            if sent:
                soon_until = time.monotonic() + SOON_FOR
                emit(Event.FILES_PUBLISHED, files=sent)
