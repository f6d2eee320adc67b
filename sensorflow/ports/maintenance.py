"""The ledger, for what sees to files that are finished."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, TypeAlias

from sensorflow.core.states import State
from sensorflow.core.touched import Touched
from sensorflow.ports.files import Counts

if TYPE_CHECKING:  # the daemon knows no Arrow
    import pyarrow as pa


COLLECT_AGAIN = 120.0
"""Seconds. Longer than a worker takes, after it was sure to have a file, to name what it wrote of it."""


class Expirable(StrEnum):
    """What retention may remove of a file that is finished."""

    LANDING = "landing"
    BRONZE = "bronze"
    REJECTS = "rejects"
    SILVER = "silver"
    ROWS = "rows"


Holds: TypeAlias = "Callable[[pa.Array, pa.Array], pa.Array]"
"""(ts of silver, dedupe keys) -> whether the database has each row as the file's own."""


@dataclass(frozen=True)
class Leftover:
    """A finished file of which layers may lie about that its state no longer wants.

    landing: the landed object, where nothing needs it any more. counts: its account, where it is loaded.
    identity: the file name in its dedupe keys. holds: tells which of its rows were not replaced.
    """

    file_id: int
    source: str
    version: int
    received_at: datetime
    sensor_type: str
    state: State
    expired: frozenset[str]
    landing: str | None
    counts: Counts = field(default_factory=Counts)
    identity: str = ""
    holds: Holds | None = None


@dataclass(frozen=True)
class Undone:
    """rows: how many were taken out."""

    rows: int
    touched: Touched


@dataclass(frozen=True)
class Expired:
    """files: of how many a layer has expired. touched: the rows that were removed, if it was rows."""

    files: int
    touched: Touched


class Maintenance(Protocol):
    """What sees to files that are finished.

    Every method is one transaction. Times are the database's. Raises Transient DATABASE when it cannot be
    reached.
    """

    def take_turn(self, step: str, every: float, early: float = 0.0) -> bool:
        """Whether a step that is done every so many seconds is the caller's to do now.

        Atomic: exactly one caller wins, and nobody again for `every` seconds, however the step ends. early:
        so many seconds before that the caller takes it all the same. A clock that was set back lets nobody
        wait for longer than `every`.
        """
        ...

    def replay(self, file_id: int, profile: str | None = None) -> bool:
        """A loaded, quarantined or undone file goes through again from its landed bytes, in the
        backfill lane; a loaded one keeps its rows until the new ones are there.

        profile: what to read it by, None for its source's. False: not in such a state, or its bytes
        have expired.
        """
        ...

    def undo(self, file_id: int, why: str, along: Sequence[int] = ()) -> Undone | None:
        """Take a loaded file's rows out of the database; None if it is not loaded, or not waiting to be
        loaded again.

        Files that left readings out as duplicates of this one's, and files whose readings this one
        had replaced, are replayed, but for those in `along`, which are to be undone too.
        """
        ...

    def tidy(self, remove: Callable[[Leftover], None], limit: int = 100) -> int:
        """Call `remove` for finished files that may have leftovers; none of them moves meanwhile.

        Returns how many were seen to. What `remove` raises is raised, and the file is left for later.
        A file that is not loaded comes twice, the second time when whatever a worker was writing of it
        as it was finished is surely written (`COLLECT_AGAIN` seconds).
        """
        ...

    def collect_again(self, file_id: int) -> None:
        """There may be leftovers of a file, whatever its state is now or will be: for `tidy`."""
        ...

    def expire(self, source: str, layer: Expirable, age: float, limit: int = 1000) -> Expired:
        """Mark a layer of files that were finished (rows: measured) more than `age` seconds ago as
        expired, for `tidy` to remove; rows are removed here.

        Never of a file that is not loaded, superseded or undone.
        """
        ...

    def forget(self, source: str, age: float, limit: int = 10000) -> int:
        """Remove history of finished files that is older than `age` seconds, but for each file's last
        event. Returns how many events."""
        ...
