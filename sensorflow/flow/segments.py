"""Read the parts of a growing file, one page at a time."""

from __future__ import annotations

from collections.abc import Iterator

from sensorflow.core.growth import Segment
from sensorflow.ports.segments import Segments


def segments(ledger: Segments, root: int, end: int) -> Iterator[Segment]:
    """Yield the parts that begin before byte `end`, in the file's order."""
    start = 0
    while start < end:
        page = ledger.segments(root, start)
        yield from (segment for segment in page if segment.byte_offset < end)
        start = page[-1].byte_offset + page[-1].size if page else end
