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

    new_ledger = PostgresLedger(request.getfixturevalue("emptied"), "test")
    request.addfinalizer(new_ledger.close)
    return new_ledger
