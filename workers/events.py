"""Send task events to Flower in batches. One by one, they cost more than the task of a finished file."""

from __future__ import annotations

import time
from typing import Any

from celery import bootsteps
from celery.worker.consumer.events import Events
from kombu.common import ignore_errors

PAUSE = 0.2
"""Seconds for which events are collected. Each event carries its own time."""


class EventBufferStep(bootsteps.StartStopStep):  # type: ignore[misc]  # celery has no types
    """Celery sends buffered events in the next turn of its loop, which is almost always a single event."""

    requires = (Events,)

    def __init__(self, c: Any, **options: Any) -> None:
        self._due = 0.0
        super().__init__(c, **options)

    def start(self, c: Any) -> None:
        """Called for each connection, which has its own dispatcher. Without an event loop nothing is
        buffered."""
        if c.hub is not None:
            c.event_dispatcher.on_send_buffered = lambda: self._later(c)

    def _later(self, c: Any) -> None:
        now = time.monotonic()
        if now >= self._due:  # not a flag: a timer may be gone with its connection
            self._due = now + PAUSE
            c.hub.call_later(PAUSE, c.on_send_event_buffered)

    def stop(self, c: Any) -> None:
        """Also called for a broken connection. Unsent events are sent over the next one."""
        if c.event_dispatcher is not None:
            ignore_errors(c, c.event_dispatcher.flush)

    shutdown = stop
