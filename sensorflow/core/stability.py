"""Determines which files of a drop folder a source reads, and when a file is complete."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from sensorflow.core.names import composed

IGNORED = ("*.part", "*.tmp", "*.partial", "*.crdownload", "*.filepart", "*.swp", "*~", ".*")
"""Names of files that are still being written, and dot files (``.~lock``, ``.nfs…``)."""


ANY_INODE = "*:*:"
"""Replaces the device and inode numbers in a fingerprint if these numbers are not stable."""


def same_state(known: str, mark: str) -> bool:
    """Return whether two fingerprints describe the same state of a file. known: the registered fingerprint.
    mark: the present one.

    If `mark` has no stable inode, device and inode are not compared.
    """
    if mark.startswith(ANY_INODE):
        return known.split(":")[2:] == mark.split(":")[2:]
    return known == mark


@dataclass(frozen=True)
class Stat:
    """The stat fields that identify one state of one file on disk.

    device, inode: st_dev and st_ino; 0 if these numbers are not stable. size: in bytes. mtime_ns, ctime_ns:
    nanoseconds since 1970.
    """

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    def same_content(self, other: Stat) -> bool:
        """Return whether both states have the same inode and no write happened between them. ctime is not
        compared, because a rename changes it."""
        mine = (self.device, self.inode, self.size, self.mtime_ns)
        return mine == (other.device, other.inode, other.size, other.mtime_ns)

    @property
    def fingerprint(self) -> str:
        """The state as text. The text starts with `ANY_INODE` if the file has no stable inode."""
        return f"{self.content_fingerprint}:{self.ctime_ns}"

    @property
    def content_fingerprint(self) -> str:
        """The fingerprint without ctime. Two states for which `same_content` returns True have the same
        value."""
        place = f"{self.device}:{self.inode}:" if self.inode else ANY_INODE
        return f"{place}{self.size}:{self.mtime_ns}"


def takes(key: bytes, include: Iterable[str], exclude: Iterable[str] = IGNORED) -> bool:
    """Return whether a source reads a file, by the file's name. key: the file's path below the source's
    folder, as bytes.

    Every part of the path is matched against `exclude`, the last part against `include`.
    """
    parts = composed(key.decode("utf-8", "surrogateescape")).split("/")
    if any(fnmatchcase(part, composed(pattern)) for part in parts for pattern in exclude):
        return False
    return any(fnmatchcase(parts[-1].lower(), composed(p).lower()) for p in include)


@dataclass(frozen=True)
class Observation:
    """The present state of a file. since: when this state was first seen, in seconds of a monotonic
    clock."""

    stat: Stat
    since: float


def is_stable(
    previous: Observation | None, now: Stat, clock: float, window_seconds: float
) -> tuple[bool, Observation]:
    """Return whether a file is complete, that is, unchanged for `window_seconds`. Also return the
    observation that the next call needs as `previous`.

    clock: the present time in seconds of a monotonic clock. Modification times are not compared with it,
    because they may be wrong.
    """
    if previous is None or previous.stat != now:
        seen = Observation(now, clock)
        return window_seconds <= 0, seen
    return clock - previous.since >= window_seconds, previous
