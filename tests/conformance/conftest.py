"""Every adapter of a port, one after the other."""

from __future__ import annotations

import pytest

from sensorflow.adapters.memory import MemoryLedger
from sensorflow.ports.ledger import Ledger


@pytest.fixture(params=["memory", "postgres"])
def ledger(request: pytest.FixtureRequest) -> Ledger:
    if request.param == "memory":
        return MemoryLedger()
    from sensorflow.adapters.postgres.ledger import PostgresLedger

    made = PostgresLedger(request.getfixturevalue("database"), "test")
    request.addfinalizer(made.close)
    return made
