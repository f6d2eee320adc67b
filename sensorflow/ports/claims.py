"""The ledger, for what works on files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from sensorflow.core.growth import Part
from sensorflow.core.states import Stage, State
from sensorflow.errors import SensorflowError
from sensorflow.ports.files import Counts, StageReport


@dataclass(frozen=True)
class Claim:
    """The right to work on a file until the lease ends, and which file it is.

    attempt: its number at this stage; retries: how often the file was given back there. token: the
    fencing token; whoever holds an older one cannot commit. profile: what the file is to be read by,
    where that is not its source's. again: rows of an earlier load are in the database. fresh: nobody
    has held the file before. unpacked: it is an archive whose members are files of their own. name:
    what its versions have in common, see `names.canonical`; empty for `key`. first_key: how the first
    version's name was spelt, which its readings' keys hold.
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
class Progress:
    """What came of a file before it was claimed.

    counts: what the stages that are done have found. error: why it is to be quarantined, or was given back:
    code, message, place. quarantines: how often it was quarantined before.
    """

    counts: Counts = field(default_factory=Counts)
    error: tuple[str, str, dict[str, Any]] | None = None
    quarantines: int = 0


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

    progress: of each of the claimed files, by id. state: of its file where nothing was claimed, None if
    there is no such file. taken_with: the file that it was claimed together with last, None if it was
    claimed by itself or never.
    """

    claims: list[Claim]
    progress: Mapping[int, Progress] = field(default_factory=dict)
    state: State | None = None
    taken_with: int | None = None


class Claims(Protocol):
    """What works on a file needs of the ledger: the right to do so, kept, and given back with an outcome.

    Raises Fenced where a claim is no longer valid.

    Every method is one transaction. Times are the database's. Raises Transient DATABASE when it cannot be
    reached.
    """

    def claim(
        self, file_id: int, stages: tuple[Stage, ...], owner: str, lease: float
    ) -> Claim | None:
        """Take a file at one of `stages` that is pending, or running with its lease (seconds) ended.

        Counts the attempt. None: nothing to do (done, past these stages, somebody else's, not due).
        """
        ...

    def claim_many(
        self, file_ids: Sequence[int], stages: tuple[Stage, ...], owner: str, lease: float
    ) -> Claimed:
        """`claim` the files of one message, all at once, in the order of their ids. After the first of
        `file_ids` only those that nobody ever held. The state of what was not claimed is not told."""
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

    def advance(
        self, claim: Claim, to: Stage, counts: Counts, report: StageReport, published: bool
    ) -> None:
        """A stage is done: the file is pending at stage `to`, its attempts at zero.

        published: its message for that stage is on its way; else it is due to be published.
        """
        ...

    def release(self, claim: Claim, error: SensorflowError, delay: float, burned: bool) -> None:
        """Give the claim back after a failure: pending again, not before `delay` seconds.

        burned: whether the attempt counts. Idempotent; and not Fenced where the lease has ended, as
        long as nobody else has claimed the file: an outage may be longer than a lease.
        """
        ...

    def condemn(self, claim: Claim, error: SensorflowError, counts: Counts | None = None) -> State:
        """The file cannot be loaded: pending at the stage quarantine, with the reason.

        counts: what was found of it; None leaves what the stages before have found.

        One that is replayed while its rows are there is loaded as it was before. Returns its state.
        """
        ...

    def quarantined(self, claim: Claim, where: str, report: StageReport) -> None: ...
