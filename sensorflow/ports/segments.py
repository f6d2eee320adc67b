"""The ledger for reading growing files."""

from __future__ import annotations

from typing import Protocol

from sensorflow.core.growth import Segment


class Segments(Protocol):
    """The parts in which a growing file was taken in. Raises Transient DATABASE if the database is
    unreachable."""

    def segments(self, root: int, start: int = 0, limit: int = 100) -> list[Segment]:
        """Returns up to `limit` parts of a growing file in the file's order, beginning with the part at
        byte `start`."""
        ...
