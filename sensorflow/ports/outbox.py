"""The ledger's port for the publisher."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from sensorflow.core.arrival import Lane, OutboxEntry

PUBLISHER_LEASE_SECONDS = 15.0
"""Duration of the publisher's lease in seconds. If its host fails, another process takes over after this
time."""


HIDDEN_FILES = 10
"""Number of files that are sent again although the broker holds more messages than there are pending files.
Messages of files that were claimed in another file's batch are still queued, and may mask a lost one."""


HIDDEN_AFTER_PERIODS = 20
"""This resend happens after so many times `stale_after`."""


@dataclass(frozen=True)
class Reconciled:
    """Result of a reconciliation. expired: number of expired leases. stale: number of stale messages."""

    expired: int
    stale: int


WORK_BYTES, WORK_MAX_BYTES = 32 << 10, 4 << 20


def estimated_work(size: int) -> int:
    """Estimated work of a file for a worker, in units of one small file in a shared transaction. Capped for
    large files: a large file occupies one child process, and others work beside it."""
    return 1 + min(size, WORK_MAX_BYTES) // WORK_BYTES


@dataclass(frozen=True)
class InFlightLimits:
    """Limits on what may be in flight, so that a file that arrives next need not wait long.

    window: work of all files in flight, see `estimated_work`. files: their number. least: number of files
    that may always be in flight, so that no worker is idle. large: maximum number of files of `large_bytes`
    or more. Each live source may use its share of the window, or have one file in flight, whatever the
    others use.
    """

    window: int
    files: int
    least: int
    large: int
    large_bytes: int


NO_IN_FLIGHT_LIMITS = InFlightLimits(
    window=1 << 60, files=1 << 60, least=0, large=1 << 30, large_bytes=1 << 60
)


@dataclass(frozen=True)
class Throughput:
    """The recent throughput of all workers. work: units per second, see `estimated_work`. children:
    number of files that they can process at a time, or None if unknown."""

    work: float
    children: int | None


class Outbox(Protocol):
    """The ledger for the publisher: which files are pending, and which messages were lost.

    Every method is one transaction. Times are the database's. Raises Transient DATABASE if the database is
    unreachable.
    """

    def publisher_lease(
        self, lease: float = PUBLISHER_LEASE_SECONDS
    ) -> AbstractContextManager[Callable[[], bool]]:
        """Returns a context manager for the publisher's lease. It yields a function that returns whether
        the caller holds the lease; call it before each batch.

        Another process takes over if the function was not called for `lease` seconds, or at once if the end
        of the holder's process can be detected. Two publishers at a time only send messages twice.
        """
        ...

    def pending(
        self,
        limit: int,
        max_in_flight: int,
        backfill_in_flight: int | None = None,
        in_flight: InFlightLimits = NO_IN_FLIGHT_LIMITS,
    ) -> list[OutboxEntry]:
        """Returns pending files that have not been sent and are not waiting for a retry. Sources take
        turns, those with the least work in flight first; within a source, the oldest files come first. May
        return fewer files than exist, but never none if there are any.

        Returns files of the backfill lane only if no live file is pending, and keeps at most
        `backfill_in_flight` (default: `max_in_flight`) of them in flight.
        """
        ...

    def throughput(self) -> Throughput:
        """Returns the throughput of the last seconds. work is 0 while no file is pending."""
        ...

    def unfinished(self, lane: Lane) -> int:
        """Returns how many files of a lane are pending or running."""
        ...

    def mark_sent(self, sent: list[OutboxEntry]) -> None:
        """Record that the broker has confirmed these entries. Skips files that were claimed in the
        meantime."""
        ...

    def reconcile(self, stale_after: float, depth: int | None, grace: float = 0.0) -> Reconciled:
        """Reset expired leases to pending, and mark messages older than `stale_after` seconds that the
        broker may have lost as not sent. depth: the number of messages that the broker holds, or None if
        unknown.

        grace: number of seconds after the start of the ledger's server during which no lease expires. While
        the server was down, nobody could renew or nack.
        """
        ...
