"""The ledger for the publisher."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from sensorflow.core.arrival import Lane, OutboxEntry
from sensorflow.core.shares import Share

PUBLISHER_LEASE_SECONDS = 15.0
"""Duration of the publisher's lease in seconds. If the publisher's host fails, another process can acquire
the lease after this time."""


HIDDEN_FILES = 10
"""Number of files whose messages are sent again although the broker reports more messages than there are
pending files. Some of the broker's messages may belong to files that were already claimed in the batch of
another file. The number of messages therefore does not prove that no message was lost."""


HIDDEN_AFTER_PERIODS = 20
"""Age of a message after which `HIDDEN_FILES` applies to it, in multiples of `stale_after`."""


@dataclass(frozen=True)
class Reconciled:
    """Result of a reconciliation. expired: number of expired leases. stale: number of stale messages."""

    expired: int
    stale: int


WORK_BYTES, WORK_MAX_BYTES = 32 << 10, 4 << 20


def estimated_work(size: int) -> int:
    """Returns the estimated work of a file for a worker. The unit is the work of one small file in a shared
    transaction. The result is capped, because a large file occupies only one child process while the others
    continue."""
    return 1 + min(size, WORK_MAX_BYTES) // WORK_BYTES


@dataclass(frozen=True)
class InFlightLimits:
    """Limits on the number of files in flight, that is, files that were sent and are not finished. With
    limits, a file that arrives next is processed soon.

    window: maximum work of all files in flight, see `estimated_work`. files: maximum number of files in
    flight. least: number of files that may always be in flight, so that no worker is idle. large: maximum
    number of files of `large_bytes` or more. Each live source may use its share of the window, or have one
    file in flight, even if other sources have used up the window. shares: those of the sources whose share
    is not the default.
    """

    window: int
    files: int
    least: int
    large: int
    large_bytes: int
    shares: Mapping[str, Share] = field(default_factory=dict)


NO_IN_FLIGHT_LIMITS = InFlightLimits(
    window=1 << 60, files=1 << 60, least=0, large=1 << 30, large_bytes=1 << 60
)


@dataclass(frozen=True)
class Throughput:
    """The recent throughput of all workers. work: units per second, see `estimated_work`. children: number
    of files that the workers can process at a time, or None if unknown."""

    work: float
    children: int | None


class Outbox(Protocol):
    """The ledger for the publisher: the pending files, and the messages that were lost.

    Every method is one transaction. All times are by the database's clock. Raises Transient DATABASE if the
    database is unreachable.
    """

    def publisher_lease(
        self, lease: float = PUBLISHER_LEASE_SECONDS
    ) -> AbstractContextManager[Callable[[], bool]]:
        """Returns a context manager for the publisher's lease. It yields a function that returns whether
        the caller has the lease. Call this function before each batch.

        Another process can acquire the lease if the function was not called for `lease` seconds, or as soon
        as the database detects that the previous process has ended. Two publishers at the same time do no
        harm, because they only send messages twice.
        """
        ...

    def pending(
        self,
        limit: int,
        max_in_flight: int,
        backfill_in_flight: int | None = None,
        in_flight: InFlightLimits = NO_IN_FLIGHT_LIMITS,
    ) -> list[OutboxEntry]:
        """Returns pending files that have not been sent and are not waiting for a retry, except those of
        paused sources. Sources take turns; the source with the least work in flight, divided by its weight,
        comes first. Within a source, the oldest files come first. May return fewer files than may be sent,
        but returns at least one if there are any.

        Returns files of the backfill lane only if no live file is pending. At most `backfill_in_flight`
        files of the backfill lane are in flight at a time; the default is `max_in_flight`.
        """
        ...

    def throughput(self) -> Throughput:
        """Returns the throughput of the last seconds. work is 0 while no file is pending."""
        ...

    def unfinished(self, lane: Lane, source: str | None = None) -> int:
        """Returns how many files of a lane are pending or running. Files that wait because their source is
        paused count only if it is `source`."""
        ...

    def mark_sent(self, sent: list[OutboxEntry]) -> None:
        """Record that the broker has confirmed the messages of these entries. Skips files that were claimed
        in the meantime."""
        ...

    def reconcile(self, stale_after: float, depth: int | None, grace: float = 0.0) -> Reconciled:
        """Reset files with expired leases to pending. Mark messages that are older than `stale_after`
        seconds, and that the broker may have lost, as not sent. depth: the number of queued messages in the
        broker, or None if unknown.

        grace: number of seconds after the start of the ledger's server during which no lease expires,
        because nobody could renew a lease or nack while the server was down.
        """
        ...
