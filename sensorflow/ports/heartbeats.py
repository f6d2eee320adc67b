"""The part of the ledger that stores heartbeats."""

from __future__ import annotations

from typing import Protocol

from sensorflow.core.heartbeat import LoopReport


class Heartbeats(Protocol):
    """Stores the heartbeats of loops. `Catalog.heartbeats` reads them.

    Every method is one transaction. All times are by the database's clock. Methods raise Transient
    DATABASE if the database is unreachable.
    """

    def record_report(self, report: LoopReport) -> None:
        """Record that a loop of a process is alive. Also remove all heartbeats that are older than
        `heartbeat.FORGET_AFTER_SECONDS`."""
        ...

    def remove_reports(self, process: str) -> None:
        """Remove the heartbeats of a process that is ending. Idempotent."""
        ...
