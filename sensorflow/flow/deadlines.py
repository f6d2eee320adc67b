"""Report the file that is being read, and its time limit, to a watchdog outside this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Mark = Callable[[int, float], None]
"""Takes a file's id and the seconds that reading it may take from now on; (0, 0) if no file is being read.
"""


def _nobody(_file_id: int, _seconds: float) -> None:
    pass


_marks: list[Mark] = [_nobody]


def watched_by(mark: Mark) -> None:
    """Call `mark` from now on. It must neither block nor raise."""
    _marks[0] = mark


@contextmanager
def reading(file_id: int, seconds: float) -> Iterator[None]:
    """Report a file to the watcher while a decoder reads it, because the decoder may never return."""
    _marks[0](file_id, seconds)
    try:
        yield
    finally:
        _marks[0](0, 0.0)
