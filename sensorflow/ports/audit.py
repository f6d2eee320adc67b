"""The database's port for the audit."""

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
class FileRecord:
    """The ledger's record of one file, as an audit needs it.

    token: the newest fencing token, 0 if the file was never claimed. moved_at: the last step of a file that
    is pending or running. previous: the number of rows of the earlier load that stays while the file is
    processed again. identity: the file name in its dedupe keys; None if it was not recorded. expired: the
    layers that retention has removed, "landing" and "rows" among them. part: which part of a growing file
    it is. members: for an archive, the number of files in it.
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
        """The number of the file's rows that should be in the database; None if its state allows none."""
        if self.state is State.LOADED:
            return self.counts.served
        return self.previous if self.in_flight else None

    def has_changed(self, now: FileRecord) -> bool:
        """Whether the file was changed between this record and a later one."""
        return self.step != now.step

    @property
    def step(self) -> tuple[Any, ...]:
        done = (self.state, self.stage, self.token, self.finished_at, self.checksum, self.counts)
        return (*done, self.published_at, self.expired, self.tidy)


@dataclass(frozen=True)
class TamperedHistory:
    """A file whose events were changed, removed or added without the ledger.

    expected, found: numbers of events; None if nothing is known of the file's history.
    """

    file_id: int
    expected: int | None
    found: int | None


@dataclass(frozen=True)
class HistoryDigest:
    """The number of hashed events, and a digest of every file's newest hash."""

    events: int
    digest: str


class Snapshot(Protocol):
    """A read-only snapshot of the database at one instant. Takes no locks. Methods raise Transient
    DATABASE."""

    name: str
    taken_at: datetime

    def files(self) -> Iterator[FileRecord]:
        """Yield every file of the ledger, by id."""
        ...

    def rows_per_file(self) -> dict[int, int]:
        """Returns the number of database rows per file id, including ids that the ledger does not know."""
        ...

    def tampered(self) -> list[TamperedHistory]:
        """Returns the files whose history differs from what the ledger wrote, by id."""
        ...

    def history(self) -> HistoryDigest:
        """Returns the digest of all histories."""
        ...

    def unsealed_months(self) -> list[tuple[str, bool]]:
        """Returns the months ("2026-01") that should be sealed with a unique index but are not, and whether
        duplicate readings were found in each. Applies to `dedupe_index = "deferred"` only."""
        ...

    def readings(self) -> Iterator[pa.RecordBatch]:
        """Yield every row, in batches of the schema `READING`, in arbitrary order."""
        ...

    def holders(self, ts: pa.Array, keys: pa.Array) -> list[int | None]:
        """Returns the id of the file that holds each key, or None. ts: microseconds; keys: binary(16).

        May be called while `readings` is being iterated.
        """
        ...

    def identity_counts(self, rows: pa.RecordBatch) -> list[int]:
        """Returns, for each of these rows, the number of all rows with the same sensor_id, reading_type and
        ts (microseconds).

        May be called while `readings` is being iterated.
        """
        ...


class AuditStore(Protocol):
    """The database for an audit and the repair after it. Methods raise Transient DATABASE."""

    def snapshot(self) -> AbstractContextManager[Snapshot]: ...

    def current(self, file_ids: list[int]) -> dict[int, FileRecord]:
        """Returns the current ledger records of these files."""
        ...

    def unregistered(self, source: str, found: list[tuple[bytes, str]]) -> list[tuple[bytes, str]]:
        """Returns those of the (key, fingerprint) pairs that were never registered."""
        ...

    def locked(self, file_id: int) -> AbstractContextManager[FileRecord | None]:
        """Returns a context manager that yields the current ledger record and locks it until the context
        exits. Yields None if there is no such file."""
        ...

    def remove_rows(self, file_id: int) -> int:
        """Remove the rows of a file whose state allows none, and record this in the file's history.

        One transaction. Returns the number of removed rows; 0 if the state allows rows by now.
        """
        ...
