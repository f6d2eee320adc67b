"""A pool as large as what was in hand at once lately: it grows at once, and shrinks when that is over.

Celery's own counts the seconds since any task came, so that a sweep every 15 s keeps all children for ever.
"""

from __future__ import annotations

from collections import deque
from time import monotonic
from typing import Any

from celery.worker import autoscale, state

LOOK = 5.0
"""Seconds between looks, at most; between them each message is one."""


class Autoscaler(autoscale.Autoscaler):  # type: ignore[misc]  # celery has no types
    """`keepalive` (AUTOSCALE_KEEPALIVE): seconds for which children are kept that have nothing to do.

    Of messages that come at intervals, shorter than that, no child is ended and forked again: the most
    that were in hand at once in that time decide, a sweep among them as one.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._kept: float = self.keepalive
        self.keepalive: float = min(LOOK, self._kept)
        self._seen: deque[tuple[float, int]] = deque()

    def _maybe_scale(self, req: Any = None) -> bool:
        """True when the pool was changed."""
        wanted = min(max(self._most(), self.min_concurrency), self.max_concurrency)
        more: int = wanted - self.processes
        if more > 0:
            self.scale_up(more)
        elif more < 0 and not state.reserved_requests - state.active_requests:
            self._shrink(-more)  # of a message on its way it is not known yet which child has it
        return more != 0

    def _most(self) -> int:
        """The most messages in hand at once within the last `_kept` seconds."""
        now, count = monotonic(), self.qty
        while self._seen and self._seen[-1][1] <= count:  # outlasted by this look
            self._seen.pop()
        self._seen.append((now, count))
        while now - self._seen[0][0] > self._kept:
            self._seen.popleft()
        return self._seen[0][1]
