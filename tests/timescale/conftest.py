"""Tests of what is different on a hypertable. They need TimescaleDB: `make test-timescale`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import hypertables
import psycopg
import pytest
from project_driver import ProjectDriver

collect_ignore_glob = [] if hypertables.GIVEN else ["test_*.py"]


@pytest.fixture
def driver(project: Path, database: str) -> Iterator[ProjectDriver]:
    project_driver = ProjectDriver(project, database)
    yield project_driver
    project_driver.close()


@pytest.fixture
def admin(database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection
