"""What measures can be run: nothing else in the suite calls it."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
from packaging.requirements import Requirement

from benchmarks import inputs
from sensorflow.embedded.postgres import Postgres

ROOT = Path(__file__).parents[2]
MODULES = sorted(
    path.stem for path in (ROOT / "benchmarks").glob("*.py") if not path.stem.startswith("__")
)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RIVALS = {
    Requirement(line).name.partition("-")[0] for line in PROJECT["optional-dependencies"]["bench"]
}
"""Packages that only `make bench` installs, and what they bring."""


@pytest.mark.parametrize("name", MODULES)
def test_a_benchmark_can_be_imported(name: str) -> None:
    assert missing(name) in {None, *RIVALS}


def missing(name: str) -> str | None:
    """The package for want of which a benchmark cannot be imported."""
    try:
        import_module(f"benchmarks.{name}")
    except ModuleNotFoundError as error:
        return (error.name or "").partition(".")[0]
    return None


def test_a_benchmark_measures_and_writes_down_what_it_found(tmp_path: Path) -> None:
    found, options = tmp_path / "found.json", ("--rows", "300", "--repeat", "1")
    command = [sys.executable, "-m", "benchmarks", "formats", *options, "--json", str(found)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    cases = json.loads(found.read_text())["runs"]["formats"]["cases"]
    assert {case["name"] for case in cases} >= {"csv", "jsonl", "parquet", "xlsx"}


def test_a_stand_takes_files_all_the_way(tmp_path: Path, postgres: Postgres, database: str) -> None:
    from benchmarks.stand import BenchmarkFleet

    server = SimpleNamespace(url=database, process=postgres.process)
    bench_fleet = BenchmarkFleet(tmp_path, server, max_attempts=1)  # type: ignore[arg-type]
    try:
        took = bench_fleet.take(inputs.many(tmp_path / "inputs", 20, 2), "csv")
        assert (took.files, bench_fleet.rows()) == (2, 20)
    finally:
        bench_fleet.close()


@pytest.mark.plain("the benchmark fills the partitions of months")
def test_the_questions_of_dashboards_have_the_same_answers_in_gold(database: str) -> None:
    from benchmarks import reading_data
    from benchmarks.reading_questions import questions

    with psycopg.connect(database, autocommit=True, options="-c timezone=UTC") as c:
        reading_data.fill(c, 60_000)
        reading_data.fill_gold(c)
        for question in (q for q in questions() if q.now):
            values = question.values({})
            found = [c.execute(text, values).fetchall() for text in (question.before, question.now)]  # type: ignore[arg-type]
            assert len(found[0]) == len(found[1]) > 0
            if question.days is None:  # readings of a minute are not their mean
                assert [row[:2] for row in found[0]] == [row[:2] for row in found[1]]
                assert [row[-1] for row in found[0]] == pytest.approx([row[-1] for row in found[1]])
