"""Runs the contracts of all ports on all adapters, and prints a line for each: `make conformance`."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import azure_server
import google_server
import pytest
from object_servers import seaweed_label

PORTS = {
    "objects": "objects",
    "ledger": "ledger",
    "publisher": "publisher",
    "broker": "broker",
    "layers": "layers",
    "site": "feed",
    "sample": "format",
}
"""Fixture of the adapter -> port."""
LABELS = {
    "s3": f"s3 ({seaweed_label()})",
    "azure": f"azure ({azure_server.LABEL})",
    "gcs": f"gcs ({google_server.LABEL})",
}


class Lines:
    """Counts tests by port and adapter."""

    def __init__(self) -> None:
        self._adapter_of: dict[str, tuple[str, str]] = {}
        self.tests: Counter[tuple[str, str]] = Counter()
        self.passed: Counter[tuple[str, str]] = Counter()

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave out the tests that are about one adapter alone."""
        kept = []
        for item in items:
            params: dict[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
            for fixture in PORTS.keys() & params.keys():
                key = PORTS[fixture], str(params[fixture])
                self._adapter_of[item.nodeid] = key
                self.tests[key] += 1
                kept.append(item)
        items[:] = kept

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.outcome in ("passed", "skipped"):
            self.passed[self._adapter_of[report.nodeid]] += 1


def main() -> int:
    os.environ["SENSORFLOW_CONFORMANCE"] = "1"
    lines = Lines()
    folder = str(Path(__file__).parent / "conformance")
    options = ["-q", "--no-header", "--show-capture=no", "--tb=short", *sys.argv[1:]]
    code = pytest.main([folder, *options], plugins=[lines])
    for port, adapter in sorted(lines.tests):
        key = port, adapter
        label = LABELS.get(adapter, adapter)
        print(f"{port:10} {label:44} {lines.passed[key]:3} of {lines.tests[key]}")
    passed, tests = lines.passed.total(), lines.tests.total()
    print(f"conformance: {passed} of {tests}")
    return int(code != 0 or passed != tests)


if __name__ == "__main__":
    sys.exit(main())
