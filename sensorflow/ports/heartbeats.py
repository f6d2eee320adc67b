"""The ledger, for processes that say that they are alive."""

from __future__ import annotations

from typing import Protocol

from sensorflow.core.heartbeat import Pulse


class Heartbeats(Protocol):
    """Where the heartbeats of loops are kept; `Catalog.heartbeats` reads them.

    Every method is one transaction. Times are the database's. Raises Transient DATABASE when it cannot be
    reached.
    """

    def beat(self, pulse: Pulse) -> None:
        """A loop of a process is alive. Removes what is older than `heartbeat.FORGOTTEN`."""
        ...

    def end_beats(self, process: str) -> None:
        """A process ends: remove its heartbeats. Idempotent."""
        ...
