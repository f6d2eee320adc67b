"""How long to wait before trying again."""

from __future__ import annotations


def backoff(attempt: int, jitter: float, base: float = 1.0, cap: float = 60.0) -> float:
    """Seconds to wait after failed attempt number `attempt` (1 is the first).

    Exponential with full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter", 2015),
    kept above half of the bound so that a wait is never nearly nothing. `jitter` is a random number
    in [0, 1) that the caller draws.
    """
    bound = min(cap, base * 2.0 ** min(max(attempt - 1, 0), 30))
    return float(bound * (0.5 + 0.5 * jitter))
