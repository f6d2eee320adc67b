"""Ports in memory, for tests that need no server: they pass the conformance suites of the real adapters."""
