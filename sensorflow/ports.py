"""What the flow needs of the world. Every port has a real adapter and one in memory, and both pass the
same conformance suite (``tests/conformance``)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TypeAlias

from sensorflow.core.account import Account, account
from sensorflow.core.arrival import Arrival, Landed, Lane, Waiting
from sensorflow.core.gates.announced import Announced
from sensorflow.core.growth import Growth, Part, Segment, Taken
from sensorflow.core.heartbeat import Heartbeat, Pulse
from sensorflow.core.listing import Activity, FileFilter
from sensorflow.core.months import MonthLimits
from sensorflow.core.partitions import Layer
from sensorflow.core.stability import Stat
from sensorflow.core.states import Stage, State
from sensorflow.errors import Code, IntakeLost, SensorflowError
from sensorflow.settings import Source

if TYPE_CHECKING:  # the daemon knows no Arrow
    import pyarrow as pa


class Reader(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


class LandingGroup(Protocol):
    """Objects of a landing zone that are synced together, which is cheaper than one by one."""

    def put(self, stream: Reader) -> Landed:
        """Copy a stream to its end; the object is not there before `settle`."""
        ...

    def settle(self) -> None:
        """All that was put is synced, and has its name."""
        ...


class Landing(Protocol):
    """The original bytes of every file, under names made of their SHA-256.

    Raises Transient STORAGE when the disk is full or away.
    """

    bucket: str

    def put(self, stream: Reader) -> Landed:
        """Copy a stream to its end; on return the bytes are synced. The same bytes twice: one object."""
        ...

    def group(self) -> AbstractContextManager[LandingGroup]:
        """Of what is put and not settled, nothing is left at the end."""
        ...

    def open(self, name: str) -> BinaryIO:
        """A seekable reader. Raises Transient STORAGE when the object is not there."""
        ...

    def size(self, name: str) -> int | None:
        """Of an object, in bytes; None when it is not there. Raises when the whole zone is not."""
        ...

    def began(self) -> datetime | None:
        """Since when the zone is there, if it was made anew by a writer; None if unknown."""
        ...

    def unfinished(self, older: float) -> list[str]:
        """What writers left that were killed more than `older` seconds ago: it may be removed."""
        ...

    def has(self, name: str) -> bool:
        """Whether the object is there."""
        ...

    def remove(self, name: str) -> None:
        """Remove one object; nothing happens when there is none."""
        ...


class Unreadable(Exception):
    """A file of the lake is there and cannot be read: cut short, or changed."""


class LayerWriter(Protocol):
    def write(self, batch: pa.RecordBatch) -> None: ...


class Lake(Protocol):
    """Parquet files under paths made by ``core.partitions``. Raises Transient STORAGE."""

    def writer(self, path: str, schema: pa.Schema) -> AbstractContextManager[LayerWriter]:
        """Write one file; it appears whole and synced when the context ends, or not at all.

        A file of that path is replaced.
        """
        ...

    def together(self) -> AbstractContextManager[None]:
        """Files that are written meanwhile appear, synced, when this context ends, all at once."""
        ...

    def read(self, path: str) -> Iterator[pa.RecordBatch]:
        """The batches of one file. Raises Transient STORAGE when there is none."""
        ...

    def remove(self, path: str) -> None:
        """Remove one file; nothing happens when there is none."""
        ...

    def paths(self) -> Iterator[str]:
        """The path of every whole file, in no order. Raises when the lake itself is not there."""
        ...

    def rows(self, path: str) -> int | None:
        """How many rows one file says it has; None when there is none.

        Raises Unreadable when it is there and is not a file that a writer finished.
        """
        ...

    def began(self, layer: Layer) -> datetime | None:
        """As `Landing.began`, of a layer's folder."""
        ...

    def unfinished(self, older: float) -> list[str]:
        """What writers left that were killed more than `older` seconds ago: it may be removed."""
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

    def size(self, where: str) -> int | None:
        """Of the file kept there, in bytes; None when it is not there. Raises when the store is not."""
        ...

    def open(self, where: str) -> BinaryIO:
        """The file kept there. Raises Transient STORAGE when it is not there."""
        ...

    def began(self) -> datetime | None:
        """As `Landing.began`."""
        ...

    def unfinished(self, older: float) -> list[str]:
        """What writers left that were killed more than `older` seconds ago: it may be removed."""
        ...


class Queue(Protocol):
    """The broker: a hint that work is waiting, never the truth. Raises Transient BROKER."""

    def publish(self, waiting: Waiting, inline: bool, others: Sequence[Waiting] = ()) -> None:
        """Send the message of one file, and return when the broker has confirmed it.

        inline: all stages in one task; else a chain from the file's stage on. others: files that go
        the same way, in the same message.
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
    """What to do when a file's content changes."""

    MERGE = "merge"  # replace the readings that it states again, keep everything else
    SUPERSEDE = "supersede"
    KEEP = "keep"
    REJECT = "reject"


@dataclass(frozen=True)
class Registration:
    file_id: int
    version: int
    kind: Kind


@dataclass(frozen=True)
class IntakeLease:
    """The right to take files of a source in. Of a source's leases only the newest, by token, holds.

    owner: the daemon's name for people. process: identifies it among all processes of all hosts.
    """

    source: str
    owner: str
    process: str
    token: int


def intake_lost(held: IntakeLease) -> IntakeLost:
    reason = (
        "another daemon has taken over the intake of this source; its folder is looked at again"
    )
    return IntakeLost(f"{held.source}: {reason}", token=held.token)


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


@dataclass(frozen=True)
class Claim:
    """The right to work on a file until the lease ends, and what is known of it.

    token: the fencing token; whoever holds an older one cannot commit. profile: what the file is to be
    read by, where that is not its source's. again: rows of an earlier load are in the database. fresh:
    nobody has held the file before. unpacked: it is an archive whose members are files of
    their own. name: what its versions have in common, see `names.canonical`; empty
    for `key`. first_key: how the first version's name was spelt, which its readings' keys hold.
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
    profile: str | None = None
    again: bool = False
    fresh: bool = False
    unpacked: bool = False
    part: Part | None = None
    name: bytes = b""
    first_key: bytes = b""

    @property
    def known_as(self) -> bytes:
        """What all versions of the file's name have in common."""
        return self.name or self.key


@dataclass(frozen=True)
class Unpack:
    """What unpacking an archive leaves in the ledger beside its members. See `Load`.

    keep: called when no landed object can be removed any more: it sees to it that those of the members are
    there.
    """

    on_change: OnChange
    name_matters: bool
    profile: str
    profile_hash: str
    code_version: str
    report: StageReport
    keep: Callable[[], None]


@dataclass(frozen=True)
class Member:
    """A file that came in an archive. name: by which it came. besides: other archives that it came in too,
    and 0 where it also came by itself; of archives that were undone nothing is told."""

    name: str
    file_id: int
    besides: frozenset[int]


@dataclass(frozen=True)
class BatchLimits:
    """Which waiting files may be claimed with the one of a message.

    sources: of these only. file_bytes: each is smaller than that. total_bytes: of all, the first
    included. files: at most so many beside the first. share: at most one in so many of those that
    wait, so that other workers have some.
    """

    sources: tuple[str, ...]
    file_bytes: int
    total_bytes: int
    files: int
    share: int


@dataclass(frozen=True)
class Claimed:
    """What a message led to.

    state: of its file where nothing was claimed, None if there is no such file. taken_with: the file
    that it was claimed together with last, None if it was claimed by itself or never.
    """

    claims: list[Claim]
    state: State | None = None
    taken_with: int | None = None


Keyed: TypeAlias = "tuple[pa.RecordBatch, pa.Array]"
"""A batch of silver with the dedupe key of each row."""


@dataclass(frozen=True)
class Load:
    """What a load leaves in the ledger beside the rows.

    on_change: what becomes of older versions. profile, profile_hash: how the file was read.
    identity: the file name that its dedupe keys hold. covered: ids of older versions, pending or
    quarantined, whose bytes this version begins with. name_matters: the same bytes under another name
    are other readings. remarks: what was noticed about this version and the one before it. months: how
    many it may be the first to have readings of.
    """

    counts: Counts
    on_change: OnChange
    profile: str
    profile_hash: str
    code_version: str
    reports: tuple[StageReport, ...]
    identity: str = ""
    covered: tuple[int, ...] = ()
    name_matters: bool = False
    remarks: str = ""
    months: MonthLimits = field(default_factory=MonthLimits)


COLLECT_AGAIN = 120.0
"""Seconds. Longer than a worker takes, after it was sure to have a file, to name what it wrote of it."""


class Expirable(StrEnum):
    """What retention may remove of a file that is finished."""

    LANDING = "landing"
    BRONZE = "bronze"
    REJECTS = "rejects"
    SILVER = "silver"
    ROWS = "rows"


Holds: TypeAlias = "Callable[[pa.Array, pa.Array], pa.Array]"
"""(ts of silver, dedupe keys) -> whether the database has each row as the file's own."""


@dataclass(frozen=True)
class Leftover:
    """A finished file of which layers may lie about that its state no longer wants.

    landing: the landed object, where nothing needs it any more. counts: its account, where it is loaded.
    identity: the file name in its dedupe keys. holds: tells which of its rows were not replaced.
    """

    file_id: int
    source: str
    version: int
    received_at: datetime
    sensor_type: str
    state: State
    expired: frozenset[str]
    landing: str | None
    counts: Counts = Counts()
    identity: str = ""
    holds: Holds | None = None


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

    @property
    def account(self) -> Account:
        """What happened to each of its readings; what was undone or superseded is not loaded."""
        return account(self.state, **vars(self.counts))


@dataclass(frozen=True)
class Listed:
    """The first of the files that were asked for. total: how many there are."""

    files: list[FileView]
    total: int


@dataclass(frozen=True)
class Loaded:
    """A load that was committed. garbage: whether silver of this file or of others has to follow.

    replaced: readings of other files whose place these took. kept: the newest of the older versions that
    still holds readings, of the twenty before this one. remarks: what was noticed, as the ledger has it.
    """

    counts: Counts
    garbage: bool = False
    replaced: int = 0
    kept: FileView | None = None
    remarks: str = ""


PUBLISHING = 15.0
"""Seconds of the publisher's lease: when its host is gone, another one takes over after them."""
HIDDEN = 10
"""Files that a sweep publishes again although the broker holds more messages than there are files: those of
files that were taken along wait there too, and a lost one may be hidden behind them."""
HIDDEN_AFTER = 20
"""After so many times the usual span."""


@dataclass(frozen=True)
class Swept:
    expired: int
    stale: int


@dataclass(frozen=True)
class Unloaded:
    """An older version of a file that is pending or quarantined. size in bytes."""

    file_id: int
    size: int
    sha256: bytes


@dataclass(frozen=True)
class Older:
    """Versions before one that is to be loaded.

    unloaded: between it and the loaded version before it, not larger than it, at most a hundred.
    loaded: the newest of the twenty before it that is loaded and holds rows.
    """

    unloaded: tuple[Unloaded, ...] = ()
    loaded: FileView | None = None


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


WORK_BYTES, WORK_MOST = 32 << 10, 4 << 20


def work_of(size: int) -> int:
    """What a file costs a worker, about, in small files of a transaction that they share. A large file is
    not said to cost all that it does: it works in one child, beside which others work."""
    return 1 + min(size, WORK_MOST) // WORK_BYTES


@dataclass(frozen=True)
class Share:
    """How much may be in flight, so that what comes next need not wait long for it.

    window: work of all, see `work_of`. files: of all. least: files that may always be in flight, so that
    no worker waits for one. large: at most so many of `large_bytes` and more. A live source may have its
    part of the window in flight, or one file, whatever others have.
    """

    window: int
    files: int
    least: int
    large: int
    large_bytes: int


UNSHARED = Share(window=1 << 60, files=1 << 60, least=0, large=1 << 30, large_bytes=1 << 60)


@dataclass(frozen=True)
class Pace:
    """What the fleet has done of late. work: a second. children: how many files it can work on at a time,
    None if unknown."""

    work: float
    children: int | None


class Ledger(Protocol):
    """The truth about files and the rows of the database, which change together.

    Every method is one transaction. Times are the database's. Raises Transient DATABASE when it
    cannot be reached, and Fenced where a claim is no longer valid.
    """

    def take_intake(
        self, source: str, owner: str, process: str, lease: float, ended: str = ""
    ) -> IntakeLease:
        """Become the one who takes files of `source` in, for `lease` seconds, if nobody else is.

        Returns the lease that holds now: ours if it has our `process`. Atomic: exactly one caller wins.
        After that no registration with an older lease is committed any more. ended: a process that has
        ended for certain; its lease need not run out.
        """
        ...

    def renew_intake(self, held: IntakeLease, lease: float) -> None:
        """Raises IntakeLost when somebody else has taken over, also if their lease has ended."""
        ...

    def release_intake(self, held: IntakeLease) -> None:
        """End a lease now. Idempotent; does nothing when somebody else has taken over."""
        ...

    def register(self, arrival: Arrival, on_change: OnChange, name_matters: bool) -> Registration:
        """One row for each version of a file's content; idempotent for one fingerprint.

        name_matters: the same bytes under another name are other readings, not an alias.
        """
        ...

    def register_many(
        self,
        arrivals: Sequence[Arrival],
        on_change: OnChange,
        name_matters: bool,
        lease: IntakeLease | None = None,
    ) -> list[Registration]:
        """`register` for each of these, in this order and all or none. They are of one source.

        lease: the one that was held before these files were opened. Raises IntakeLost when somebody
        else has taken over since. None for what is read from elsewhere than the source's drop folder.
        """
        ...

    def announced(self, file_id: int) -> list[Announced]:
        """What gates said of a file's bytes, the newest first."""
        ...

    def announced_by(self, source: str, gate: bytes, mark: str) -> frozenset[bytes]:
        """The keys that were registered on the word of a gate in this state (see `Announcement`)."""
        ...

    def seen(self, source: str, key: bytes, fingerprint: str) -> bool:
        """Whether this state of this file was registered."""
        ...

    def spelt_otherwise(self, source: str, key: bytes, sha256: bytes) -> bytes | None:
        """The key of the newest version of this name, where that is spelt otherwise and has other bytes."""
        ...

    def has_content(self, source: str, key: bytes, sha256: bytes) -> bool:
        """Whether these bytes were ever registered under this name."""
        ...

    def publishing(self, lease: float = PUBLISHING) -> AbstractContextManager[Callable[[], bool]]:
        """Whether the caller is the one publisher at a time: to be asked again before each batch.

        Another one takes over when it was not asked for `lease` seconds, and at once when its process
        has ended, where that can be known. Two that publish at a time do no harm but to send twice.
        """
        ...

    def due(
        self,
        limit: int,
        max_in_flight: int,
        backfill_in_flight: int | None = None,
        share: Share = UNSHARED,
    ) -> list[Waiting]:
        """Pending files that are not published and not waiting for a retry: of each source the oldest
        first, and each source in its turn, those first that have the least work in flight. Perhaps fewer
        than there are, never none.

        Files of the backfill lane only when no live one is due, and no more than
        `backfill_in_flight` (default: `max_in_flight`) of them at a time.
        """
        ...

    def pace(self) -> Pace:
        """Of the last seconds; work is 0 while no file waits to be published."""
        ...

    def unfinished(self, lane: Lane) -> int:
        """How many files of a lane are pending or running."""
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

    def claim_many(
        self, file_ids: Sequence[int], stages: tuple[Stage, ...], owner: str, lease: float
    ) -> list[Claim]:
        """`claim` the files of one message, all at once, in the order of their ids. After the first of
        `file_ids` only those that nobody ever held."""
        ...

    def claim_batch(
        self, file_id: int, stages: tuple[Stage, ...], owner: str, lease: float, limits: BatchLimits
    ) -> Claimed:
        """`claim` the file of a message and, if it is small, of version 1 and nobody ever held it,
        others like it of the same source and lane: those whose messages were published first.

        Waits for no worker that claims others. The claims are in the order of their ids.
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

    def condemn(self, claim: Claim, error: SensorflowError, counts: Counts) -> State:
        """The file cannot be loaded: pending at the stage quarantine, with the reason.

        One that is replayed while its rows are there is loaded as it was before. Returns its state.
        """
        ...

    def quarantined(self, claim: Claim, where: str, report: StageReport) -> None: ...

    def load(
        self,
        claim: Claim,
        batches: Iterable[Keyed],
        load: Load,
        closing: Callable[[], Load] | None = None,
    ) -> Loaded:
        """Insert silver batches with their dedupe keys, see to older versions, close the file.

        All or nothing. Rows whose key is there already are counted as duplicates. Of a file that is
        replayed, what is there and right is left alone, and only the difference is written.
        closing: asked when the batches are through, for what was not known before.

        `OnChange.MERGE`: of versions that state the same reading the newest one holds it, whichever
        is loaded first; the others count it as replaced. The same holds of files with the same bytes
        under two names, where names do not matter.
        """
        ...

    def unpack(self, claim: Claim, members: Sequence[Arrival], how: Unpack) -> list[Registration]:
        """Register the members of an archive, as `register_many` does, and close the archive: both or
        neither. Idempotent.

        The members are of the archive's lane, and were discovered with it. Raises Transient while an older
        version of the archive waits, and Permanent ARCHIVE where a newer one has brought other bytes for a
        member that this one has not brought yet, or the archive's own readings are there.
        """
        ...

    def members(self, file_id: int) -> list[Member]:
        """The files that came in an archive, by name; none of a file that is no archive."""
        ...

    def older(self, claim: Claim) -> Older:
        """The versions before a claimed file that its load may have to do with."""
        ...

    def load_together(self, files: Sequence[tuple[Claim, Sequence[Keyed], Load]]) -> bool:
        """Load fresh files that have one version each in one transaction, and close them all.

        False: some of them needs a transaction of its own (its claim is lost, a key of it is there
        already); nothing is loaded, then.
        """
        ...

    def replay(self, file_id: int, profile: str | None = None) -> bool:
        """A loaded, quarantined or undone file goes through again from its landed bytes, in the
        backfill lane; a loaded one keeps its rows until the new ones are there.

        profile: what to read it by, None for its source's. False: not in such a state, or its bytes
        have expired.
        """
        ...

    def undo(self, file_id: int, why: str, along: Sequence[int] = ()) -> int | None:
        """Take a loaded file's rows out of the database; returns how many, None if it is not loaded,
        or not waiting to be loaded again.

        Files that left readings out as duplicates of this one's, and files whose readings this one
        had replaced, are replayed, but for those in `along`, which are to be undone too.
        """
        ...

    def tidy(self, remove: Callable[[Leftover], None], limit: int = 100) -> int:
        """Call `remove` for finished files that may have leftovers; none of them moves meanwhile.

        Returns how many were seen to. What `remove` raises is raised, and the file is left for later.
        A file that is not loaded comes twice, the second time when whatever a worker was writing of it
        as it was finished is surely written (`COLLECT_AGAIN` seconds).
        """
        ...

    def collect_again(self, file_id: int) -> None:
        """There may be leftovers of a file, whatever its state is now or will be: for `tidy`."""
        ...

    def expire(self, source: str, layer: Expirable, age: float, limit: int = 1000) -> int:
        """Mark a layer of files that were finished (rows: measured) more than `age` seconds ago as
        expired, for `tidy` to remove; rows are removed here. Returns of how many files.

        Never of a file that is not loaded, superseded or undone.
        """
        ...

    def forget(self, source: str, age: float, limit: int = 10000) -> int:
        """Remove history of finished files that is older than `age` seconds, but for each file's last
        event. Returns how many events."""
        ...

    def sweep(self, stale_after: float, depth: int | None, grace: float = 0.0) -> Swept:
        """Expired leases become pending; messages older than `stale_after` that the broker may have
        lost (`depth` is how many it holds) count as not published.

        grace: seconds from the start of the ledger's server on in which no lease expires. While it was
        away nobody could renew one, or give a file back.
        """
        ...

    def files(
        self,
        state: State | None = None,
        source: str | None = None,
        limit: int = 50,
        whole: bool = False,
    ) -> list[FileView]:
        """The newest first. whole: of a growing file its first growth alone."""
        ...

    def matching(self, wanted: FileFilter, limit: int) -> Listed:
        """The newest files that fit, and how many fit in all."""
        ...

    def activity(self) -> dict[str, Activity]:
        """How each source that ever had a file is doing."""
        ...

    def file(self, file_id: int) -> FileView | None: ...

    def named(self, name: str, source: str | None = None) -> list[FileView]:
        """All versions of a name, as people see it, however its letters are encoded; of an alias, the
        file that has its bytes."""
        ...

    def select(
        self, states: tuple[str, ...], source: str | None = None, since: datetime | None = None
    ) -> list[FileView]:
        """All files in one of `states`, landed at `since` or later, oldest first."""
        ...

    def grown(
        self, source: str, keys: Sequence[bytes], inodes: Sequence[str], newest: int = 0
    ) -> list[Taken]:
        """What was taken of growing files, from the oldest on: of each of these names the newest file, of
        each of these inodes ("device:inode"), and so many of the newest of all."""
        ...

    def grow(
        self, growths: Sequence[Growth], lease: IntakeLease | None = None
    ) -> list[Registration | None]:
        """Register parts of growing files of one source, all or none; each is a version of its own.

        lease: see `register_many`. A part that follows another has the name of that, whatever it is called
        by now. None for one
        that is known already, or whose file has grown otherwise since it was looked up.
        """
        ...

    def looked_at(
        self,
        source: str,
        key: bytes,
        taken: Taken,
        inode: str | None,
        fingerprint: str,
        whole: bool,
    ) -> None:
        """A growing file was seen in a state, perhaps under another name, and nothing of it was taken.

        inode: None of a copy of the file. whole: all that was taken of it before was compared, and is there
        unchanged.
        """
        ...

    def segments(self, root: int, start: int = 0, limit: int = 100) -> list[Segment]:
        """The growths of a growing file in its order, from byte `start` on."""
        ...

    def segments_before(self, part: Part, limit: int) -> list[Segment]:
        """The last growths before a part of a growing file, in the file's order."""
        ...

    def rows_beside(self, part: Part, file_id: int, ts: pa.Array) -> pa.RecordBatch:
        """The readings at these times (of the schema `BESIDE`, in arbitrary order) that other growths
        of the same file hold."""
        ...

    def chains(self, file_ids: Sequence[int]) -> dict[int, ChainView]:
        """Of those of these files that are a growth: the whole file, by the id that was given."""
        ...

    def beat(self, pulse: Pulse) -> None:
        """A loop of a process is alive. Removes what is older than `heartbeat.FORGOTTEN`."""
        ...

    def end_beats(self, process: str) -> None:
        """A process ends: remove its heartbeats. Idempotent."""
        ...

    def heartbeats(self) -> list[Heartbeat]:
        """The last heartbeat of each loop, by role, the oldest loops first."""
        ...

    def history(self, file_id: int) -> list[dict[str, Any]]: ...

    def arrivals(self, file_id: int) -> list[dict[str, Any]]: ...

    def totals(self) -> dict[str, dict[str, int]]:
        """Source -> number of files, in all and by state, and sums over their accounts (`account.SUMS`)."""
        ...


class DropFolder(Protocol):
    """Where files of one source are dropped. Raises Transient STORAGE when it is away."""

    name: str
    source: Source

    def scan(self) -> Iterator[tuple[bytes, Stat]]:
        """Every file that the source takes, with its state."""
        ...

    def busy(self, key: bytes, stat: Stat) -> bool:
        """Whether a file is gone, changed since `stat`, or open for writing."""
        ...

    def has_line(self, key: bytes, start: int) -> bool:
        """Whether a file has a complete line behind byte `start`. False of one that cannot be read."""
        ...

    def holds(self, key: bytes, segments: Iterable[Segment]) -> bool:
        """Whether a file begins with exactly these growths. True of one that cannot be read."""
        ...


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
