"""A database and a broker's number for a fleet that several tests of a module look at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import hypertables
import pytest

from sensorflow.embedded.valkey import Valkey


@pytest.fixture(scope="module")
def lasting_database(database_server: str, template: str) -> Iterator[str]:
    """The URL of a migrated, empty database of the module's own."""
    with hypertables.made(database_server, template, "faults") as url:
        yield url


@pytest.fixture(scope="module")
def lasting_broker(valkey: Valkey) -> str:
    """The URL of an empty broker; tests of other modules may empty it again."""
    import redis

    with redis.Redis.from_url(valkey.url) as client:
        client.flushall()
    return valkey.url


@pytest.fixture(scope="module")
def lasting_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("project")
