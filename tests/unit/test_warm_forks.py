"""Processes that a fork of `tests/warm.py` starts, and which are forks too."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
import warm
from fleet import state_of
from patience import PATIENCE

STARTER = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-m", "started", "is started"])
print(child.pid, flush=True)
print("code", child.wait(), flush=True)
"""
STARTED = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
print(sys.argv[1], os.getpid(), "sensorflow.bootstrap" in sys.modules, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 7), (signal.SIGKILL, -9)])
def test_it_has_all_imports_gets_signals_and_ends_with_the_process_that_was_started(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    (tmp_path / "starter.py").write_text(STARTER)
    (tmp_path / "started.py").write_text(STARTED)
    log = tmp_path / "out"
    with log.open("wb") as out:
        env = {**os.environ, "PYTHONPATH": str(tmp_path)}
        descriptor = out.fileno()
        starter = warm.Process(
            ["starter"], env, tmp_path, descriptor, descriptor, with_children=True
        )
    until(lambda: log.read_text().count("\n") == 2, log)
    [(child, *_), (*_, fork, imported)] = sorted(map(str.split, log.read_text().splitlines()))
    assert imported == "True"
    os.kill(int(child), number)
    assert starter.wait(PATIENCE) == 0
    assert log.read_text().endswith(f"code {code}\n")
    until(lambda: state_of(int(fork)) in ("", "Z"), log)


def until(done: object, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    assert callable(done)
    while not done():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
