"""The tests on a server with TimescaleDB, whose URL the environment variable gives: each database of a
test is made there, and has the extension. `make test-timescale` starts such a server.

A test that is about plain PostgreSQL alone has the mark `plain`, with the reason. It is left out, and the
reason is shown. A test that needs a part that the Apache-only build lacks has the mark `community`.
"""

from __future__ import annotations

import os
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from urllib.parse import urlsplit

import psycopg
import pytest
from patience import PATIENCE

VARIABLE = "SENSORFLOW_TEST_TIMESCALE_URL"
"""The URL of a superuser of the server, in any of its databases."""
GIVEN = os.environ.get(VARIABLE, "")
EXTENSION = "CREATE EXTENSION IF NOT EXISTS timescaledb"
LEFT_OUT: Counter[str] = Counter()
"""Why tests were left out, by module -> how many."""
_LOCK = "SELECT pg_advisory_lock(hashtextextended('sensorflow tests', 0))"


def forget_variable() -> None:
    """sensorflow refuses variables of its own that it does not know. The processes of xdist need it until
    they begin to collect tests."""
    os.environ.pop(VARIABLE, None)


def not_here(items: list[pytest.Item]) -> dict[pytest.Item, str]:
    """The tests that this server does not suit, and why."""
    found = {}
    for item in items if GIVEN else ():
        if mark := item.get_closest_marker("plain"):
            found[item] = str(mark.args[0])
        elif item.get_closest_marker("community") and _apache():
            found[item] = "the Apache-only build has no columnstore"
    return found


def leave_out(config: pytest.Config, items: list[pytest.Item]) -> None:
    found = not_here(items)
    LEFT_OUT.update(f"{item.nodeid.partition('::')[0]}: {why}" for item, why in found.items())
    items[:] = [item for item in items if item not in found]
    config.hook.pytest_deselected(items=list(found))


@cache
def _apache() -> bool:
    """The parameter is there in databases with the extension."""
    with made(GIVEN) as url, psycopg.connect(url) as connection:
        row = connection.execute("SELECT current_setting('timescaledb.license')").fetchone()
    return row == ("apache",)


@contextmanager
def made(server: str, template: str = "template0", kind: str = "test") -> Iterator[str]:
    """The URL of a new database, which is dropped at the end."""
    name = f"{kind}_{uuid.uuid4().hex[:12]}"
    url = urlsplit(server)._replace(path=f"/{name}").geturl()
    # a copy of the files: their pages are not written to the log one by one
    _unused(server, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    if GIVEN and template == "template0":
        _execute(url, EXTENSION)
    yield url
    _unused(server, f"DROP DATABASE {name} WITH (FORCE)")


def closed(server: str, url: str) -> str:
    """The name of a database that has no sessions from now on, as a template must: a background worker of
    TimescaleDB is connected to each database that accepts connections."""
    name = urlsplit(url).path[1:]
    if GIVEN:
        _execute(server, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        _execute(
            server,
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",
        )
    return name


def _unused(server: str, statement: str) -> None:
    """Background workers connect again at any time, for a moment."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return _execute(server, statement)
        except psycopg.errors.ObjectInUse:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _execute(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)  # type: ignore[arg-type]


@contextmanager
def alone(server: str) -> Iterator[None]:
    """Processes of xdist that share a server migrate one after the other: roles belong to all databases."""
    with psycopg.connect(server, autocommit=True) as connection:
        if GIVEN:
            connection.execute(_LOCK)
        yield
