"""Backoff between retries."""

from __future__ import annotations


def backoff(attempt: int, jitter: float, base: float = 1.0, cap: float = 60.0) -> float:
    """Return the seconds to wait after failed attempt number `attempt` (1 is the first).

    Exponential backoff with equal jitter (AWS Architecture Blog, "Exponential Backoff And Jitter", 2015):
    the result is between half of the exponential delay and all of it. jitter: a random number in [0, 1).
    """
    bound = min(cap, base * 2.0 ** min(max(attempt - 1, 0), 30))
    return float(bound * (0.5 + 0.5 * jitter))
