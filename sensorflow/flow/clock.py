"""A clock for measuring how long ago something happened."""

from __future__ import annotations

import time


def now() -> float:
    """Returns a time in seconds. The clock continues while the host or process is suspended, like the
    database's clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
