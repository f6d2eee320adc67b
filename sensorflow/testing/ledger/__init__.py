"""The ledger in memory, for tests that need no server. It passes the conformance suite of the real one."""

from sensorflow.testing.ledger.ledger import MemoryLedger

__all__ = ["MemoryLedger"]
