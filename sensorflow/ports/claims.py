"""The ledger for workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from sensorflow.core.growth import Part
from sensorflow.core.states import Stage, State
from sensorflow.core.trace import Trace
from sensorflow.errors import SensorflowError
from sensorflow.ports.files import Counts, StageReport


@dataclass(frozen=True)
class Claim:
    """The right to work on a file until the lease expires, and the data of that file.

    attempt: the number of this attempt at the stage. retries: the number of nacks at this stage. token: the
    fencing token; a worker with an older token cannot commit. profile: the profile to read the file with;
    None for the profile of its source. has_loaded_rows: whether rows of an earlier load are in the
    database. is_first_claim: whether this is the first claim of the file. unpacked: whether the file is an
    archive whose members are separate files. name: the name that all versions share, see `names.canonical`;
    empty if this name equals `key`. first_key: the key of the first version in its original spelling. The
    dedupe keys contain it. trace: None if the file is not traced.
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
    has_loaded_rows: bool = False
    is_first_claim: bool = False
    unpacked: bool = False
    part: Part | None = None
    name: bytes = b""
    first_key: bytes = b""
    trace: Trace | None = None

    @property
    def known_as(self) -> bytes:
        """The name that all versions of the file share."""
        return self.name or self.key


@dataclass(frozen=True)
class Progress:
    """The state of a file before it was claimed.

    counts: the results of the completed stages. error: the reason why the file was nacked or is to be
    quarantined: code, message and place. quarantines: how often the file was quarantined before.
    """

    counts: Counts = field(default_factory=Counts)
    error: tuple[str, str, dict[str, Any]] | None = None
    quarantines: int = 0


@dataclass(frozen=True)
class ReadSoFar:
    """What a worker has read of a file that it still works on. bytes: of the landed file; None if
    unknown. rows: readings."""

    bytes: int | None
    rows: int


@dataclass(frozen=True)
class BatchLimits:
    """Limits on the files that may be claimed together with the file of a message.

    sources: sources whose files may be claimed. file_bytes: each file is smaller than this.
    total_bytes: maximum size of all files, including the first. files: maximum number of files in
    addition to the first. share: at most 1/`share` of the pending files may be claimed, so that
    other workers get the rest.
    """

    sources: tuple[str, ...]
    file_bytes: int
    total_bytes: int
    files: int
    share: int


@dataclass(frozen=True)
class Claimed:
    """The result of claiming the files of a message.

    progress: the progress of each claimed file, by id. state: if nothing was claimed, the state of
    the message's file; None if this file does not exist. taken_with: the file in whose batch the
    message's file was last claimed; None if it was never claimed in a batch.
    """

    claims: list[Claim]
    progress: Mapping[int, Progress] = field(default_factory=dict)
    state: State | None = None
    taken_with: int | None = None


class Claims(Protocol):
    """The ledger for workers: claim a file, renew the claim, and report the outcome.

    Methods raise Fenced if a claim is no longer valid.

    Every method is one transaction. All times are by the database's clock. Raises Transient DATABASE if the
    database is unreachable.
    """

    def claim(
        self, file_id: int, stages: tuple[Stage, ...], owner: str, lease: float
    ) -> Claim | None:
        """Claim a file if it is at one of `stages`, and if it is pending, or running with an expired lease.
        lease: the duration of the claim's lease in seconds.

        Counts the attempt. Returns None if there is nothing to do: the file is done, past these stages,
        claimed by another worker, or not due.
        """
        ...

    def claim_many(
        self, file_ids: Sequence[int], stages: tuple[Stage, ...], owner: str, lease: float
    ) -> Claimed:
        """Claim the files of one message at once, as `claim` does, in the order of their ids. The
        first of `file_ids` may have been claimed before; each other file is claimed only if it
        never was. The states of files that were not claimed are not returned."""
        ...

    def claim_batch(
        self, file_id: int, stages: tuple[Stage, ...], owner: str, lease: float, limits: BatchLimits
    ) -> Claimed:
        """Claim the file of a message. If this file is small, has version 1 and was never claimed, also
        claim similar files of the same source and lane, in the order in which their messages were sent.

        Does not wait for other workers that claim files. The returned claims are in the order of
        their ids.
        """
        ...

    def renew(self, claim: Claim, lease: float, read: ReadSoFar | None = None) -> None:
        """Extend the lease to `lease` seconds from now. read: recorded until the claim ends; None
        keeps what is recorded."""
        ...

    def advance(
        self, claim: Claim, next_stage: Stage, counts: Counts, report: StageReport, published: bool
    ) -> None:
        """Complete a stage. The file becomes pending at stage `next_stage`, with zero attempts.

        published: whether the message for stage `next_stage` is already on its way. If not, the outbox
        sends it.
        """
        ...

    def nack(
        self, claim: Claim, error: SensorflowError, delay: float, counts_as_attempt: bool
    ) -> None:
        """Nack a claim after a failure: the file becomes pending again, and is due in `delay`
        seconds.

        counts_as_attempt: whether the attempt counts. Idempotent. Does not raise Fenced for a lease
        that has merely expired, because an outage may outlast a lease. Raises Fenced if another
        worker has claimed the file.
        """
        ...

    def dead_letter(
        self, claim: Claim, error: SensorflowError, counts: Counts | None = None
    ) -> State:
        """Dead-letter a file that cannot be loaded: it becomes pending at the stage quarantine. The
        error is recorded as the reason. Returns the new state.

        If the file was replayed and rows of its earlier load are in the database, it becomes loaded
        again instead, as before the replay. counts: the file's results; None keeps the results of
        earlier stages.
        """
        ...

    def mark_quarantined(self, claim: Claim, location: str, report: StageReport) -> None: ...
