"""The part of the ledger that the publisher uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from sensorflow.core.arrival import Lane, OutboxEntry
from sensorflow.core.shares import SourceShare

PUBLISHER_LEASE_SECONDS = 15.0
"""Default duration of the publisher's lease in seconds. If the publisher's host fails, another process can
acquire the lease after this time."""


HIDDEN_FILES = 10
"""Maximum number of messages that one reconciliation marks as lost although the broker reports more
messages than the ledger expects. A message may be lost even then, because some of the broker's messages may
belong to files that were already claimed in the batch of another file."""


HIDDEN_AFTER_PERIODS = 20
"""Minimum age of these messages, in multiples of `stale_after`."""


@dataclass(frozen=True)
class Reconciled:
    """The result of a reconciliation. expired: number of files that became pending because their leases
    had expired. stale: number of files whose messages will be sent again."""

    expired: int
    stale: int


WORK_BYTES, WORK_MAX_BYTES = 32 << 10, 4 << 20


def estimated_work(size: int) -> int:
    """Returns the estimated work of processing a file of `size` bytes. The unit is the work for one small
    file that is loaded in a batch. The result is at most 1 + `WORK_MAX_BYTES` / `WORK_BYTES`, because a
    large file occupies only one child process of a worker while the others continue."""
    return 1 + min(size, WORK_MAX_BYTES) // WORK_BYTES


@dataclass(frozen=True)
class InFlightLimits:
    """Limits on the files in flight, that is, unfinished files for which a message was sent. The limits
    ensure that the next file that arrives is processed soon.

    window: maximum total work of the files in flight, see `estimated_work`. files: maximum number of files
    in flight. Two exceptions to `window` and `files` exist: up to `least` files may always be in flight, so
    that no worker is idle; and in the live lane, each source may use its share of the window or have one
    file in flight, so that no source delays another. large: maximum number of files in flight that have
    `large_bytes` bytes or more. shares: source -> its share; other sources have the default `SourceShare`.
    """

    window: int
    files: int
    least: int
    large: int
    large_bytes: int
    shares: Mapping[str, SourceShare] = field(default_factory=dict)


NO_IN_FLIGHT_LIMITS = InFlightLimits(
    window=1 << 60, files=1 << 60, least=0, large=1 << 30, large_bytes=1 << 60
)


@dataclass(frozen=True)
class Throughput:
    """The recent throughput of all workers. work: finished work per second, in units of `estimated_work`.
    children: number of files that the workers can process at the same time, or None if unknown."""

    work: float
    children: int | None


class Outbox(Protocol):
    """The ledger for the publisher: decides for which files a message is sent next, and which messages
    were lost.

    All times are by the database's clock. Methods raise Transient DATABASE if the database is unreachable.
    """

    def publisher_lease(
        self, lease: float = PUBLISHER_LEASE_SECONDS
    ) -> AbstractContextManager[Callable[[], bool]]:
        """Returns a context manager that tries to acquire the publisher's lease, and releases it on exit.
        It yields a function that renews the lease and returns whether the caller has it. Call this function
        before each batch of messages. lease: the duration of the lease in seconds.

        Another process can acquire the lease if the function was not called for `lease` seconds, or as
        soon as the database detects that the process with the lease has ended. Two publishers at the same
        time do no harm: some messages are then sent twice.
        """
        ...

    def pending(
        self,
        limit: int,
        max_in_flight: int,
        backfill_in_flight: int | None = None,
        in_flight: InFlightLimits = NO_IN_FLIGHT_LIMITS,
    ) -> list[OutboxEntry]:
        """Returns up to `limit` files for which a message must be sent next: pending files without a
        message, except files that wait for a retry and files of paused sources. Sources take turns; the
        source with the least work in flight, divided by its weight, comes first. Within a source, the
        oldest files come first. May return fewer files than the limits permit, but returns at least one if
        they permit any.

        max_in_flight: maximum number of files in flight. Files of the backfill lane are returned only if no
        file of the live lane can be returned; at most `backfill_in_flight` of them are in flight at a time
        (by default, `max_in_flight`).
        """
        ...

    def throughput(self) -> Throughput:
        """Returns the throughput of the last few seconds. Its `work` is 0 if no file waits for a
        message."""
        ...

    def unfinished(self, lane: Lane, source: str | None = None) -> int:
        """Returns how many files of a lane are pending or running. Files that wait because their source is
        paused do not count, unless this source is `source`."""
        ...

    def mark_sent(self, sent: list[OutboxEntry]) -> None:
        """Record that the broker has confirmed the messages of these entries. Skips files that were claimed
        in the meantime."""
        ...

    def reconcile(self, stale_after: float, depth: int | None, grace: float = 0.0) -> Reconciled:
        """Make files with expired leases pending again. If n messages may be lost, mark the n oldest
        messages as not sent, so that they are sent again; but only messages that are older than
        `stale_after` seconds. depth: the number of queued messages in the broker, or None if unknown.

        grace: number of seconds after the start of the database server during which expired leases are
        ignored, because workers could neither renew a lease nor nack while the server was down.
        """
        ...
