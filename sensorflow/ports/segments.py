"""The ledger, for what reads growing files."""

from __future__ import annotations

from typing import Protocol

from sensorflow.core.growth import Segment


class Segments(Protocol):
    """The parts that a growing file was taken in. Raises Transient DATABASE when it cannot be reached."""

    def segments(self, root: int, start: int = 0, limit: int = 100) -> list[Segment]:
        """The growths of a growing file in its order, from byte `start` on."""
        ...
