"""Corrections, late readings and retention in chunks of the columnstore."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import typer
from project_driver import ProjectDriver, content

from sensorflow.adapters.postgres import columnstore, empty_partitions, migrate
from sensorflow.adapters.postgres.measurements import Measurements
from sensorflow.cli.columnstore import check
from sensorflow.cli.replay import replay as replay_command
from sensorflow.cli.replay import undo as undo_command

pytestmark = pytest.mark.community
LIMIT = "timescaledb.max_tuples_decompressed_per_dml_transaction"
LIMITED = f"""
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET {LIMIT} = 5', current_database()); END $$
"""
"""By default the limit is 100,000 rows."""
COMPRESS = (
    "SELECT count(compress_chunk(c, if_not_compressed => true)) FROM show_chunks('raw_readings') c"
)
SETTINGS = "SELECT attname, orderby_column_index FROM timescaledb_information.compression_settings"
POLICY = """
SELECT config->>'compress_after' FROM timescaledb_information.jobs
 WHERE hypertable_name = 'raw_readings' AND proc_name IN ('policy_compression', 'policy_columnstore')
"""


@pytest.fixture
def limited(database: str, admin: psycopg.Connection) -> None:
    admin.execute(LIMITED)


def compressed(admin: psycopg.Connection) -> None:
    with suppress(psycopg.errors.DuplicateObject):  # the policy was quicker
        admin.execute(COMPRESS)
    state = "SELECT DISTINCT is_compressed FROM timescaledb_information.chunks"
    assert admin.execute(state).fetchall() == [(True,)]


def changed(number: int) -> bytes:
    return content(number).replace(b",degC", b"1,degC")


def test_chunks_move_there_after_30_days_ordered_by_time_and_not_segmented(
    database: str, admin: psycopg.Connection
) -> None:
    assert admin.execute(SETTINGS).fetchall() == [("ts", 1)]
    assert admin.execute(POLICY).fetchall() == [("30 days",)]
    migrate.downgrade(database, "0016")
    assert admin.execute(SETTINGS).fetchall() == admin.execute(POLICY).fetchall() == []
    migrate.upgrade(database)
    assert admin.execute(POLICY).fetchall() == [("30 days",)]


def test_settings_that_somebody_has_made_stay(database: str, admin: psycopg.Connection) -> None:
    migrate.downgrade(database, "0016")
    admin.execute(
        "ALTER TABLE raw_readings SET (timescaledb.compress, timescaledb.compress_segmentby = 'file_id',"
        " timescaledb.compress_orderby = 'ts')"
    )
    for way in (migrate.upgrade, lambda url: migrate.downgrade(url, "0016")):
        way(database)
        assert admin.execute(SETTINGS).fetchall() == [("file_id", None), ("ts", 1)]
        assert admin.execute(POLICY).fetchall() == []


def replay(driver: ProjectDriver, file_id: int) -> None:
    spoil = "UPDATE raw_readings SET value = value + 1 WHERE file_id = %s"
    with psycopg.connect(driver.database) as connection:
        connection.execute(f"SET {LIMIT} = 0")
        connection.execute(spoil, (file_id,))
    assert driver.ledger.replay(file_id, None)
    driver.work(file_id)


def undo(driver: ProjectDriver, file_id: int) -> None:
    done = driver.ledger.undo(file_id, "")
    assert done is not None
    assert done.rows == 20


def correct(driver: ProjectDriver, file_id: int) -> None:
    driver.load("a.csv", changed(1))


@pytest.mark.parametrize("on_change", ["merge", "supersede"])
@pytest.mark.parametrize("change", [correct, replay, undo])
@pytest.mark.usefixtures("limited")
def test_more_rows_are_changed_than_timescaledb_allows_by_default(
    project: Path,
    database: str,
    admin: psycopg.Connection,
    on_change: str,
    change: Callable[[ProjectDriver, int], object],
) -> None:
    driver = ProjectDriver(project, database, {"on_change": on_change})
    file_id = driver.load("a.csv", content(1))
    driver.load("b.csv", content(2))
    compressed(admin)
    change(driver, file_id)
    assert driver.audit("--deep").report["findings"] == []
    driver.close()


@pytest.mark.usefixtures("limited")
def test_late_readings_and_the_same_bytes_again_are_exact(
    driver: ProjectDriver, admin: psycopg.Connection
) -> None:
    driver.load("a.csv", content(1))
    compressed(admin)
    driver.load("late.csv", content(2))
    driver.arrive("again.csv", content(1))
    driver.load("a.csv", content(1, 30))
    assert admin.execute("SELECT count(*) FROM raw_readings").fetchone() == (50,)
    assert driver.audit("--deep").report["findings"] == []


def test_doctor_undo_replay_and_the_log_announce_that_it_is_slow(
    driver: ProjectDriver,
    admin: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(columnstore, "MANY", 20)
    file_id = driver.load("a.csv", content(1))
    database = driver.database
    assert list(check(database)) == []
    compressed(admin)
    [found] = check(database)
    assert (str(found.verdict), found.what) == ("ok", "columnstore")
    assert "1 of 1 chunks" in found.found
    capsys.readouterr()
    later = ProjectDriver(driver.project, database)
    later.load("late.csv", content(2))
    assert "columnstore.entered" in capsys.readouterr().out
    later.load("later.csv", content(3))
    assert "columnstore.entered" not in capsys.readouterr().out
    later.close()
    app = typer.Typer()
    for command in (undo_command, replay_command):
        app.command()(command)
    for command in ("undo", "replay"):
        output = driver.invoke(app, command, str(file_id)).output
        assert output.startswith("20 readings are in TimescaleDB's columnstore"), output


def test_the_size_of_the_readings_includes_the_columnstore(
    driver: ProjectDriver, admin: psycopg.Connection
) -> None:
    driver.load("a.csv", content(1))
    compressed(admin)
    measurements = Measurements(driver.database, "test")
    size = admin.execute("SELECT hypertable_size('raw_readings')").fetchone()
    assert (measurements.sizes().readings,) == size
    measurements.close()


@pytest.fixture
def loader(database: str, admin: psycopg.Connection) -> Iterator[str]:
    """The URL of a new user with the rights to load alone."""
    name = f"user_{uuid.uuid4().hex[:12]}"
    admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'pw' IN ROLE sensorflow_loader")
    parts = urlsplit(database)
    address = parts.netloc.rpartition("@")[2]
    yield parts._replace(netloc=f"{name}:pw@{address}").geturl()
    admin.execute(f"DROP OWNED BY {name}")
    admin.execute(f"DROP ROLE {name}")


@pytest.mark.usefixtures("limited")
def test_a_loader_corrects_undoes_and_drops_what_is_empty(
    project: Path, loader: str, admin: psycopg.Connection
) -> None:
    driver = ProjectDriver(project, loader)
    driver.load("a.csv", content(1))
    compressed(admin)
    second = driver.load("a.csv", changed(1))
    compressed(admin)
    undo(driver, second)
    driver.ledger.undo(1, "")
    assert [found.what for found in check(loader)] == ["columnstore"]
    assert empty_partitions.drop_empty(loader) == 0
    assert empty_partitions.drop_empty(loader, timedelta(0)) == 1
    driver.close()
