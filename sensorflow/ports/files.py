"""What is known of a file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sensorflow.core.account import Account, account
from sensorflow.core.partitions import LayerFile
from sensorflow.core.states import Stage, State


@dataclass(frozen=True)
class Counts:
    """The account of one file, in readings: read = loaded + rejected + duplicate. missing is apart.

    replaced: the part of loaded whose place newer statements of the same readings have taken.
    """

    read: int = 0
    loaded: int = 0
    rejected: int = 0
    duplicate: int = 0
    missing: int = 0
    replaced: int = 0

    @property
    def served(self) -> int:
        """Rows of the file in the database, and in silver."""
        return self.loaded - self.replaced

    @property
    def balanced(self) -> bool:
        return self.read == self.loaded + self.rejected + self.duplicate


@dataclass(frozen=True)
class StageReport:
    """One stage done: how long it took (seconds), how many rows came out of it, and what is to be
    remembered of it in the file's history."""

    stage: Stage
    seconds: float
    rows: int
    note: str = ""

    @property
    def told(self) -> dict[str, Any]:
        """What the event of it in the file's history says."""
        return {"seconds": self.seconds, "rows": self.rows, "why": self.note or None}


@dataclass(frozen=True, kw_only=True)
class FileView:
    """A file as people see it: all that the ledger has of it, in the ledger's order.

    name: the key as it is shown; known_as: what its versions have in common, where that is not the key.
    finished_at: of its last load, quarantine, undo or replacement. previous: the account of the rows that
    are there while it goes through again. identity: as the ledger stores it. expired: the layers that
    retention has removed. members: of an archive that was unpacked, how many files it is.
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

    @property
    def account(self) -> Account:
        """What happened to each of its readings; what was undone or superseded is not loaded."""
        return account(self.state, **vars(self.counts))

    @property
    def layer_file(self) -> LayerFile:
        kind, received = self.sensor_type, self.landed_at
        return LayerFile(self.source, kind, received, self.file_id, self.version)


@dataclass(frozen=True)
class HistoryEvent:
    """What happened to a file. who: the process. why: for people. seconds, rows: of a stage done."""

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
    """A name that a file came under. kind: see `intake.Kind`. archive: the file that it came in."""

    at: datetime
    kind: str
    name: str
    fingerprint: str
    archive: int | None


@dataclass(frozen=True)
class Listed:
    """The first of the files that were asked for. total: how many there are."""

    files: list[FileView]
    total: int


@dataclass(frozen=True)
class ChainView:
    """A growing file as people see it: how many growths it has, and sums over the loaded ones (counts) and
    over all (account).

    size, lines: taken of it so far. newest: its last growth.
    """

    root: int
    growths: int
    states: dict[State, int]
    counts: Counts
    account: Account
    size: int
    lines: int
    newest: FileView
