"""The part of the ledger that measures how much work waits and how long it takes, to compute the size of
the fleet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from sensorflow.core.scaling import Rate
from sensorflow.core.states import Stage

MAX_FILES = 10_000
"""Maximum number of files without a message that `Workload.open_work` examines, and also of files with a
message."""


@dataclass(frozen=True)
class OpenWork:
    """A group of unfinished files of one source that can be processed now.

    large: whether each stage of these files is a separate task, because the files are large. stage: the
    next stage of these files. files: the number of files. bytes: the total size of the files. age: seconds
    since the oldest of the files was registered.
    """

    source: str
    large: bool
    stage: Stage
    files: int
    bytes: int
    age: float


@dataclass(frozen=True)
class Rates:
    """The work that the fleet has done recently, and the work that has arrived.

    cost: source -> the work of its recently finished files. arrived: source -> (number, total bytes) of the
    files that were registered or replayed in the last `seconds` seconds.
    """

    cost: Mapping[str, Rate]
    arrived: Mapping[str, tuple[int, int]]
    seconds: float


class Workload(Protocol):
    """Measurements of the work of the fleet. Read-only.

    Every method is one statement. Its cost is limited, even if the ledger has many files. Methods raise
    Transient DATABASE if the database is unreachable.
    """

    def open_work(self, large_bytes: int) -> list[OpenWork]:
        """Returns the unfinished files, grouped by source, size and next stage. large_bytes: minimum size
        in bytes of a file for which `OpenWork.large` is set."""
        ...

    def rates(self) -> Rates:
        """Returns the work of recently finished files, and the number and size of recently registered
        files."""
        ...

    def blocked(self) -> float:
        """Returns the share (0.0 to 1.0) of sensorflow's active database sessions that wait for a lock or
        for the database's disk."""
        ...
