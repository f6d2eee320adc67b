"""A small in-memory ledger, for tests that need no server."""

from sensorflow.testing.ledger.ledger import MemoryLedger

__all__ = ["MemoryLedger"]
