"""Sizes the pool by the recent maximum of concurrent messages. The pool grows at once and shrinks after a
delay.

Celery's autoscaler measures the time since the last task. A reconciliation every 15 s would then keep all
children forever.
"""

from __future__ import annotations

from collections import deque
from time import monotonic
from typing import Any

from celery.worker import autoscale, state

CHECK_INTERVAL_SECONDS = 5.0
"""Maximum seconds between checks. Each message triggers a check as well."""


class Autoscaler(autoscale.Autoscaler):  # type: ignore[misc]  # celery has no types
    """Celery's autoscaler with another rule for the pool size: the maximum number of concurrent messages
    within the last `keepalive` seconds, including housekeeping tasks.

    If messages arrive at shorter intervals than `keepalive` (AUTOSCALE_KEEPALIVE), no child is ended and
    forked again.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._keepalive_seconds: float = self.keepalive
        self.keepalive: float = min(CHECK_INTERVAL_SECONDS, self._keepalive_seconds)
        self._seen: deque[tuple[float, int]] = deque()

    def _maybe_scale(self, req: Any = None) -> bool:
        """Adapt the pool to the recent load. Returns True if the pool was changed."""
        wanted = min(max(self._max_concurrent(), self.min_concurrency), self.max_concurrency)
        more: int = wanted - self.processes
        if more > 0:
            self.scale_up(more)
        elif more < 0 and not state.reserved_requests - state.active_requests:
            self._shrink(-more)  # a message may be on its way to any child
        return more != 0

    def _max_concurrent(self) -> int:
        """Returns the maximum number of concurrent messages within the keepalive time."""
        now, count = monotonic(), self.qty
        while self._seen and self._seen[-1][1] <= count:  # no longer the maximum
            self._seen.pop()
        self._seen.append((now, count))
        while now - self._seen[0][0] > self._keepalive_seconds:
            self._seen.popleft()
        return self._seen[0][1]
