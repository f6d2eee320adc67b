"""The refresher of the aggregates: readings per minute, hour and day, and the newest readings."""

from __future__ import annotations

from typing import Protocol

from sensorflow.core.gold import Refreshed


class Gold(Protocol):
    """Computes again the aggregates of the ranges that loads, undo and retention have changed.

    Each transaction that changes readings records their range. All methods raise Transient DATABASE if the
    database is unreachable.
    """

    def is_pending(self) -> bool:
        """Returns whether a committed transaction has changed readings whose aggregates are not computed
        yet. Cheap."""
        ...

    def lag_seconds(self) -> float:
        """Returns the time since the oldest change that is not in the aggregates, by the clock of the
        database; 0 if there is none."""
        ...

    def refresh_once(self, hours: int) -> Refreshed | None:
        """Compute the aggregates of at most this number of hours, the newest first, in one transaction.
        Returns None if another process is refreshing.

        Idempotent: if the process is killed, nothing has changed. Afterwards the aggregates of these hours
        equal those of the readings that were committed before the call.
        """
        ...
