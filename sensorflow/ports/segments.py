"""The part of the ledger that returns the parts of growing files."""

from __future__ import annotations

from typing import Protocol

from sensorflow.core.growth import Segment


class Segments(Protocol):
    """The parts in which growing files were taken in. Methods raise Transient DATABASE if the database is
    unreachable."""

    def segments(self, root: int, start: int = 0, limit: int = 100) -> list[Segment]:
        """Returns up to `limit` parts of a growing file, in the file's order, without parts that begin
        before byte `start` of the file. root: the id of the file's first part."""
        ...
