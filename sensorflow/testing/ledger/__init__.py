"""The ledger and an audit's books in memory, for tests that need no server.

They keep the contracts of `ports` and pass the same conformance suite as the real adapters.
"""

from sensorflow.testing.ledger.audit import MemoryBooks
from sensorflow.testing.ledger.ledger import MemoryLedger

__all__ = ["MemoryBooks", "MemoryLedger"]
