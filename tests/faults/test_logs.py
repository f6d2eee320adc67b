"""Where no log line can be written, work goes on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from dropped_files import DroppedFiles
from fleet import fleet
from patience import PATIENCE


def test_fault_45_a_full_log_disk_ends_no_process(
    project: Path, database: str, valkey_url: str
) -> None:
    with fleet(project, database, valkey_url) as f:
        logs = [project / f"{name}.log" for name in ("daemon", "worker", "beat")]
        for log in logs:
            log.symlink_to("/dev/full")
        f.start("daemon", "worker", "beat")
        for log in logs:
            log.unlink()  # nobody can read it to its end
        drops = DroppedFiles(f)
        for number in range(3):
            drops.put(f"{number}.csv")
            f.wait(lambda number=number: f.counts()["loaded"] == number + 1)
        time.sleep(2)  # a sweep, and its line
        assert {name: p.poll() for name, p in f.running.items()} == dict.fromkeys(f.running)


def test_fault_45_closed_streams_and_a_pipe_that_nobody_reads_end_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    script = """
import os, sys
from sensorflow import lossy_stream, telemetry
lossy_stream.install()
telemetry.configure("INFO")
for n in range(1000):
    telemetry.emit(telemetry.Event.RECONCILED, "info", n=n)
    print("line", n)
sys.stdout.flush()
print("third", os.open("/", os.O_RDONLY) > 2, file=open("told", "w"))
"""
    for end in ("closed", "pipe", "full"):
        command = [sys.executable, "-c", script]
        read, write = os.pipe()
        os.close(read)
        full = os.open("/dev/full", os.O_WRONLY)
        target = {"pipe": write, "full": full}.get(end, full)
        close = (lambda: os.closerange(0, 3)) if end == "closed" else None
        done = subprocess.run(
            command, stdout=target, stderr=target, preexec_fn=close, check=False, timeout=PATIENCE
        )
        os.close(write)
        os.close(full)
        assert Path("told").read_text() == "third True\n", (end, done.returncode)
        Path("told").unlink()
