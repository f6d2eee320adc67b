"""The ledger for whoever sizes the fleet: how much work waits, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from sensorflow.core.scaling import Rate
from sensorflow.core.states import Stage

MAX_FILES = 10_000
"""Number of waiting files, and of files in flight, that `Workload.open_work` examines."""


@dataclass(frozen=True)
class OpenWork:
    """Unfinished files of a source that can be processed now.

    large: whether they take the chain of stages, each of which is a task of its own. stage: their next
    stage. bytes: their total size. age: seconds since the oldest of them was registered.
    """

    source: str
    large: bool
    stage: Stage
    files: int
    bytes: int
    age: float


@dataclass(frozen=True)
class Rates:
    """What has happened recently.

    cost: source -> what its finished files have cost. arrived: source -> number and total bytes of
    the files that were registered or replayed in the last `seconds` seconds.
    """

    cost: Mapping[str, Rate]
    arrived: Mapping[str, tuple[int, int]]
    seconds: float


class Workload(Protocol):
    """Measurements of the work of the fleet. Read-only.

    Every method is one statement, whose cost is bounded whatever the number of files. Raises
    Transient DATABASE if the database is unreachable.
    """

    def open_work(self, large_bytes: int) -> list[OpenWork]:
        """Returns the unfinished files, grouped by source, size and next stage. large_bytes: size
        from which a file takes the chain of stages."""
        ...

    def rates(self) -> Rates:
        """Returns what recently finished and recently registered files say."""
        ...

    def blocked(self) -> float:
        """Returns the share of the active sessions of sensorflow that wait for a lock or a disk of the
        database, 0.0 to 1.0."""
        ...
