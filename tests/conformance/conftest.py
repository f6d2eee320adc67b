"""Every adapter of a port, one after the other."""

from __future__ import annotations

import pytest

from sensorflow.ports.ledger import Ledger
from sensorflow.testing.ledger import MemoryLedger


@pytest.fixture(params=["memory", "postgres"])
def ledger(request: pytest.FixtureRequest) -> Ledger:
    if request.param == "memory":
        return MemoryLedger()
    from sensorflow.adapters.postgres.ledger import PostgresLedger

    made = PostgresLedger(request.getfixturevalue("emptied"), "test")
    request.addfinalizer(made.close)
    return made
