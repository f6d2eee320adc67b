"""Celery's autoscaler is a thread, although ours never starts it."""

from __future__ import annotations

import threading

from workers.autoscaler import Autoscaler


def test_no_attribute_hides_a_method_of_threads() -> None:
    """After a fork and at the end of a process, Python calls `Thread._stop` of every thread."""
    result = Autoscaler(object(), max_concurrency=2, min_concurrency=1)
    assert [n for n in vars(result) if callable(getattr(threading.Thread, n, None))] == []
