"""A package beside sensorflow brings a format: its files are checked and loaded like any others."""

from __future__ import annotations

import json
import re
import sqlite3
import struct
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from installed import install
from patience import PATIENCE
from project_driver import ProjectDriver, content
from typer.testing import CliRunner

from sensorflow import bootstrap
from sensorflow.adapters.postgres.ledger import PostgresLedger
from sensorflow.cli import app, commands
from sensorflow.core.account import Totals
from sensorflow.daemon import Daemon
from sensorflow.errors import Transient, UsageError
from sensorflow.flow.consume import consume
from sensorflow.flow.outcomes import Outcome
from sensorflow.settings import Settings
from sensorflow.testing.project import write_settings
from sensorflow.testing.queue import MemoryQueue
from sensorflow.testing.running import running, within

BROKEN = (
    "'records' of the package sensorflow-records 1.0 cannot be imported: "
    "ModuleNotFoundError: No module named 'nowhere'; install the package on this host"
)
RAW = {"raw": {"format": "records"}}
READINGS = [(1772323200, 7, 1, 21.5), (1772323260, 7, 2, 40.25), (1772323320, 8, 1, -3.0)]
RECORDS = b"".join(struct.pack("<IHHd", *reading) for reading in READINGS)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = install("sensorflow-records", tmp_path / "site")
    monkeypatch.syspath_prepend(folder)
    yield folder
    sys.modules.pop("sensorflow_records", None)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_settings(tmp_path, {"raw": {"profile": "raw", "include": ["*.bin"]}}, RAW)
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.bin").write_bytes(RECORDS)
    monkeypatch.chdir(tmp_path)
    if not app.registered_groups:
        commands.register(app)
    return tmp_path


def test_check_reads_a_file_by_the_format_of_a_package(site: Path, project: Path) -> None:
    done = CliRunner().invoke(app, ["check", "raw/a.bin", "--json"])
    assert done.exit_code == 0, done.output
    assert '"valid": 3' in done.output


def test_the_format_is_not_imported_before_a_file_is_read(site: Path, project: Path) -> None:
    settings = bootstrap.settings()
    assert settings.profiles["raw"].format == "records"
    assert "sensorflow_records" not in sys.modules


def test_a_format_that_is_not_installed_is_named_with_those_that_are(project: Path) -> None:
    with pytest.raises(
        UsageError, match=r"profiles\.raw\.format = 'records': unknown format; known: "
    ):
        bootstrap.settings()


def test_a_format_whose_package_is_broken_is_named_with_it(site: Path, project: Path) -> None:
    (site / "sensorflow_records.py").write_text("import nowhere\n")
    done = CliRunner().invoke(app, ["check", "raw/a.bin"])
    assert isinstance(done.exception, Transient)
    assert str(done.exception).startswith(f"I520 host-refuses: format {BROKEN}")


@pytest.fixture
def driver(site: Path, tmp_path: Path, database: str) -> Iterator[ProjectDriver]:
    (tmp_path / "drop").mkdir()
    project_driver = ProjectDriver(tmp_path, database, {"profile": "raw"}, profiles=RAW)
    yield project_driver
    project_driver.close()


def test_a_worker_loads_what_a_package_decodes_and_rejects_what_is_cut_off(
    driver: ProjectDriver,
) -> None:
    many = [(1772323200 + 60 * n, 7, 1, n / 4) for n in range(40)]
    records = b"".join(struct.pack("<IHHd", *reading) for reading in many)
    file_id = driver.load("a.bin", records + b"\x01\x02")
    view = driver.ledger.file(file_id)
    assert view is not None
    assert (view.counts.loaded, view.counts.rejected) == (40, 1)
    assert driver.audit().code == 0


def test_a_file_waits_on_a_host_where_the_package_is_broken(
    driver: ProjectDriver, site: Path
) -> None:
    (site / "sensorflow_records.py").write_text("import nowhere\n")
    file_id = driver.arrive("a.bin", RECORDS)
    assert driver.work(file_id) is Outcome.RETRY
    assert driver.fact(file_id, "attempts") == 0
    assert driver.fact(file_id, "error_detail").startswith(f"format {BROKEN}")


BOX = (
    "CREATE TABLE box (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT UNIQUE, data BLOB,"
    " written_ns INTEGER)"
)
PUT = "INSERT INTO box (key, data, written_ns) VALUES (?, ?, 1772323200000000000)"


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[sqlite3.Connection]:
    monkeypatch.syspath_prepend(install("sensorflow-box", tmp_path / "site"))
    with closing(sqlite3.connect(tmp_path / "post.sqlite", isolation_level=None)) as connection:
        connection.execute(BOX)
        yield connection
    sys.modules.pop("sensorflow_box", None)


def boxed(folder: Path, database: str, file: str = "file") -> Settings:
    """file: what the key is called."""
    post = {"kind": "box", file: "post.sqlite"}
    write_settings(folder, {"post": post}, database_url=database)
    return bootstrap.settings(folder)


def test_files_of_a_package_s_feed_are_taken_in_and_loaded_once_each(
    box: sqlite3.Connection, tmp_path: Path, database: str, ledger: PostgresLedger
) -> None:
    settings, queue = boxed(tmp_path, database), MemoryQueue()
    for number in range(20):
        box.execute(PUT, (f"{number}.csv", content(number)))
    box.execute(PUT, ("left.part", b"not taken"))
    feeds, landing = bootstrap.feeds(settings, ledger), bootstrap.landing(settings, ledger)
    services = bootstrap.services(settings, "test", ledger)
    with running(Daemon(settings, feeds, landing, ledger, queue)):
        consume(queue, services, within(PATIENCE, lambda: _loaded(ledger) == 20))
    views = ledger.files(limit=100)
    assert sorted(view.name for view in views) == sorted(f"{number}.csv" for number in range(20))
    assert {view.counts.loaded for view in views} == {20}
    assert box.execute("SELECT key FROM box").fetchall() == [("left.part",)]


def _loaded(ledger: PostgresLedger) -> int:
    return ledger.totals().get("post", Totals()).loaded


def test_a_key_of_a_package_s_source_that_is_misspelt_is_named(
    box: sqlite3.Connection, tmp_path: Path
) -> None:
    with pytest.raises(
        UsageError, match=r"unknown key 'sources\.post\.fil'; did you mean 'file'\?"
    ):
        boxed(tmp_path, "postgresql://h/d", "fil")


def test_a_feed_whose_package_is_broken_is_named_with_its_source(
    box: sqlite3.Connection, tmp_path: Path
) -> None:
    (tmp_path / "site" / "sensorflow_box.py").write_text("import nowhere\n")
    expected = (
        "sources.post.kind = 'box': 'box' of the package sensorflow-box 1.0 cannot be imported"
    )
    with pytest.raises(UsageError, match=re.escape(expected)):
        boxed(tmp_path, "postgresql://h/d")


def test_commands_show_a_source_that_has_no_folder(
    box: sqlite3.Connection, tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxed(tmp_path, database)
    monkeypatch.chdir(tmp_path)
    if not app.registered_groups:
        commands.register(app)
    done = CliRunner().invoke(app, ["sources", "ls", "--json"], catch_exceptions=False)
    assert json.loads(done.stdout)[0]["name"] == "post"
    assert CliRunner().invoke(app, ["audit", "--json"], catch_exceptions=False).exit_code == 0
