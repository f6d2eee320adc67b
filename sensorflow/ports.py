"""What the flow needs of the world. Every port has a real adapter and one in memory, and both pass the
same conformance suite (``tests/conformance``)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, BinaryIO, Protocol

import pyarrow as pa

from sensorflow.core.arrival import Arrival, Landed, Waiting
from sensorflow.core.states import Stage, State
from sensorflow.errors import Code, SensorflowError


class Reader(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


class Landing(Protocol):
    """The original bytes of every file, under names made of their SHA-256.

    Raises Transient STORAGE when the disk is full or away.
    """

    bucket: str

    def put(self, stream: Reader) -> Landed:
        """Copy a stream to its end; on return the bytes are synced. The same bytes twice: one object."""
        ...

    def open(self, name: str) -> BinaryIO:
        """A seekable reader. Raises Transient STORAGE when the object is not there."""
        ...


class LayerWriter(Protocol):
    def write(self, batch: pa.RecordBatch) -> None: ...


class Lake(Protocol):
    """Parquet files under paths made by ``core.partitions``. Raises Transient STORAGE."""

    def writer(self, path: str, schema: pa.Schema) -> AbstractContextManager[LayerWriter]:
        """Write one file; it appears whole and synced when the context ends, or not at all.

        A file of that path is replaced.
        """
        ...

    def read(self, path: str) -> Iterator[pa.RecordBatch]:
        """The batches of one file. Raises Transient STORAGE when there is none."""
        ...

    def remove(self, path: str) -> None:
        """Remove one file; nothing happens when there is none."""
        ...


class QuarantineStore(Protocol):
    """Where files that cannot be loaded are kept for people, each in a folder with its manifest."""

    def put(self, folder: str, name: bytes, stream: BinaryIO, manifest: dict[str, Any]) -> str:
        """Copy and sync the file, then the manifest; returns where. Never overwrites.

        `folder` is unique to the file's version and attempt; a second call for it after a crash
        completes the first.
        """
        ...

    def manifest(self, where: str) -> dict[str, Any]: ...


class Queue(Protocol):
    """The broker: a hint that work is waiting, never the truth. Raises Transient BROKER."""

    def publish(self, waiting: Waiting, inline: bool) -> None:
        """Send the message of one file, and return when the broker has confirmed it.

        inline: all stages in one task; else a chain from the file's stage on.
        """
        ...

    def depth(self) -> int | None:
        """How many messages wait; None when that cannot be told. Does not raise."""
        ...


class Kind(StrEnum):
    """What a file that arrived turned out to be."""

    NEW = "new"
    ALIAS = "alias"  # the same bytes as a file that is there already
    SEEN = "seen"  # this very state of this very file was registered before


class OnChange(StrEnum):
    """What becomes of a file when other bytes come under its name."""

    SUPERSEDE = "supersede"
    KEEP = "keep"
    REJECT = "reject"


@dataclass(frozen=True)
class Registration:
    file_id: int
    version: int
    kind: Kind


@dataclass(frozen=True)
class Counts:
    """The account of one file, in readings: read = loaded + rejected + duplicate. missing is apart."""

    read: int = 0
    loaded: int = 0
    rejected: int = 0
    duplicate: int = 0
    missing: int = 0

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


@dataclass(frozen=True)
class Claim:
    """The right to work on a file until the lease ends, and what is known of it.

    token: the fencing token; whoever holds an older one cannot commit.
    """

    file_id: int
    token: int
    attempt: int
    stage: Stage
    source: str
    key: bytes
    version: int
    sha256: bytes
    md5: bytes
    size: int
    landing: str
    received_at: datetime
    counts: Counts
    error: tuple[str, str, dict[str, Any]] | None
    quarantines: int
    retries: int
    sensor_type: str


@dataclass(frozen=True)
class Load:
    """What a load leaves in the ledger beside the rows.

    on_change: what becomes of older versions. profile, profile_hash: how the file was read.
    """

    counts: Counts
    on_change: OnChange
    profile: str
    profile_hash: str
    code_version: str
    reports: tuple[StageReport, ...]


@dataclass(frozen=True)
class Replaced:
    """An older version whose rows a load has taken out of the database."""

    file_id: int
    version: int
    received_at: datetime
    sensor_type: str


@dataclass(frozen=True)
class Loaded:
    counts: Counts
    replaced: tuple[Replaced, ...] = ()


@dataclass(frozen=True)
class Swept:
    expired: int
    stale: int


@dataclass(frozen=True)
class FileView:
    """A file as people see it; `facts` has every column of the ledger."""

    file_id: int
    source: str
    name: str
    version: int
    state: State
    stage: Stage
    counts: Counts
    facts: dict[str, Any]


class Ledger(Protocol):
    """The truth about files and the rows of the database, which change together.

    Every method is one transaction. Times are the database's. Raises Transient DATABASE when it
    cannot be reached, and Fenced where a claim is no longer valid.
    """

    def register(self, arrival: Arrival, on_change: OnChange, name_matters: bool) -> Registration:
        """One row for each version of a file's content; idempotent for one fingerprint.

        name_matters: the same bytes under another name are other readings, not an alias.
        """
        ...

    def seen(self, source: str, key: bytes, fingerprint: str) -> bool:
        """Whether this state of this file was registered."""
        ...

    def has_content(self, source: str, key: bytes, sha256: bytes) -> bool:
        """Whether these bytes were ever registered under this name."""
        ...

    def publishing(self) -> AbstractContextManager[bool]:
        """True for one publisher at a time, False for the others."""
        ...

    def due(self, limit: int, max_in_flight: int) -> list[Waiting]:
        """Pending files that are not published and not waiting for a retry, oldest first."""
        ...

    def published(self, sent: list[Waiting]) -> None:
        """The broker has confirmed these. One that was claimed since it was due is left as it is."""
        ...

    def claim(
        self, file_id: int, stages: tuple[Stage, ...], owner: str, lease: float
    ) -> Claim | None:
        """Take a file at one of `stages` that is pending, or running with its lease (seconds) ended.

        Counts the attempt. None: nothing to do (done, past these stages, somebody else's, not due).
        """
        ...

    def renew(self, claim: Claim, lease: float) -> None: ...

    def advance(self, claim: Claim, to: Stage, counts: Counts, report: StageReport) -> None:
        """A stage is done: the file is pending at stage `to`, its attempts at zero."""
        ...

    def release(self, claim: Claim, error: SensorflowError, delay: float, burned: bool) -> None:
        """Give the claim back after a failure: pending again, not before `delay` seconds.

        burned: whether the attempt counts. Idempotent; and not Fenced where the lease has ended, as
        long as nobody else has claimed the file: an outage may be longer than a lease.
        """
        ...

    def given_back_lately(self, code: Code, within: float) -> bool:
        """Whether a file that failed with `code` is being tried again, or was to be within the last
        `within` seconds."""
        ...

    def condemn(self, claim: Claim, error: SensorflowError, counts: Counts) -> None:
        """The file cannot be loaded: pending at the stage quarantine, with the reason."""
        ...

    def quarantined(self, claim: Claim, where: str, report: StageReport) -> None: ...

    def load(
        self, claim: Claim, batches: Iterable[tuple[pa.RecordBatch, pa.Array]], load: Load
    ) -> Loaded:
        """Insert silver batches with their dedupe keys, supersede older versions, close the file.

        All or nothing. Rows whose key is there already are counted as duplicates.
        """
        ...

    def replay(self, file_id: int) -> bool:
        """A quarantined file goes through again from its landed bytes; False if it is not one."""
        ...

    def sweep(self, stale_after: float, depth: int | None) -> Swept:
        """Expired leases become pending; messages older than `stale_after` that the broker may have
        lost (`depth` is how many it holds) count as not published."""
        ...

    def files(
        self, state: State | None = None, source: str | None = None, limit: int = 50
    ) -> list[FileView]: ...

    def file(self, file_id: int) -> FileView | None: ...

    def history(self, file_id: int) -> list[dict[str, Any]]: ...

    def arrivals(self, file_id: int) -> list[dict[str, Any]]: ...

    def totals(self) -> dict[str, dict[str, int]]:
        """Source -> number of files, in all and by state, and sums over the loaded ones: rows_read,
        rows_loaded, rows_rejected, rows_duplicate."""
        ...
