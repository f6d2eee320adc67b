"""`check` reads a file by the settings that hold for it when it is dropped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sensorflow.cli import app, commands

PROJECT = """
[sources.roof]
path = "drop/roof"
profile = "logger"
max_rejects = "60%"
earliest = "2026-01-01"
[sources.rest]
path = "drop/rest"
profile = "plain"
growing = true
after = "keep"
sparse_months = 2
[profiles.logger]
format = "csv"
time = "t"
sensor = { path = '^([^/]+)/' }
columns = ["v"]
rules = { v = { future = "1h" } }
[profiles.plain]
format = "csv"
time = "t"
sensor = { constant = "s" }
columns = ["v"]
"""
ROWS = "t,v\n2026-01-01T00:00:00Z,1\n"
FUTURE_ROW = "2199-01-01T00:00:00Z,1\n"
OLD = "2020-01-01T00:00:00Z,1\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if not app.registered_groups:
        commands.register(app)
    monkeypatch.chdir(tmp_path)
    Path("sensorflow.toml").write_text(PROJECT)
    for folder in ("drop/roof/s7", "drop/rest", "in/s7"):
        Path(folder).mkdir(parents=True)
    return tmp_path


def checked(*args: str) -> dict[str, object]:
    done = CliRunner().invoke(app, ["check", *args, "--json"])
    assert done.stdout, done.exception
    found = json.loads(done.stdout)
    found["codes"] = [r["code"].split()[0] for r in found["rejects"]]
    assert done.exit_code == (found["error"] is not None or found["refused"] is not None)
    return dict(found)


@pytest.mark.parametrize(
    ("path", "args"),
    [
        ("drop/roof/s7/x.csv", ["drop/roof/s7/x.csv"]),
        ("in/s7/x.csv", ["in", "--source", "roof"]),
        ("in/s7/x.csv", ["in", "-p", "logger"]),
    ],
)
def test_rules_bounds_tolerance_and_path_are_the_sources(
    project: Path, path: str, args: list[str]
) -> None:
    Path(path).write_text(ROWS + ROWS[4:] + FUTURE_ROW + OLD)
    found = checked(*args)
    assert (found["source"], found["codes"]) == ("roof", ["F156", "F109"])
    assert (found["sensors"], found["refused"]) == (1, None)  # 2 of 4, and 60 % are tolerated


def test_a_file_outside_is_read_as_if_it_were_dropped_into_the_folder(project: Path) -> None:
    Path("in/s7/x.csv").write_text(ROWS)
    error = checked("in/s7/x.csv", "--source", "roof")["error"]
    assert isinstance(error, dict)
    assert "in the path: 'x.csv'" in error["message"]


def test_a_name_that_the_source_passes_over_is_reported(project: Path) -> None:
    Path("drop/roof/s7/x.log").write_text(ROWS)
    assert "does not accept this name" in str(checked("drop/roof/s7/x.log")["refused"])


def test_of_a_growing_source_only_whole_lines_are_read(project: Path) -> None:
    Path("drop/rest/x.csv").write_text(ROWS + "2026-01-0")
    found = checked("drop/rest/x.csv")
    assert (found["valid"], found["rejected"]) == (1, 0)
    assert found["notes"] == ["9 bytes at the end are an incomplete line"]


def test_a_growing_source_takes_no_archive(project: Path) -> None:
    Path("drop/rest/x.csv").write_bytes(b"\x1f\x8b\x08\x00" * 9)
    error = checked("drop/rest/x.csv")["error"]
    assert isinstance(error, dict)
    assert "gzip" in error["message"]


def test_months_that_the_file_would_be_the_first_to_have_are_counted(project: Path) -> None:
    months = "".join(f"2020-{month:02d}-01T00:00:00Z,1\n" for month in range(1, 4))
    Path("drop/rest/x.csv").write_text("t,v\n" + months)
    assert str(checked("drop/rest/x.csv")["refused"]).startswith("F219")


def test_a_file_that_takes_too_long_is_refused(project: Path) -> None:
    text = PROJECT.replace("[profiles.plain]\n", "[profiles.plain]\nmax_seconds = 0\n")
    Path("sensorflow.toml").write_text(text)
    Path("drop/rest/x.csv").write_text(ROWS)
    error = checked("drop/rest/x.csv")["error"]
    assert isinstance(error, dict)
    assert error["code"].startswith("F215")


def test_an_unknown_source_is_a_misuse(project: Path) -> None:
    Path("x.csv").write_text(ROWS)
    done = CliRunner().invoke(app, ["check", "x.csv", "--source", "rof"])
    assert "no such source; known sources: roof, rest" in str(done.exception)
