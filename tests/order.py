"""How xdist's workers share the tests: what waits and starts processes first, what only computes last.

A long test that starts last would be waited for by all. Tests of a fleet are given out one by one, unless
those of their file share a fixture; all others a file at once. Tests with RabbitMQ go to few workers, and
tests with a server of buckets to one.
"""

from __future__ import annotations

import re
from functools import cache, cached_property
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).parents[1]
FIRST = (
    *("acceptance", "faults", "fuzz", "architecture", "integration", "timescale", "migration"),
    *("conformance", "unit", "same"),
)
"""Folders by how long their tests take."""
SINGLY = ("acceptance", "faults")
BROKERS = 2
"""How many of xdist's workers start a RabbitMQ, which costs eight seconds of CPU: the others need none."""
LONGEST = (
    "integration/test_stale_silver.py",
    "acceptance/test_chaos.py",
    "faults/test_worker.py",
    "acceptance/test_secrets.py",
    "faults/test_fleet.py",
    "faults/test_bucket_faults.py",
    "acceptance/test_up.py",
    "acceptance/test_soak.py",
    "acceptance/test_burst.py",
    "integration/test_prometheus.py",
    "acceptance/test_loss_of_everything.py",
    "faults/test_hosts.py",
    "acceptance/test_pool.py",
    "acceptance/test_first_rows.py",
    "unit/test_round_trip.py",
)
"""These before all others."""


def position(nodeid: str) -> tuple[int, int]:
    """Sorts tests; those of a file stay in their order."""
    file = nodeid.partition("::")[0].removeprefix("tests/")
    folder = file.partition("/")[0]
    longest = LONGEST.index(file) if file in LONGEST else len(LONGEST)
    return longest, FIRST.index(folder) if folder in FIRST else len(FIRST)


class LongestFirst(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        if nodeid in self._brokers:
            return f"rabbitmq {self._brokers[nodeid]}"
        if _has_bucket(file):
            return "seaweed"  # each server has 0.8 GB
        alone = file.startswith(tuple(f"tests/{folder}/" for folder in SINGLY))
        return nodeid if alone and not _shares(file) else file

    @cached_property
    def _brokers(self) -> dict[str, int]:
        """Tests with RabbitMQ, dealt out in their order: the long ones to each in turn."""
        found = (
            n for n in self.collection if "rabbitmq" in n and not _shares(n.partition("::")[0])
        )
        return {nodeid: number % BROKERS for number, nodeid in enumerate(found)}


@cache
def _shares(file: str) -> bool:
    return 'scope="module"' in (ROOT / file).read_text()


@cache
def _has_bucket(file: str) -> bool:
    return re.search(r"\b(seaweed|bucket): |\"seaweed\"", (ROOT / file).read_text()) is not None
