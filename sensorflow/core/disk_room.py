"""Estimates how much of a disk the pipeline needs for the files that it will process."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

LAKE_BYTES = 30
"""Bytes of a reading in bronze and silver together. Readings with few different values need 7 bytes, and
random values need 30."""
DATABASE_BYTES = 200
"""Bytes of a reading in the database: 150 for the row and its index, and the rest for the database's
log."""
ROWS_PER_BYTE = 1 / 40
"""Assumed readings per landed byte for a source of which no file is loaded yet. The ratio is that of short
lines of CSV."""
HORIZON_SECONDS = 10.0
"""The intake needs free space for the files that arrive within this number of seconds at the recent rate.
It is the time between two checks, with a margin."""
MAX_RESERVE = 1 << 30
RESERVE_SHARE = 100
RESUMES = 1.1
"""Factor by which the reserve is multiplied while the intake is paused for lack of space. The intake
therefore does not pause again immediately after it resumes."""


@dataclass(frozen=True)
class Unloaded:
    """The registered files of a source that are not loaded yet. bytes: the total of their landed bytes.
    rows_per_byte: readings per landed byte of the source's most recently loaded files; None if unknown."""

    source: str
    bytes: int
    rows_per_byte: float | None = None


@dataclass(frozen=True)
class Writes:
    """The number of bytes that a file needs on one disk. landed: bytes per landed byte of the file. row:
    bytes per reading of the file."""

    landed: float
    row: float

    def __add__(self, other: Writes) -> Writes:
        return Writes(self.landed + other.landed, self.row + other.row)

    def ahead(self, size: float, rows_per_byte: float | None) -> float:
        """Return the bytes that a file will need on this disk if it is not landed yet. size: bytes of the
        file."""
        return size * self.landed + self.behind(size, rows_per_byte)

    def behind(self, size: float, rows_per_byte: float | None) -> float:
        """Return the additional bytes that a landed file will need on this disk. size: its landed bytes."""
        rate = ROWS_PER_BYTE if rows_per_byte is None else rows_per_byte
        return size * rate * self.row


def reserve(total: int, min_free: int | None) -> int:
    """Return the bytes that must stay free on a disk of `total` bytes. min_free: the value of the setting
    `min_free_bytes`; None for the default, which is a hundredth of the disk, but at most one GiB."""
    return min(MAX_RESERVE, total // RESERVE_SHARE) if min_free is None else min_free


def needed(unloaded: Iterable[Unloaded], writes: Writes) -> float:
    """Return the additional bytes that the registered files will need on a disk."""
    return sum(writes.behind(found.bytes, found.rows_per_byte) for found in unloaded)
