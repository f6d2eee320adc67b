"""Ports in memory, for tests that need no server, and for authors of adapters."""
