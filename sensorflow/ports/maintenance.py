"""The ledger's port for maintenance of finished files."""

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


RECOLLECT_AFTER_SECONDS = 120.0
"""Seconds. Longer than a worker needs, after its last check of a claim, to record the names of what it
wrote."""


class Expirable(StrEnum):
    """What retention can remove from a finished file."""

    LANDING = "landing"
    BRONZE = "bronze"
    REJECTS = "rejects"
    SILVER = "silver"
    ROWS = "rows"


Holds: TypeAlias = "Callable[[pa.Array, pa.Array], pa.Array]"
"""Takes the ts of silver rows and their dedupe keys; returns for each row whether the database has it under
this file's id."""


@dataclass(frozen=True)
class Garbage:
    """A finished file that may have garbage: layers that its state no longer needs.

    landing: the landed object, if nothing needs it any more. counts: the file's account, if it is loaded.
    identity: the file name in its dedupe keys. holds: returns which of its rows were not replaced.
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
    rows, if the layer was rows."""

    files: int
    touched: Touched


class Maintenance(Protocol):
    """The ledger for maintenance of finished files.

    Every method is one transaction. Times are the database's. Raises Transient DATABASE if the database is
    unreachable.
    """

    def claim_turn(self, step: str, interval_seconds: float, early: float = 0.0) -> bool:
        """Claim the next run of a step that is due every `interval_seconds` seconds. Returns whether the
        caller is to run it.

        Atomic: exactly one caller wins, and nobody else for `interval_seconds` seconds, however the step
        ends. early: the caller may claim the run this many seconds before it is due. If the clock was set
        back, nobody waits longer than `interval_seconds`.
        """
        ...

    def replay(self, file_id: int, profile: str | None = None) -> bool:
        """Send a loaded, quarantined or undone file through the pipeline again from its landed bytes, in
        the backfill lane. A loaded file keeps its rows until the new ones are committed.

        profile: the profile to read it by; None for the one of its source. Returns False if the file is in
        another state or its bytes have expired.
        """
        ...

    def undo(self, file_id: int, reason: str, also_undone: Sequence[int] = ()) -> Undone | None:
        """Remove a loaded file's rows from the database. Returns None if the file is neither loaded nor
        waiting to be loaded again.

        Replays the files that skipped readings as duplicates of this file's, and the files whose readings
        this file had replaced, except those in `also_undone`, which the caller undoes too.
        """
        ...

    def collect_garbage(self, remove: Callable[[Garbage], None], limit: int = 100) -> int:
        """Call `remove` for finished files that may have garbage. Their state cannot change meanwhile.

        Returns the number of files cleaned. Exceptions from `remove` propagate, and that file is cleaned
        later. A file that is not loaded is passed twice; the second time `RECOLLECT_AFTER_SECONDS` seconds
        later, when a worker that was writing it as it finished has certainly stopped.
        """
        ...

    def mark_garbage(self, file_id: int) -> None:
        """Mark a file as possibly having garbage, whatever its state is or will be, so that
        `collect_garbage` visits it."""
        ...

    def expire(self, source: str, layer: Expirable, age: float, limit: int = 1000) -> Expired:
        """Mark a layer as expired for files that finished more than `age` seconds ago (for rows: whose
        readings were measured that long ago). `collect_garbage` removes expired layers later; rows are
        removed in this call.

        Affects only files that are loaded, superseded or undone.
        """
        ...

    def delete_history(self, source: str, age: float, limit: int = 10000) -> int:
        """Delete history events of finished files that are older than `age` seconds, except each file's
        last event. Returns the number of deleted events."""
        ...
