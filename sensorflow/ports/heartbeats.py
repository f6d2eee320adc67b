"""The ledger's port for heartbeats."""

from __future__ import annotations

from typing import Protocol

from sensorflow.core.heartbeat import Pulse


class Heartbeats(Protocol):
    """Stores the heartbeats of loops. `Catalog.heartbeats` reads them.

    Every method is one transaction. Times are the database's. Raises Transient DATABASE if the database is
    unreachable.
    """

    def beat(self, pulse: Pulse) -> None:
        """Record that a loop of a process is alive. Removes heartbeats older than `heartbeat.FORGOTTEN`."""
        ...

    def end_beats(self, process: str) -> None:
        """Remove the heartbeats of a process that ends. Idempotent."""
        ...
