"""Every adapter of a port, one after the other."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from buckets import SERVERS

from sensorflow.adapters.objects.bucket import BucketObjects, open_bucket
from sensorflow.adapters.objects.bucket_access import BucketOptions
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


@pytest.fixture
def make_bucket(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], BucketObjects]:
    """A function that returns an empty store in a bucket of each kind in `buckets.SERVERS`."""

    def make(kind: str) -> BucketObjects:
        fixture, scheme = SERVERS[kind]
        server = request.getfixturevalue(fixture)
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        return open_bucket(f"{scheme}://sensorflow/{uuid.uuid4()}", BucketOptions(server.endpoint))

    return make
