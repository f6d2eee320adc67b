"""A package beside sensorflow brings a format: its files are checked and loaded like any others."""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from installed import install
from typer.testing import CliRunner
from yard import Yard

from sensorflow import bootstrap
from sensorflow.cli import app, commands
from sensorflow.errors import Misuse, Transient
from sensorflow.flow.outcomes import Outcome

PROFILE = '[profiles.raw]\nformat = "records"\n'
SOURCE = '[sources.raw]\npath = "raw"\nprofile = "raw"\ninclude = ["*.bin"]\nsettle = 0\n'
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
    (tmp_path / "sensorflow.toml").write_text(SOURCE + PROFILE)
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
    with pytest.raises(Misuse, match=r"profiles\.raw\.format = 'records': no such format; known: "):
        bootstrap.settings()


def test_a_format_whose_package_is_broken_is_named_with_it(site: Path, project: Path) -> None:
    (site / "sensorflow_records.py").write_text("import nowhere\n")
    done = CliRunner().invoke(app, ["check", "raw/a.bin"])
    assert isinstance(done.exception, Transient)
    told = "'records' of the package sensorflow-records 1.0 cannot be imported: ModuleNotFoundError"
    assert told in str(done.exception)


@pytest.fixture
def yard(site: Path, tmp_path: Path, database: str) -> Iterator[Yard]:
    made = Yard(tmp_path, database)
    (tmp_path / "drop").mkdir()
    text = made.config.read_text().replace('profile = "long"', 'profile = "raw"')
    made.config.write_text(f"{text}\n{PROFILE}")
    made.settings = bootstrap.settings(tmp_path)
    made.world = bootstrap.world(made.settings, "test", made.ledger)
    yield made
    made.close()


def test_a_worker_loads_what_a_package_decodes_and_rejects_what_is_cut_off(yard: Yard) -> None:
    many = [(1772323200 + 60 * n, 7, 1, n / 4) for n in range(40)]
    records = b"".join(struct.pack("<IHHd", *reading) for reading in many)
    file_id = yard.load("a.bin", records + b"\x01\x02")
    view = yard.ledger.file(file_id)
    assert view is not None
    assert (view.counts.loaded, view.counts.rejected) == (40, 1)
    assert yard.audit().code == 0


def test_a_file_waits_on_a_host_where_the_package_is_broken(yard: Yard, site: Path) -> None:
    (site / "sensorflow_records.py").write_text("import nowhere\n")
    file_id = yard.arrive("a.bin", RECORDS)
    assert yard.work(file_id) is Outcome.RETRY
    view = yard.ledger.file(file_id)
    assert view is not None
    assert (view.facts["attempts"], "sensorflow-records" in view.facts["error_detail"]) == (0, True)
