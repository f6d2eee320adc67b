"""A command that only says how it is used starts nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

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
