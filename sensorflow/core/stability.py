"""When is a file in a drop folder complete, and is it one to take at all?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from sensorflow.core.names import composed

IGNORED = ("*.part", "*.tmp", "*.partial", "*.crdownload", "*.filepart", "*.swp", "*~", ".*")
"""Names of files that somebody is still writing, and dot files (``.~lock``, ``.nfs…``)."""


ANY_INODE = "*:*:"
"""In place of the device's and the inode's number."""


def same_state(known: str, mark: str) -> bool:
    """Whether a file in the state `mark` was registered by the fingerprint `known`. Without a lasting inode
    also by one that had numbers."""
    if mark.startswith(ANY_INODE):
        return known.split(":")[2:] == mark.split(":")[2:]
    return known == mark


@dataclass(frozen=True)
class Stat:
    """What identifies one state of one file on disk.

    device, inode: st_dev and st_ino, 0 where they do not last; size in bytes; mtime_ns, ctime_ns:
    nanoseconds since 1970.
    """

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    def same_content(self, other: Stat) -> bool:
        """Whether it is the same inode, not written since; a rename changes only the ctime."""
        mine = (self.device, self.inode, self.size, self.mtime_ns)
        return mine == (other.device, other.inode, other.size, other.mtime_ns)

    @property
    def fingerprint(self) -> str:
        """Of a file without a lasting inode it begins with `ANY_INODE`."""
        return f"{self.content_fingerprint}:{self.ctime_ns}"

    @property
    def content_fingerprint(self) -> str:
        """Equal for states of the `same_content`."""
        place = f"{self.device}:{self.inode}:" if self.inode else ANY_INODE
        return f"{place}{self.size}:{self.mtime_ns}"


def takes(key: bytes, include: Iterable[str], exclude: Iterable[str] = IGNORED) -> bool:
    """Whether the file `key` (its path below the source, bytes) is one that the source takes.

    Every part of the path is held against `exclude`, the last part against `include`.
    """
    parts = composed(key.decode("utf-8", "surrogateescape")).split("/")
    if any(fnmatchcase(part, composed(pattern)) for part in parts for pattern in exclude):
        return False
    return any(fnmatchcase(parts[-1].lower(), composed(p).lower()) for p in include)


@dataclass(frozen=True)
class Sighting:
    """A file as it was first seen in its present state, at `since` (monotonic seconds)."""

    stat: Stat
    since: float


def settled(
    previous: Sighting | None, now: Stat, clock: float, settle: float
) -> tuple[bool, Sighting]:
    """Whether a file that nobody announced as closed is complete: unchanged for `settle` seconds.

    Returns the verdict and the sighting to remember. `clock` is monotonic, so that modification
    times in the future or the past do no harm.
    """
    if previous is None or previous.stat != now:
        seen = Sighting(now, clock)
        return settle <= 0, seen
    return clock - previous.since >= settle, previous
