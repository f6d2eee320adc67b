"""Which file is being read, and how long that may take: for whoever watches this process from outside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Mark = Callable[[int, float], None]
"""Takes a file's id and the seconds that its reading may take from now on; (0, 0): no file is read."""


def _nobody(_file_id: int, _seconds: float) -> None:
    pass


_marks: list[Mark] = [_nobody]


def watched_by(mark: Mark) -> None:
    """From now on `mark` is told. It must not block, nor raise."""
    _marks[0] = mark


@contextmanager
def reading(file_id: int, seconds: float) -> Iterator[None]:
    """While a decoder has the file: it may never come back."""
    _marks[0](file_id, seconds)
    try:
        yield
    finally:
        _marks[0](0, 0.0)
