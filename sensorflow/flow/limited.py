"""A limit on the time that a proposal may take: processor time, whatever else the machine does."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

AGAIN = 0.5
"""Seconds after which it is raised again, where a callback of a library has swallowed it."""


class Late(BaseException):
    """Not an Exception, so that nothing on the way takes it for a broken file."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raises Late in the body once the process has used so many seconds more. Only in the main thread:
    in another one, where there are no signals, there is no limit."""
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
    raise Late
