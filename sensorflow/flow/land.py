"""Copy a file into the landing zone, hash it and sync it. Later stages read only this copy."""

from __future__ import annotations

from collections.abc import Callable

from sensorflow.core.arrival import Landed
from sensorflow.flow.landing import Landing, LandingBatch
from sensorflow.ports.feed import Candidate, Opened
from sensorflow.ports.objects import rewinds


class _KeepAliveReader:
    """A reader that calls `touch` on each read."""

    def __init__(self, opened: Opened, touch: Callable[[], object]) -> None:
        self._opened, self._touch = opened, touch

    def read(self, size: int = -1, /) -> bytes:
        self._touch()
        return self._opened.read(size)

    def seekable(self) -> bool:
        return rewinds(self._opened)

    def seek(self, offset: int, /) -> int:
        assert rewinds(self._opened)
        return self._opened.seek(offset)


def land(
    landing: Landing | LandingBatch, opened: Opened, touch: Callable[[], object] = lambda: None
) -> tuple[Landed, Candidate] | None:
    """Land an open file. Returns None if the file changed while it was read; the feed then offers the file
    again. Raises Busy if the store read the file twice, and it changed between the readings.

    In a batch, the bytes are durable only when the batch ends. touch: called repeatedly while the file is
    read.
    """
    before = opened.state()
    landed = landing.put(_KeepAliveReader(opened, touch))
    after = opened.state()
    if before != after or landed.size != after.size:
        return None
    return landed, after
