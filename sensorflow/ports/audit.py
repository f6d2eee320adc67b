"""The port through which an audit reads and repairs the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from sensorflow.core.growth import Part
from sensorflow.core.states import Stage, State
from sensorflow.ports.files import Counts

if TYPE_CHECKING:  # the daemon imports no Arrow
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class FileRecord:
    """The ledger's record of one file, as an audit needs it.

    token: the newest fencing token; 0 if the file was never claimed. moved_at: the time of the last event
    in the file's history; None unless the file is pending or running. checksum: the checksum of the loaded
    readings (`core.checksum`). previous: if the file was loaded before and is processed again, the number
    of its rows that the database still contains. identity: the file name that the dedupe keys of the file
    contain; None if it was not recorded. expired: the names of the layers that retention has removed; they
    may include "landing" and "rows". tidy: whether the file certainly has no garbage, that is, layers that
    its state does not need. part: for a part of a growing file, its place in that file. members: for an
    archive, the number of files in it.
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
        """The number of rows of the file that the database should contain. None if the file's state allows
        no rows."""
        if self.state is State.LOADED:
            return self.counts.served
        return self.previous if self.in_flight else None

    def has_changed(self, now: FileRecord) -> bool:
        """Returns whether the ledger has processed the file between this record and `now`, a later record
        of the same file."""
        return self.step != now.step

    @property
    def step(self) -> tuple[Any, ...]:
        done = (self.state, self.stage, self.token, self.finished_at, self.checksum, self.counts)
        return (*done, self.published_at, self.expired, self.tidy)


@dataclass(frozen=True)
class TamperedHistory:
    """A file whose history was changed without the ledger: events were changed, removed or added.

    expected: the number of events according to the ledger's hash of the history. found: the number of
    events that exist. Both are None if the ledger has no hash of the history.
    """

    file_id: int
    expected: int | None
    found: int | None


@dataclass(frozen=True)
class HistoryDigest:
    """A digest of the histories of all files. events: the number of events in all histories. digest: a
    SHA-256 over the newest hash of each history, in hexadecimal."""

    events: int
    digest: str


class Snapshot(Protocol):
    """A read-only snapshot of the database. Takes no locks. Methods raise Transient DATABASE if the
    database is unreachable.

    name: the snapshot's name in PostgreSQL. taken_at: the time of the snapshot by the database's clock.
    """

    name: str
    taken_at: datetime

    def files(self) -> Iterator[FileRecord]:
        """Yield the record of every file in the ledger, sorted by id."""
        ...

    def rows_per_file(self) -> dict[int, int]:
        """Returns file id -> number of rows that the database contains for it. Includes ids that are not
        in the ledger."""
        ...

    def dropped_by_database(self, file_ids: list[int]) -> set[int]:
        """Returns those of the files that have readings older than a retention policy of the database
        itself keeps. Only TimescaleDB has such policies."""
        ...

    def tampered(self) -> list[TamperedHistory]:
        """Returns the files whose history differs from the events that the ledger wrote, sorted by id."""
        ...

    def history(self) -> HistoryDigest:
        """Returns the digest of all histories."""
        ...

    def unsealed_partitions(self) -> list[tuple[str, bool]]:
        """Returns pairs (time range, whether it contains duplicate readings) for the partitions that should
        be sealed but have no unique index. The time range is a text such as "2026-01". Such partitions
        exist only with `dedupe_index = "deferred"`."""
        ...

    def readings(self) -> Iterator[pa.RecordBatch]:
        """Yield every reading in the database, in batches with the schema `READING`, in arbitrary
        order."""
        ...

    def holders(self, ts: pa.Array, keys: pa.Array) -> list[int | None]:
        """Returns, for each dedupe key, the id of the file under which the database stores the reading
        with this key; None if the database has no such reading. keys: the dedupe keys, binary(16). ts: the
        times of the readings, in microseconds; as many as keys.

        May be called while `readings` is being iterated.
        """
        ...

    def identity_counts(self, rows: pa.RecordBatch) -> list[int]:
        """Returns, for each row of `rows`, how many rows of the database have the same sensor_id,
        reading_type and ts (in microseconds).

        May be called while `readings` is being iterated.
        """
        ...


class AuditStore(Protocol):
    """The database for an audit, and for the repair that follows it. Methods raise Transient DATABASE if
    the database is unreachable."""

    def snapshot(self) -> AbstractContextManager[Snapshot]: ...

    def current(self, file_ids: list[int]) -> dict[int, FileRecord]:
        """Returns the current ledger records of these files, by id, without files that do not exist."""
        ...

    def unregistered(self, source: str, found: list[tuple[bytes, str]]) -> list[tuple[bytes, str]]:
        """Returns those pairs of `found` that were never registered. found: a pair (key, fingerprint) for
        each file in the feed of the source."""
        ...

    def locked(self, file_id: int) -> AbstractContextManager[FileRecord | None]:
        """Returns a context manager that yields the current record of a file, or None if the file does not
        exist. Until the context exits, the ledger cannot change the record."""
        ...

    def remove_rows(self, file_id: int) -> int:
        """Remove the rows of a file if its state allows no rows, and record this in the file's history.
        Runs in one transaction.

        Returns the number of removed rows; 0 if the file's state now allows rows.
        """
        ...
