"""A clock for what must not be longer ago than so many seconds."""

from __future__ import annotations

import time


def now() -> float:
    """Seconds. Goes on while the host or the process sleeps, as the database's clock does."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
