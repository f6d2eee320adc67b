"""A command that only says how it is used starts nothing heavy."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from patience import PATIENCE

from sensorflow.testing.project import write_settings

PROGRAM = """
import sys
from sensorflow.cli import main
sys.argv = ["sensorflow", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
heavy = {"pandas", "pyarrow", "numpy", "sqlalchemy", "celery"} & set(sys.modules)
print("heavy:", sorted(heavy))
"""
DAEMON = """
import sys
from sensorflow import bootstrap, daemon
print("heavy:", sorted({"pandas", "pyarrow", "numpy"} & set(sys.modules)))
"""
BEAT = """
import sys
from celery import signals
from celery.bin.celery import main

@signals.beat_init.connect
def ready(**_):
    heavy = sorted({"pandas", "pyarrow", "numpy"} & set(sys.modules))
    print("heavy:", heavy, file=sys.__stdout__)
    raise SystemExit

sys.argv = ["celery", "-A", "workers", "beat"]
main()
"""
SERVERS = {
    "broker_url": "redis://127.0.0.1:1/0",
    "database_url": "postgresql://127.0.0.1:1/none",
}
COMMANDS = (
    "init",
    "sniff",
    "check",
    "bench",
    "up",
    "status",
    "audit",
    "files",
    "quarantine",
    "db",
    "doctor",
)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["version"], *([name, "--help"] for name in COMMANDS)], ids="-".join
)
def test_help_imports_neither_arrow_nor_pandas(arguments: list[str]) -> None:
    command = [sys.executable, "-c", PROGRAM, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "heavy: []"


def test_the_daemon_takes_files_in_without_arrow() -> None:
    command = [sys.executable, "-c", DAEMON]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1:] == ["heavy: []"], done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("-c", "import workers.tasks, pyarrow; pyarrow.array([1.0])"),
        ("-m", "sensorflow", "check", "x.csv", "--profile", "long"),
    ],
    ids=["worker", "command"],
)
def test_workers_and_commands_leave_pandas_alone(tmp_path: Path, words: tuple[str, ...]) -> None:
    installed = tmp_path / "pandas"
    installed.mkdir()
    (installed / "__init__.py").write_text('raise SystemExit("pandas was imported")')
    (tmp_path / "x.csv").write_text("time,sensor,type,value,unit\n2026-01-31T12:00:00Z,a,b,1,c\n")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}"}
    done = subprocess.run(
        [sys.executable, *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr


ORPHAN = """
import subprocess, sys, time
from workers import process, signals
parent = subprocess.Popen([sys.executable, "-c", ""])
parent.wait()
process.parent = parent.pid  # noted before the fork; gone by now
signals.started()
time.sleep(30)
"""
UNFORKED = """
import os, time
from workers import process, signals
process.parent = os.getpid()
signals.started()
time.sleep(2)
"""


def test_a_child_whose_parent_ended_before_it_began_ends_too(tmp_path: Path) -> None:
    assert _ends_with(ORPHAN, tmp_path) == 1


def test_a_worker_that_does_not_fork_is_no_orphan(tmp_path: Path) -> None:
    """As with celery's pool `solo`."""
    assert _ends_with(UNFORKED, tmp_path) == 0


def _ends_with(program: str, home: Path) -> int:
    write_settings(home, {"plant": {}}, **SERVERS)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", program]
    return subprocess.run(
        command, cwd=home, env=environment, check=False, timeout=PATIENCE
    ).returncode


def test_beat_sends_the_sweeps_without_arrow(tmp_path: Path) -> None:
    write_settings(tmp_path, {"plant": {}}, **SERVERS)
    command = [sys.executable, "-c", BEAT]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1:] == ["heavy: []"], done.stderr
