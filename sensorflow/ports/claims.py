"""The part of the ledger that workers use."""

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
    fencing token; a worker with an older token cannot commit. profile: the name of the profile to read the
    file with; None for the profile of its source. has_loaded_rows: whether the file is replayed and rows of
    its earlier load are still in the database. is_first_claim: whether this is the first claim of the file.
    unpacked: whether the file is an archive whose members are separate files. name: the name that all
    versions share, see `names.canonical`; may be empty if this name equals `key`. part: for a part of a
    growing file, its place in that file. first_key: the key of the first version, in the spelling that the
    dedupe keys contain. trace: the trace of the file; None if the file is not traced.
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
    """What the ledger recorded about the processing of a file before the file was claimed.

    counts: the results of the completed stages. error: the error for which the file was nacked or
    dead-lettered: (code, message, place); None without an error. quarantines: how often the file was
    quarantined before.
    """

    counts: Counts = field(default_factory=Counts)
    error: tuple[str, str, dict[str, Any]] | None = None
    quarantines: int = 0


@dataclass(frozen=True)
class ReadSoFar:
    """The progress of a worker with a file that it is processing. bytes: the number of bytes of the landed
    file that the worker has read; None if unknown. rows: the number of readings that it has read."""

    bytes: int | None
    rows: int


@dataclass(frozen=True)
class BatchLimits:
    """Limits on the files that may be claimed together with the file of a message.

    sources: the sources whose files may be claimed. file_bytes: each file must be smaller than this number
    of bytes. total_bytes: maximum total size in bytes, including the file of the message. files: maximum
    number of files in addition to the file of the message. share: at most 1/`share` of the pending files
    are claimed, so that other workers can claim the others.
    """

    sources: tuple[str, ...]
    file_bytes: int
    total_bytes: int
    files: int
    share: int


@dataclass(frozen=True)
class Claimed:
    """The result of claiming the files of a message.

    progress: the progress of each claimed file, by id. The other fields are set only if nothing was
    claimed. state: the state of the message's first file; None if this file does not exist. taken_with: the
    id of the file in whose batch the message's first file was last claimed; None if its last claim was not
    in a batch of another file.
    """

    claims: list[Claim]
    progress: Mapping[int, Progress] = field(default_factory=dict)
    state: State | None = None
    taken_with: int | None = None


class Claims(Protocol):
    """The ledger for workers: claim a file, renew the claim, and report the outcome.

    Every method is one transaction. All times are by the database's clock. Methods raise Fenced if a claim
    is no longer valid, and Transient DATABASE if the database is unreachable.
    """

    def claim(
        self, file_id: int, stages: tuple[Stage, ...], owner: str, lease: float
    ) -> Claim | None:
        """Claim a file if it is at one of `stages`, and if it is either pending or running with an expired
        lease. owner: the display name of the worker. lease: the duration of the claim's lease in seconds.

        Counts as an attempt. Returns None if the file is finished, is past these stages, is claimed by
        another worker, waits for its retry, or follows a part of a growing file that is not finished.
        """
        ...

    def claim_many(
        self, file_ids: Sequence[int], stages: tuple[Stage, ...], owner: str, lease: float
    ) -> Claimed:
        """Claim the files of one message in one transaction; for the conditions, see `claim`. All files
        except the first of `file_ids` are claimed only if they were never claimed before. The returned
        claims are in the order of their ids."""
        ...

    def claim_batch(
        self, file_id: int, stages: tuple[Stage, ...], owner: str, lease: float, limits: BatchLimits
    ) -> Claimed:
        """Claim the file of a message; for the conditions, see `claim`. If this file is smaller than
        `limits.file_bytes`, has version 1 and was never claimed, also claim other such files of the same
        source and lane, in the order in which their messages were sent.

        Does not wait for other workers that claim files. The returned claims are in the order of
        their ids.
        """
        ...

    def renew(self, claim: Claim, lease: float, read: ReadSoFar | None = None) -> None:
        """Extend the lease to `lease` seconds from now. read: the progress to record; None leaves the
        recorded progress unchanged. The ledger deletes the progress when the claim ends."""
        ...

    def advance(
        self, claim: Claim, next_stage: Stage, counts: Counts, report: StageReport, published: bool
    ) -> None:
        """Record that the claimed stage is done. The file becomes pending at the stage `next_stage`, with
        zero attempts.

        published: whether the broker sends the message for `next_stage` itself. If not, the outbox sends
        it.
        """
        ...

    def nack(
        self, claim: Claim, error: SensorflowError, delay: float, counts_as_attempt: bool
    ) -> None:
        """Nack a claim after a failure: the file becomes pending again, and can be claimed after `delay`
        seconds. Idempotent.

        counts_as_attempt: whether this attempt counts against the maximum number of attempts. A claim whose
        lease has expired can be nacked, because an outage may last longer than a lease. Raises Fenced if
        another worker has claimed the file.
        """
        ...

    def dead_letter(
        self, claim: Claim, error: SensorflowError, counts: Counts | None = None
    ) -> State:
        """Dead-letter a file that cannot be loaded: the file becomes pending at the stage quarantine.
        `error` is recorded as the reason. Returns the new state.

        If the file was replayed and rows of its earlier load are in the database, the replay ends instead,
        and the file becomes loaded again. counts: the counts of the file; None leaves the counts of the
        earlier stages unchanged.
        """
        ...

    def mark_quarantined(self, claim: Claim, location: str, report: StageReport) -> None: ...
