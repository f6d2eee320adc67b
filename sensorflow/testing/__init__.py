"""In-memory implementations of the ports, for tests without servers. They pass the same conformance suites
as the real adapters."""
