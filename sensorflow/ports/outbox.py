"""The ledger, for what publishes files."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from sensorflow.core.arrival import Lane, Waiting

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


class Outbox(Protocol):
    """What publishes files needs of the ledger: which of them are due, and which messages were lost.

    Every method is one transaction. Times are the database's. Raises Transient DATABASE when it cannot be
    reached.
    """

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

    def sweep(self, stale_after: float, depth: int | None, grace: float = 0.0) -> Swept:
        """Expired leases become pending; messages older than `stale_after` that the broker may have
        lost (`depth` is how many it holds) count as not published.

        grace: seconds from the start of the ledger's server on in which no lease expires. While it was
        away nobody could renew one, or give a file back.
        """
        ...
