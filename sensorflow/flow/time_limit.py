"""A limit on processor time for a proposal, independent of the machine's load."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

AGAIN = 0.5
"""Seconds after which the exception is raised again, in case a library's callback has swallowed it."""


class TimeLimitExceeded(BaseException):
    """Not derived from Exception, so that no handler mistakes it for a broken file."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeLimitExceeded in the body once the process has used this many more seconds of CPU time.

    Applies only in the main thread; other threads receive no signals and have no limit."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGPROF, _late)
    timer = signal.setitimer(signal.ITIMER_PROF, seconds, AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
        signal.setitimer(signal.ITIMER_PROF, *timer)  # a profiler's


def _late(signum: int, frame: FrameType | None) -> None:
    raise TimeLimitExceeded
