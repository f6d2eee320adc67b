"""What an audit needs of the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from sensorflow.core.growth import Part
from sensorflow.core.states import Stage, State
from sensorflow.ports.files import Counts

if TYPE_CHECKING:  # the daemon knows no Arrow
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Book:
    """What the ledger says of one file, as an audit needs it.

    token: the newest fencing token, 0 before the first. moved_at: the last step of a file that is
    pending or running. previous: the rows of the load that is there while the file goes through again.
    identity: the file name that its keys hold; None when that was not written down.
    expired: the layers that retention has removed, "landing" and "rows" among them.
    part: which part of a growing file it is. members: of an archive, how many files it is.
    """

    file_id: int
    source: str
    key: bytes
    name: str
    version: int
    sha256: bytes
    md5: bytes
    size: int
    landing: str
    sensor_type: str
    state: State
    stage: Stage
    lane: str
    token: int
    received_at: datetime
    finished_at: datetime | None
    lease_until: datetime | None
    not_before: datetime | None
    published_at: datetime | None
    moved_at: datetime | None
    counts: Counts
    checksum: int | None
    previous: int | None
    quarantined_to: str | None
    profile: str | None
    profile_hash: str | None
    code_version: str | None
    identity: str | None
    expired: tuple[str, ...]
    tidy: bool
    part: Part | None = None
    members: int | None = None

    @property
    def in_flight(self) -> bool:
        return self.state in (State.PENDING, State.RUNNING)

    @property
    def rows(self) -> int | None:
        """How many rows of it should be in the database; None where none may be."""
        if self.state is State.LOADED:
            return self.counts.served
        return self.previous if self.in_flight else None

    def moved(self, now: Book) -> bool:
        """Whether anything was done to the file between this look and a later one."""
        return self.step != now.step

    @property
    def step(self) -> tuple[Any, ...]:
        done = (self.state, self.stage, self.token, self.finished_at, self.checksum, self.counts)
        return (*done, self.published_at, self.expired, self.tidy)


@dataclass(frozen=True)
class Altered:
    """A file whose events were changed, removed or added past the ledger.

    expected, found: how many there should be, and are; None where nothing is known of its history.
    """

    file_id: int
    expected: int | None
    found: int | None


@dataclass(frozen=True)
class History:
    """How many events are hashed, and a digest of the newest hash of every file."""

    events: int
    digest: str


class Snapshot(Protocol):
    """The database as it was at one instant, read-only; nothing is locked. Raises Transient DATABASE."""

    name: str
    taken_at: datetime

    def files(self) -> Iterator[Book]:
        """Every file of the ledger, by id."""
        ...

    def rows_per_file(self) -> dict[int, int]:
        """How many rows of each file id are in the database, ids unknown to the ledger among them."""
        ...

    def altered(self) -> list[Altered]:
        """Files whose history is not the one that was written, by id."""
        ...

    def history(self) -> History:
        """What all histories come to."""
        ...

    def unproved(self) -> list[tuple[str, bool]]:
        """Months ("2026-01") whose unique index should be there by now and is not, and whether readings
        of them were found to be there twice. Of `dedupe_index = "deferred"` only."""
        ...

    def readings(self) -> Iterator[pa.RecordBatch]:
        """Every row, in batches of the schema `READING`, in no order."""
        ...

    def held(self, ts: pa.Array, keys: pa.Array) -> list[int | None]:
        """The id of the file that holds each key (microseconds, binary(16)); None where none does.

        May be called while `readings` is being read.
        """
        ...

    def sharing(self, rows: pa.RecordBatch) -> list[int]:
        """How many rows in all have the sensor_id, reading_type and ts (microseconds) of each of these.

        May be called while `readings` is being read.
        """
        ...


class Books(Protocol):
    """What an audit, and the mending after it, need of the database. Raises Transient DATABASE."""

    def snapshot(self) -> AbstractContextManager[Snapshot]: ...

    def present(self, file_ids: list[int]) -> dict[int, Book]:
        """The ledger's rows of these as they are now."""
        ...

    def unknown(self, source: str, found: list[tuple[bytes, str]]) -> list[tuple[bytes, str]]:
        """Those (key, fingerprint) that were never registered."""
        ...

    def holding(self, file_id: int) -> AbstractContextManager[Book | None]:
        """The ledger's row as it is now, kept from changing until the context ends."""
        ...

    def remove_rows(self, file_id: int) -> int:
        """Remove the rows of a file whose state allows none, and note it in the file's history.

        One transaction; returns how many, and removes nothing when the state allows rows by now.
        """
        ...
