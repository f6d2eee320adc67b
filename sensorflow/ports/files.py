"""Values that the ledger returns for a file: its counts, its record and its history."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sensorflow.core.account import Account, account
from sensorflow.core.partitions import LayerFile
from sensorflow.core.states import Stage, State


@dataclass(frozen=True)
class Counts:
    """The numbers of readings of one file. For a loaded file, read = loaded + rejected + duplicate.

    missing: the number of cells without a reading; it is not part of `read`. replaced: how many of the
    loaded readings were replaced by newer versions or other files.
    """

    read: int = 0
    loaded: int = 0
    rejected: int = 0
    duplicate: int = 0
    missing: int = 0
    replaced: int = 0

    @property
    def served(self) -> int:
        """The number of rows that the file has in the database, and also in silver, while it is
        loaded."""
        return self.loaded - self.replaced

    @property
    def balanced(self) -> bool:
        return self.read == self.loaded + self.rejected + self.duplicate


@dataclass(frozen=True)
class StageReport:
    """The result of one completed stage. seconds: the duration of the stage. rows: the number of rows that
    the stage produced. note: a remark for the file's history; "" for none."""

    stage: Stage
    seconds: float
    rows: int
    note: str = ""

    @property
    def event_facts(self) -> dict[str, Any]:
        """The fields of this stage's event in the file's history."""
        return {"seconds": self.seconds, "rows": self.rows, "why": self.note or None}


@dataclass(frozen=True, kw_only=True)
class FileView:
    """All data of a file in the ledger, as commands show them. The fields are in the order of the ledger's
    columns.

    name: the key in printable form. known_as: the name that all versions share; None if this name equals
    the key. finished_at: the time at which the file was last loaded, quarantined, undone or superseded.
    previous: while a loaded file is replayed, the counts of its previous load, whose rows stay in the
    database; otherwise None. identity: the dedupe scope, that is, the file name that the dedupe keys
    contain, as the ledger encodes it; None if it was not recorded. expired: the layers that retention has
    removed. members: for an unpacked archive, the number of files in it. progress_bytes, progress_rows: the
    numbers of bytes and readings that a worker has read of the file so far; None if no worker has reported
    its progress since it claimed the file. trace_id: 16 bytes; None without tracing.
    """

    file_id: int
    source: str
    key: bytes
    name: str
    version: int
    sha256: bytes
    md5: bytes
    size: int
    mtime_ns: int
    landing: str
    sensor_type: str
    state: State
    stage: Stage
    attempts: int = 0
    retries: int = 0
    quarantines: int = 0
    lease_token: int | None = None
    lease_owner: str | None = None
    lease_until: datetime | None = None
    not_before: datetime | None = None
    discovered_at: datetime
    landed_at: datetime
    registered_at: datetime
    published_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    counts: Counts
    checksum: int | None = None
    ts_min: datetime | None = None
    ts_max: datetime | None = None
    error_code: str | None = None
    error_detail: str | None = None
    error_place: dict[str, Any] | None = None
    quarantined_to: str | None = None
    supersedes: int | None = None
    profile: str | None = None
    profile_hash: str | None = None
    code_version: str | None = None
    lane: str
    previous: dict[str, Any] | None = None
    wanted_profile: str | None = None
    identity: str | None = None
    expired: tuple[str, ...] = ()
    tidy: bool = True
    sent_with: int | None = None
    on_change: str | None = None
    remarks: str | None = None
    collected_for: datetime | None = None
    known_as: bytes | None = None
    members: int | None = None
    progress_bytes: int | None = None
    progress_rows: int | None = None
    trace_id: bytes | None = None

    @property
    def account(self) -> Account:
        """The numbers of the file's readings by outcome. Readings of an undone or superseded file do not
        count as loaded."""
        return account(self.state, **vars(self.counts))

    @property
    def percent(self) -> float | None:
        """The percentage (0 to 100) of the file's bytes that a worker has read; None if it is unknown, or
        if no worker is processing the file."""
        if self.state is not State.RUNNING or self.progress_bytes is None or not self.size:
            return None
        return 100 * self.progress_bytes / self.size

    @property
    def layer_file(self) -> LayerFile:
        kind, received = self.sensor_type, self.landed_at
        return LayerFile(self.source, kind, received, self.file_id, self.version)


@dataclass(frozen=True)
class HistoryEvent:
    """An event in a file's history. what: the name of the event. who: the process or person that caused
    it. why: the human-readable reason. seconds, rows: for a completed stage, its duration and the number of
    rows that it produced; None for other events."""

    at: datetime
    what: str
    from_state: str | None
    to_state: str | None
    stage: str
    attempt: int
    who: str
    why: str | None
    seconds: float | None
    rows: int | None


@dataclass(frozen=True)
class ArrivalRecord:
    """One arrival of a file. kind: how the ledger classified the arrival, see `intake.Kind`. name: the
    name under which the file arrived. fingerprint: the state in which it was read. archive: id of the
    archive in which it arrived; None if it did not arrive in an archive."""

    at: datetime
    kind: str
    name: str
    fingerprint: str
    archive: int | None


@dataclass(frozen=True)
class Listed:
    """The result of a query for files. files: the first files that match, at most as many as the query
    asked for. total: the number of all files that match."""

    files: list[FileView]
    total: int


@dataclass(frozen=True)
class ChainView:
    """A growing file as commands show it.

    root: the id of its first part. growths: the number of its parts. states: the number of its parts in
    each state. counts: the sum of the counts of the loaded parts. account: the sum of the accounts of all
    parts. size, lines: the numbers of bytes and lines that were taken in so far. newest: the last part.
    """

    root: int
    growths: int
    states: dict[State, int]
    counts: Counts
    account: Account
    size: int
    lines: int
    newest: FileView
