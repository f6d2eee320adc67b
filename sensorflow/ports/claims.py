"""The ledger's port for workers."""

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
    """The right to work on a file until the lease expires, with the facts of that file.

    attempt: its number at this stage. retries: how often the file was nacked at this stage. token: the
    fencing token; a holder of an older token cannot commit. profile: the profile to read the file by, if it
    is not the one of its source. again: rows of an earlier load are in the database. fresh: the file was
    never claimed before. unpacked: the file is an archive whose members are files of their own. name: the
    name that all versions share, see `names.canonical`; empty if it is `key`. first_key: the first
    version's name as it was spelt, which is part of the dedupe keys.
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
        """The name that all versions of the file share."""
        return self.name or self.key


@dataclass(frozen=True)
class Progress:
    """The state of a file before it was claimed.

    counts: results of the completed stages. error: why the file is to be quarantined or was nacked: code,
    message, place. quarantines: how often it was quarantined before.
    """

    counts: Counts = field(default_factory=Counts)
    error: tuple[str, str, dict[str, Any]] | None = None
    quarantines: int = 0


@dataclass(frozen=True)
class BatchLimits:
    """Which pending files may be claimed together with the file of a message.

    sources: only files of these sources. file_bytes: each file is smaller than this. total_bytes: limit for
    the sum, including the first file. files: maximum number of files beside the first. share: claim at most
    one in `share` of the pending files, which leaves the rest for other workers.
    """

    sources: tuple[str, ...]
    file_bytes: int
    total_bytes: int
    files: int
    share: int


@dataclass(frozen=True)
class Claimed:
    """The result of claiming the files of a message.

    progress: for each claimed file, by id. state: the state of the message's file if nothing was claimed;
    None if there is no such file. taken_with: the file with which it was last claimed in a batch; None if
    it was claimed alone or never.
    """

    claims: list[Claim]
    progress: Mapping[int, Progress] = field(default_factory=dict)
    state: State | None = None
    taken_with: int | None = None


class Claims(Protocol):
    """The ledger for workers: claim a file, renew the claim, and report the outcome.

    Methods raise Fenced if a claim is no longer valid.

    Every method is one transaction. Times are the database's. Raises Transient DATABASE if the database is
    unreachable.
    """

    def claim(
        self, file_id: int, stages: tuple[Stage, ...], owner: str, lease: float
    ) -> Claim | None:
        """Claim a file at one of `stages` that is pending, or running with an expired lease. lease:
        seconds.

        Counts the attempt. Returns None if there is nothing to do: the file is done, past these stages,
        claimed by another worker, or not due.
        """
        ...

    def claim_many(
        self, file_ids: Sequence[int], stages: tuple[Stage, ...], owner: str, lease: float
    ) -> Claimed:
        """Claim the files of one message at once, as `claim` does, in the order of their ids. Apart from
        the first of `file_ids`, only files that were never claimed are claimed. The state of files that
        were not claimed is not returned."""
        ...

    def claim_batch(
        self, file_id: int, stages: tuple[Stage, ...], owner: str, lease: float, limits: BatchLimits
    ) -> Claimed:
        """Claim the file of a message. If it is small, has version 1 and was never claimed, claim similar
        files of the same source and lane as well, in the order in which their messages were sent.

        Does not wait for other workers that claim files. The claims are in the order of their ids.
        """
        ...

    def renew(self, claim: Claim, lease: float) -> None: ...

    def advance(
        self, claim: Claim, to: Stage, counts: Counts, report: StageReport, published: bool
    ) -> None:
        """Complete a stage: the file becomes pending at stage `to` with zero attempts.

        published: True if the message for that stage is already on its way; otherwise the outbox sends it.
        """
        ...

    def nack(
        self, claim: Claim, error: SensorflowError, delay: float, counts_as_attempt: bool
    ) -> None:
        """Nack a claim after a failure: the file becomes pending again, but not due before `delay` seconds.

        counts_as_attempt: whether the attempt counts. Idempotent. Does not raise Fenced for an expired
        lease unless another worker has claimed the file, because an outage may outlast a lease.
        """
        ...

    def dead_letter(
        self, claim: Claim, error: SensorflowError, counts: Counts | None = None
    ) -> State:
        """Dead-letter a file that cannot be loaded: it becomes pending at the stage quarantine, with the
        reason.

        counts: results for the file; None keeps the results of earlier stages.

        A replayed file whose rows are still in the database becomes loaded as it was before. Returns the
        new state.
        """
        ...

    def mark_quarantined(self, claim: Claim, where: str, report: StageReport) -> None: ...
