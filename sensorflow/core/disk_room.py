"""Whether a disk has room for what the pipeline is about to write to it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

LAKE_BYTES = 30
"""Bytes of a reading in bronze and silver together. Readings with few different values take 7,
random ones 30."""
DATABASE_BYTES = 200
"""Bytes of a reading in the database: 150 with its index, and the log of the database."""
ROWS_PER_BYTE = 1 / 40
"""Readings per landed byte of a source of which nothing is loaded yet: short lines of CSV."""
HORIZON_SECONDS = 10.0
"""Seconds of intake at its recent rate for which room is kept: the time between two checks, with a
margin."""
MAX_RESERVE = 1 << 30
RESERVE_SHARE = 100
RESUMES = 1.1
"""Once the intake has paused, it resumes when this many times the reserve is free, so that it does
not pause again at once."""


@dataclass(frozen=True)
class Unloaded:
    """The registered files of a source that are not loaded yet. bytes: their landed bytes.
    rows_per_byte: readings per landed byte of its files that were loaded last; None if unknown."""

    source: str
    bytes: int
    rows_per_byte: float | None = None


@dataclass(frozen=True)
class Writes:
    """What a file costs on one disk. landed: bytes for each landed byte. row: bytes for each
    reading."""

    landed: float
    row: float

    def ahead(self, size: float, rows_per_byte: float | None) -> float:
        """Bytes that a file of `size` bytes that is not landed yet will take in all."""
        return size * self.landed + self.behind(size, rows_per_byte)

    def behind(self, size: float, rows_per_byte: float | None) -> float:
        """Bytes that a landed file will take besides its landed bytes."""
        rate = ROWS_PER_BYTE if rows_per_byte is None else rows_per_byte
        return size * rate * self.row


def reserve(total: int, min_free: int | None) -> int:
    """Bytes that stay free on a disk of `total` bytes. min_free: the setting; None for the default,
    which is a hundredth of the disk, and a GiB at most."""
    return min(MAX_RESERVE, total // RESERVE_SHARE) if min_free is None else min_free


def needed(unloaded: Iterable[Unloaded], writes: Writes) -> float:
    """Bytes that registered files will still take."""
    return sum(writes.behind(found.bytes, found.rows_per_byte) for found in unloaded)
