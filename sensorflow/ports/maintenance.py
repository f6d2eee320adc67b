"""The part of the ledger for the maintenance of finished files."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
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
"""Seconds after which `Maintenance.collect_garbage` passes a file to `remove` a second time. A worker that
has lost its claim may still write files after its last check of the claim, but only for a shorter time than
this."""

GARBAGE_GROUP = 32
"""Maximum number of files that `Maintenance.collect_garbage` passes to `remove` at once. Transactions that
change one of these files wait until `remove` returns."""


class Expirable(StrEnum):
    """The parts of a finished file that retention can remove."""

    LANDING = "landing"
    BRONZE = "bronze"
    REJECTS = "rejects"
    SILVER = "silver"
    ROWS = "rows"


Holds: TypeAlias = "Callable[[pa.Array, pa.Array], pa.Array]"
"""A function that belongs to one file. It takes the column `ts` and the dedupe keys of silver rows of this
file. It returns, for each row, whether the database stores the reading under this file's id."""


@dataclass(frozen=True)
class Garbage:
    """A finished file that may have garbage: layers that its state no longer needs.

    expired: the names of the layers that retention has marked as expired. landing: the name of the landed
    object to remove; None if the object is still needed. counts: the numbers of the file's readings.
    identity: the file name that is part of the dedupe keys. holds: for a loaded file with replaced
    readings of which neither silver nor the rows have expired, a function that returns which of its rows
    were not replaced; otherwise None. Only the thread that runs `remove` may call it.
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


Remove: TypeAlias = Callable[[Sequence[Garbage]], Collection[int]]
"""A function that removes the garbage of files. It returns the ids of the files of which it has removed all
garbage."""


@dataclass(frozen=True)
class Undone:
    """The result of an undo. rows: the number of rows that were removed. touched: the range of these
    rows."""

    rows: int
    touched: Touched


@dataclass(frozen=True)
class Expired:
    """The result of `Maintenance.expire`. files: the number of files of which the layer was marked as
    expired. touched: the range of the removed rows; empty unless the layer is `rows`."""

    files: int
    touched: Touched


class Maintenance(Protocol):
    """The ledger for the maintenance of finished files.

    Every method is one transaction. All times are by the database's clock. Methods raise Transient
    DATABASE if the database is unreachable.
    """

    def claim_turn(self, step: str, interval_seconds: float, early: float = 0.0) -> bool:
        """Claim the next run of a housekeeping step that runs every `interval_seconds` seconds. Returns
        whether the caller must run the step.

        Atomic: exactly one caller wins a run. The next run can be claimed `interval_seconds` seconds after
        this call, even if the step fails, and even if the database's clock is set back. early: number of
        seconds by which the caller may claim the run before it is due.
        """
        ...

    def replay(self, file_id: int, profile: str | None = None) -> bool:
        """Send a loaded, quarantined or undone file through the pipeline again from its landed bytes, in
        the backfill lane. A loaded file keeps its rows until the new rows are committed.

        profile: the name of the profile to read the file with; None for the profile of its source. Returns
        whether the file will be replayed: False if it is in another state, or if its landed bytes have
        expired.
        """
        ...

    def undo(self, file_id: int, reason: str, also_undone: Sequence[int] = ()) -> Undone | None:
        """Remove a loaded file's rows from the database. Returns None if the file is neither loaded nor
        waiting to be loaded again.

        Replays two kinds of other files: files with readings that were not inserted because they were
        duplicates of this file's readings, and files whose readings this file had replaced. also_undone:
        ids of files that are not replayed, because the caller undoes them too. reason: recorded in the
        file's history.
        """
        ...

    def collect_garbage(self, remove: Remove, limit: int = 100) -> int:
        """Call `remove` with groups of finished files that may have garbage. The states of these files
        cannot change while `remove` runs. A file with `holds` is alone in its group, because its removal
        may take long; all other groups come first, and have at most `GARBAGE_GROUP` files.

        Passes each file at most once, and at most `limit` files of each kind (with and without `holds`).
        Returns the number of files of which the garbage was removed. A file whose id `remove` does not
        return is passed again by a later call. If `remove` returns no id of a group, no further groups of
        this kind are passed, because the store may be unavailable. Exceptions from `remove` propagate; then
        all files of the group are passed again.

        Each group is a transaction of its own: if the process is killed, only the present group is passed
        again. A file that is not loaded is passed a second time after `RECOLLECT_AFTER_SECONDS` seconds. By
        then, a worker that was still writing layers of the file has certainly stopped.
        """
        ...

    def mark_garbage(self, file_id: int) -> None:
        """Mark a file so that `collect_garbage` passes it to `remove`. The file may be in any state; it is
        passed when it is finished."""
        ...

    def expire(self, source: str, layer: Expirable, age: float, limit: int = 1000) -> Expired:
        """Mark a layer as expired for files that finished more than `age` seconds ago, at most `limit`
        files. For the layer `rows`, the age of a file is the age of its newest reading. This call removes
        rows; all other layers are removed later by `collect_garbage`.

        Affects only files that are loaded, superseded or undone; for the layer `rows`, only loaded files.
        """
        ...

    def expire_partitions(self, ages: Mapping[str, float]) -> Sequence[Expired]:
        """Expire the layer `rows` of all files of a partition at once, if all files with readings in the
        partition have expired: their newest reading is older than the age of their source. Such a partition
        is dropped, which is faster than the deletion of its rows. ages: source -> age in seconds.

        Returns what was expired, for each partition and source. Partitions that contain readings of other
        files, or that are in use, are left to `expire`. An interrupted call has dropped some partitions
        completely, and has not changed the others.
        """
        ...

    def delete_history(self, source: str, age: float, limit: int = 10000) -> int:
        """Delete events that are older than `age` seconds from the histories of finished files of the
        source, at most `limit` events. The last event of each file is not deleted. Returns the number of
        deleted events."""
        ...
