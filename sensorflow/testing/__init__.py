"""In-memory ports for tests that need no server. They pass the conformance suites of the real adapters."""
