"""Counts the requests that are sent to a bucket, by kind."""

from __future__ import annotations

import os
import threading
from collections import Counter

_lock = threading.Lock()


class RequestCounts:
    """Counts of requests by kind: "put" (also copies, and parts, begin and end of multipart uploads),
    "get", "head", "list" and "delete". Retries within obstore are not counted. Safe to use from several
    threads."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, kind: str, count: int = 1) -> None:
        with _lock:
            self._counts[kind] += count

    def snapshot(self) -> Counter[str]:
        """Return a copy of the counts."""
        with _lock:
            return Counter(self._counts)


def _forget() -> None:
    """In a forked child: another thread of the parent may have held the lock."""
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_forget)
