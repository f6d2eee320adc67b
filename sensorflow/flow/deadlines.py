"""Report the file that is being read, and its time limit, to a watchdog."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

DeadlineWatcher = Callable[[int, float], None]
"""A function that is called with a file's id, and with the seconds within which reading the file must end.
It is called with (0, 0) when no file is being read any more."""


def _no_watcher(_file_id: int, _seconds: float) -> None:
    pass


_watchers: list[DeadlineWatcher] = [_no_watcher]


def set_watcher(watcher: DeadlineWatcher) -> None:
    """Set the function that `reading` calls. It must neither block nor raise."""
    _watchers[0] = watcher


@contextmanager
def reading(file_id: int, seconds: float) -> Iterator[None]:
    """Returns a context manager for reading from a decoder. It reports the file and the time limit to the
    watcher, because a decoder may never return."""
    _watchers[0](file_id, seconds)
    try:
        yield
    finally:
        _watchers[0](0, 0.0)
