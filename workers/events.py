"""Send task events to Flower in batches, because sending them one by one takes longer than the task of a
file that is already loaded. Also send events about the progress of large files."""

from __future__ import annotations

import time
from typing import Any

from celery import bootsteps
from celery.worker import state
from celery.worker.consumer.events import Events
from kombu.common import ignore_errors

PAUSE = 0.2
"""Seconds for which events are collected before they are sent. Each event contains its own time."""


class EventBufferStep(bootsteps.StartStopStep):  # type: ignore[misc]  # celery has no types
    """Delays the sending of buffered events. By default, Celery sends them in the next iteration of its
    event loop; a batch then almost always contains a single event."""

    requires = (Events,)

    def __init__(self, c: Any, **options: Any) -> None:
        self._flush_at = 0.0
        super().__init__(c, **options)

    def start(self, c: Any) -> None:
        """Install the delay for a new connection, because each connection has its own dispatcher.
        Without an event loop, events are not buffered."""
        if c.hub is not None:
            c.event_dispatcher.on_send_buffered = lambda: self._later(c)

    def _later(self, c: Any) -> None:
        now = time.monotonic()
        if now >= self._flush_at:  # no flag, because a timer may end with its connection
            self._flush_at = now + PAUSE
            c.hub.call_later(PAUSE, c.on_send_event_buffered)

    def stop(self, c: Any) -> None:
        """Send the buffered events. Also called for a broken connection; unsent events are then
        sent over the next connection."""
        if c.event_dispatcher is not None:
            ignore_errors(c, c.event_dispatcher.flush)

    shutdown = stop


PROGRESS_SECONDS = 2.0
"""Seconds between two checks of the children's progress."""
PROGRESS = "task-progress"
"""The type of a custom event. Until the task ends, Flower shows the last part of this name as the state of
the task, and the result of the event as the result of the task."""


class ProgressStep(bootsteps.StartStopStep):  # type: ignore[misc]  # celery has no types
    """Sends an event whenever the task of a large file has made progress. A file is large if its lease was
    renewed while it was read. The parent sends the events, so that children need no connection for
    events."""

    requires = (Events,)

    def __init__(self, c: Any, **options: Any) -> None:
        self._sent: dict[int, tuple[int | None, int]] = {}
        super().__init__(c, **options)

    def start(self, c: Any) -> None:
        c.timer.call_repeatedly(PROGRESS_SECONDS, self._send, (c,))

    def _send(self, c: Any) -> None:
        from workers.process import board

        found = board.progress()
        if c.event_dispatcher is not None and c.event_dispatcher.enabled:
            for request in list(state.active_requests):
                read = found.get(request.worker_pid)
                if read is not None and self._sent.get(request.worker_pid) != read:
                    c.event_dispatcher.send(PROGRESS, uuid=request.id, result=progress_text(*read))
        self._sent = found


def progress_text(percent: int | None, rows: int) -> str:
    share = "" if percent is None else f"{percent} % read, "
    return f"{share}{rows:,} readings so far"
