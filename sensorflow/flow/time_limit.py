"""A limit on processor time, independent of the machine's load."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

REPEAT_SECONDS = 0.5
"""Seconds after which the exception is raised again, because a library's callback may have suppressed the
first one."""


class TimeLimitExceeded(BaseException):
    """Raised if the limit on processor time is exceeded. Not derived from Exception, so that no handler
    treats it as an error of the file."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Returns a context manager that raises TimeLimitExceeded in its body once the process has used this
    many more seconds of processor time. Sets no limit outside the main thread, because other threads
    receive no signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGPROF, _late)
    timer = signal.setitimer(signal.ITIMER_PROF, seconds, REPEAT_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
        # restore the previous timer, which a profiler may have set
        signal.setitimer(signal.ITIMER_PROF, *timer)


def _late(signum: int, frame: FrameType | None) -> None:
    raise TimeLimitExceeded
