"""The ledger for the maintenance of finished files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, TypeAlias

from sensorflow.core.states import State
from sensorflow.core.touched import Touched
from sensorflow.ports.files import Counts

if TYPE_CHECKING:  # the daemon imports no Arrow
    import pyarrow as pa


RECOLLECT_AFTER_SECONDS = 120.0
"""Seconds. A worker needs less time between its last check of a claim and recording the names of the files
that it wrote."""


class Expirable(StrEnum):
    """What retention can remove from a finished file."""

    LANDING = "landing"
    BRONZE = "bronze"
    REJECTS = "rejects"
    SILVER = "silver"
    ROWS = "rows"


Holds: TypeAlias = "Callable[[pa.Array, pa.Array], pa.Array]"
"""Takes the ts of silver rows and their dedupe keys. Returns, for each row, whether the database stores the
reading under this file's id."""


@dataclass(frozen=True)
class Garbage:
    """A finished file that may have garbage: layers that its state no longer needs.

    landing: the landed object, if nothing needs it any more; else None. counts: the file's account, if the
    file is loaded. identity: the file name in its dedupe keys. holds: returns which of the file's rows were
    not replaced.
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
    """The result of an undo. rows: the number of rows removed."""

    rows: int
    touched: Touched


@dataclass(frozen=True)
class Expired:
    """The result of an expiry. files: the number of files whose layer has expired. touched: the removed
    rows, if the expired layer is `rows`."""

    files: int
    touched: Touched


class Maintenance(Protocol):
    """The ledger for maintenance of finished files.

    Every method is one transaction. Times are the database's. Raises Transient DATABASE if the database is
    unreachable.
    """

    def claim_turn(self, step: str, interval_seconds: float, early: float = 0.0) -> bool:
        """Claim the next run of a step with an interval of `interval_seconds` seconds. Returns whether the
        caller must run the step.

        Atomic: exactly one caller wins, and no other caller wins for `interval_seconds` seconds, even if
        the step fails. early: number of seconds by which the caller may claim the run before it is due. If
        the clock was set back, the wait is still at most `interval_seconds`.
        """
        ...

    def replay(self, file_id: int, profile: str | None = None) -> bool:
        """Send a loaded, quarantined or undone file through the pipeline again from its landed bytes, in
        the backfill lane. A loaded file keeps its rows until the new rows are committed.

        profile: the profile to read the file with; None for the profile of its source. Returns False if the
        file is in another state or its landed bytes have expired.
        """
        ...

    def undo(self, file_id: int, reason: str, also_undone: Sequence[int] = ()) -> Undone | None:
        """Remove a loaded file's rows from the database. Returns None if the file is neither loaded nor
        waiting to be loaded again.

        Replays two kinds of other files: files that skipped readings as duplicates of this file's readings,
        and files whose readings this file had replaced. Does not replay files in `also_undone`, because the
        caller undoes these too.
        """
        ...

    def collect_garbage(self, remove: Callable[[Garbage], None], limit: int = 100) -> int:
        """Call `remove` for finished files that may have garbage. The state of a file cannot change during
        the call.

        Returns the number of files cleaned. Exceptions from `remove` propagate, and the file is cleaned
        later. A file that is not loaded is passed a second time after `RECOLLECT_AFTER_SECONDS` seconds. By
        then, a worker that was still writing the file has certainly stopped.
        """
        ...

    def mark_garbage(self, file_id: int) -> None:
        """Mark a file as possibly having garbage, in any state, so that `collect_garbage` visits it."""
        ...

    def expire(self, source: str, layer: Expirable, age: float, limit: int = 1000) -> Expired:
        """Mark a layer as expired for files that finished more than `age` seconds ago. For the layer
        `rows`, the age is counted from the time of the readings. `collect_garbage` removes expired layers
        later, except rows, which this call removes.

        Affects only files that are loaded, superseded or undone.
        """
        ...

    def delete_history(self, source: str, age: float, limit: int = 10000) -> int:
        """Delete history events that are older than `age` seconds, of finished files. Each file's last
        event stays. Returns the number of deleted events."""
        ...
