"""Counts the requests that are sent to a bucket, by kind."""

from __future__ import annotations

import threading
from collections import Counter


class RequestCounts:
    """Counts of requests by kind: "put" (also copies, and parts, begin and end of multipart uploads),
    "get", "head", "list" and "delete". Retries within obstore are not counted. Safe to use from several
    threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def add(self, kind: str, count: int = 1) -> None:
        with self._lock:
            self._counts[kind] += count

    def snapshot(self) -> Counter[str]:
        """Return a copy of the counts."""
        with self._lock:
            return Counter(self._counts)
