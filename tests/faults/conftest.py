"""A database and a broker's number for a fleet that several tests of a module look at."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from sensorflow.embedded.postgres import Postgres
from sensorflow.embedded.valkey import Valkey


@pytest.fixture(scope="module")
def lasting_database(postgres: Postgres, template: str) -> Iterator[str]:
    """The URL of a migrated, empty database of the module's own."""
    name = f"faults_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres.url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")  # type: ignore[arg-type]
        yield postgres.url.rsplit("/", 1)[0] + "/" + name
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


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
