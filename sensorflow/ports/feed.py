"""Where files come from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from sensorflow.core.growth import Segment
from sensorflow.core.stability import Stat
from sensorflow.settings import FolderSource


class DropFolder(Protocol):
    """Where files of one source are dropped. Raises Transient STORAGE when it is away."""

    name: str
    source: FolderSource

    def scan(self) -> Iterator[tuple[bytes, Stat]]:
        """Every file that the source takes, with its state."""
        ...

    def busy(self, key: bytes, stat: Stat) -> bool:
        """Whether a file is gone, changed since `stat`, or open for writing."""
        ...

    def has_line(self, key: bytes, start: int) -> bool:
        """Whether a file has a complete line behind byte `start`. False of one that cannot be read."""
        ...

    def holds(self, key: bytes, segments: Iterable[Segment]) -> bool:
        """Whether a file begins with exactly these growths. True of one that cannot be read."""
        ...
