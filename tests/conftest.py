"""Fixtures: real servers, started once a session on free ports, and a fresh database for each test."""

from __future__ import annotations

import gc
import signal
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import hypertables
import pandas  # noqa: F401 - before a test imports workers, which hide it
import psycopg
import pytest
import zones
from azure_server import Azurite
from fresh_database import FreshDatabase, FreshDatabaseWithClock
from google_server import GoogleServer
from hypothesis import settings
from object_servers import BUCKET, Seaweed
from order import LongestFirst, position
from servers import RabbitMQ, ServerFolder, flush, place_for_servers

from sensorflow.adapters.objects.bucket import BucketObjects, open_bucket
from sensorflow.adapters.objects.bucket_access import BucketOptions
from sensorflow.adapters.postgres import index_mode, migrate
from sensorflow.adapters.postgres.ledger import PostgresLedger
from sensorflow.embedded.postgres import Postgres
from sensorflow.embedded.valkey import Valkey

gc.disable()  # until all tests are collected: nothing of what they import is garbage
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")  # no test asserts a time


def pytest_configure(config: pytest.Config) -> None:
    """The process that starts those of xdist also starts what they share."""
    stack = ExitStack()
    config.add_cleanup(stack.close)
    zones.begin(stack)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    hypertables.forget_variable()
    zones.forget_variable()
    hypertables.leave_out(config, items)
    zones.leave_out(config, items)
    items.sort(key=lambda item: position(item.nodeid))


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """The process that shows the summary gets it from those of xdist."""
    if output := getattr(session.config, "workeroutput", None):
        output["left_out"] = dict(hypertables.LEFT_OUT)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    hypertables.LEFT_OUT |= Counter(getattr(node, "workeroutput", {}).get("left_out", {}))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if not hypertables.LEFT_OUT:
        return
    terminalreporter.section("left out on this server")
    for reason, tests in sorted(hypertables.LEFT_OUT.items()):
        terminalreporter.line(f"{tests:4} {reason}")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """For `--dist loadfile`."""
    if config.getvalue("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False
    return LongestFirst(config, log)


@pytest.fixture(autouse=True)
def background_errors() -> Iterator[None]:
    """An exception that a thread swallowed fails the test that caused it."""
    caught: list[BaseException] = []
    before = threading.excepthook
    threading.excepthook = lambda args: caught.append(args.exc_value)  # type: ignore[arg-type]
    yield
    threading.excepthook = before
    assert not caught, caught


@pytest.fixture(scope="session")
def place() -> Iterator[ServerFolder]:
    with place_for_servers() as folder:
        yield folder


@pytest.fixture(scope="session")
def postgres(place: ServerFolder) -> Iterator[Postgres]:
    server = Postgres(place.root, place.logs)
    server.start()
    for name in ("fsync", "full_page_writes"):  # no test cuts the power of the machine
        _execute(server.url, f"ALTER SYSTEM SET {name} = off")
    _execute(server.url, "SELECT pg_reload_conf()")
    yield server
    server.process.stop = signal.SIGQUIT  # nothing of it is kept
    server.process.terminate(30)


@pytest.fixture(scope="session")
def database_server(request: pytest.FixtureRequest) -> str:
    """The URL of a superuser of the server where tests get their databases."""
    return hypertables.GIVEN or str(request.getfixturevalue("postgres").url)


@pytest.fixture(scope="session")
def template(database_server: str) -> Iterator[str]:
    """The name of a migrated database that is cloned for each test."""
    with hypertables.made(database_server, kind="template") as url:
        with hypertables.alone(database_server):
            migrate.upgrade(url)
        yield hypertables.closed(database_server, url)


@pytest.fixture
def empty_database(database_server: str) -> Iterator[str]:
    """The URL of a database without a schema."""
    with hypertables.made(database_server) as url:
        yield url


@pytest.fixture
def database(database_server: str, template: str) -> Iterator[str]:
    """The URL of a migrated, empty database of the test's own."""
    with hypertables.made(database_server, template) as url:
        yield url


@pytest.fixture
def ledger(database: str) -> Iterator[PostgresLedger]:
    new_ledger = PostgresLedger(database, "test")
    yield new_ledger
    new_ledger.close()


@pytest.fixture(scope="session")
def spare(database_server: str, template: str) -> Iterator[Callable[[str], FreshDatabase]]:
    """A database for each purpose: "unique" and "deferred" for each `dedupe_index`, and "clocked"."""
    databases: dict[str, FreshDatabase] = {}
    stack = ExitStack()

    def of(purpose: str) -> FreshDatabase:
        if purpose not in databases:
            url = stack.enter_context(
                hypertables.made(database_server, template, f"spare_{purpose}")
            )
            index_mode.set_index_mode(url, purpose == "deferred")
            databases[purpose] = (
                FreshDatabaseWithClock if purpose == "clocked" else FreshDatabase
            )(url)
        return databases[purpose]

    yield of
    for database in databases.values():
        database.close()
    stack.close()


@pytest.fixture
def emptied(spare: Callable[[str], FreshDatabase]) -> Iterator[str]:
    """The URL of a migrated, empty database that others have after this test: for a test that changes rows
    alone, and neither tables nor settings."""
    database = spare("unique")
    yield database.url
    database.empty()


@pytest.fixture
def clocked(spare: Callable[[str], FreshDatabase]) -> Iterator[FreshDatabaseWithClock]:
    """As `emptied`, with a time that the test moves."""
    database = spare("clocked")
    assert isinstance(database, FreshDatabaseWithClock)
    yield database
    database.empty()


DEFERRED = pytest.param("deferred", marks=pytest.mark.plain("a hypertable has one unique index"))


@pytest.fixture(params=["unique", DEFERRED])
def index(request: pytest.FixtureRequest) -> str:
    """Each `dedupe_index`."""
    return str(request.param)


@pytest.fixture
def indexed(database: str, index: str) -> str:
    """The URL of a database for each `dedupe_index`."""
    index_mode.set_index_mode(database, index == "deferred")
    return database


@pytest.fixture(scope="session")
def valkey(place: ServerFolder) -> Iterator[Valkey]:
    server = Valkey(place.root, place.logs)
    server.start()
    yield server
    server.process.terminate(30)


Server = TypeVar("Server", RabbitMQ, Seaweed, Azurite, GoogleServer)


def running(server: Server) -> Iterator[Server]:
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def rabbitmq(place: ServerFolder) -> Iterator[RabbitMQ]:
    yield from running(RabbitMQ(place))


@pytest.fixture(scope="session")
def seaweed(place: ServerFolder) -> Iterator[Seaweed]:
    """An S3 server."""
    yield from running(Seaweed(place.root))


@pytest.fixture(scope="session")
def azurite(place: ServerFolder) -> Iterator[Azurite]:
    """A server of Azure's blobs; for `make conformance` only."""
    yield from running(Azurite(place.root))


@pytest.fixture(scope="session")
def google(place: ServerFolder) -> Iterator[GoogleServer]:
    """An emulator of Google Cloud Storage; for `make conformance` only."""
    yield from running(GoogleServer(place.root))


@pytest.fixture
def s3_environment(seaweed: Seaweed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The credentials of the S3 server's administrator."""
    for name, value in seaweed.environment().items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def bucket(seaweed: Seaweed, s3_environment: None) -> BucketObjects:
    """An empty store in a bucket of the S3 server."""
    return open_bucket(f"s3://{BUCKET}/{uuid.uuid4()}", BucketOptions(seaweed.endpoint))


@pytest.fixture(params=["valkey", "rabbitmq"])
def broker(request: pytest.FixtureRequest) -> str:
    """The URL of an empty broker, of each kind."""
    if request.param == "valkey":
        server: Valkey = request.getfixturevalue("valkey")
        flush(server.url)
        return server.url
    rabbit: RabbitMQ = request.getfixturevalue("rabbitmq")
    return rabbit.new_vhost()


@pytest.fixture
def valkey_url(valkey: Valkey) -> str:
    flush(valkey.url)
    return valkey.url


def _execute(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)  # type: ignore[arg-type]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An empty project folder with a drop folder."""
    (tmp_path / "drop").mkdir()
    return tmp_path
