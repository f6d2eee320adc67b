"""The ledger for the maintenance of finished files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
"""Seconds after which `Maintenance.collect_garbage` passes a file a second time. A worker checks its claim
for the last time, and then records the names of the files that it wrote. The time between these two steps
is shorter than this."""


class Expirable(StrEnum):
    """The parts of a finished file that retention can remove."""

    LANDING = "landing"
    BRONZE = "bronze"
    REJECTS = "rejects"
    SILVER = "silver"
    ROWS = "rows"


Holds: TypeAlias = "Callable[[pa.Array, pa.Array], pa.Array]"
"""A function. Takes the column `ts` of silver rows, and the dedupe keys of these rows. Returns, for each
row, whether the database stores the reading under this file's id."""


@dataclass(frozen=True)
class Garbage:
    """A finished file that may have garbage: layers that its state no longer needs.

    landing: the name of the landed object; None if the object is still needed. counts: the file's account,
    if the file is loaded. identity: the file name that is part of the dedupe keys. holds: a function that
    returns which of the file's rows were not replaced.
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
    """The result of an expiry. files: the number of files whose layer has expired. touched: the range of
    the removed rows, if the expired layer is `rows`."""

    files: int
    touched: Touched


class Maintenance(Protocol):
    """The ledger for the maintenance of finished files.

    Every method is one transaction. All times are by the database's clock. Raises Transient DATABASE if the
    database is unreachable.
    """

    def claim_turn(self, step: str, interval_seconds: float, early: float = 0.0) -> bool:
        """Claim the next run of a housekeeping step that runs every `interval_seconds` seconds. Returns
        whether the caller must run the step.

        Atomic: exactly one caller wins a run. The next caller can win after `interval_seconds` seconds,
        even if the step fails. early: number of seconds by which the caller may claim the run before it is
        due. If the clock was set back, the wait is still at most `interval_seconds`.
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
        """Call `remove` for each finished file that may have garbage. The state of a file cannot change
        while `remove` runs.

        Returns the number of files cleaned. Exceptions from `remove` propagate, and the file is cleaned
        later. A file that is not loaded is passed to `remove` a second time after `RECOLLECT_AFTER_SECONDS`
        seconds. By then, a worker that was still writing layers of the file has certainly stopped.
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

    def expire_months(self, ages: Mapping[str, float]) -> Sequence[Expired]:
        """Expire the layer `rows` of all files of a month at once, if all files with readings in the month
        have expired: their newest reading is older than the age of their source. Such a month is dropped,
        which is faster than the deletion of its rows. ages: source -> age in seconds.

        Returns what was expired, for each month and source. Months that contain readings of other files, or
        that are in use, are left to `expire`. An interrupted call has dropped some months completely, and
        has not changed the others.
        """
        ...

    def delete_history(self, source: str, age: float, limit: int = 10000) -> int:
        """Delete events that are older than `age` seconds from the histories of finished files. The last
        event of each file is not deleted. Returns the number of deleted events."""
        ...
