"""A small ledger in memory, for tests that need no server."""

from sensorflow.testing.ledger.ledger import MemoryLedger

__all__ = ["MemoryLedger"]
