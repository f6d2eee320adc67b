"""A stack of `sensorflow up` is moved from its disk into a bucket while it loads files."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import warm
from object_servers import BUCKET, Seaweed
from patience import PATIENCE

from sensorflow.embedded import state

HEAD = "time,sensor,type,value,unit\n"
FILES, ROWS = 30, 20
AREAS = ("landing", "bronze", "rejects", "silver", "quarantine")


def command(folder: Path, *words: str, code: int = 0) -> str:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("SENSORFLOW_")}
    done = warm.run(["sensorflow", *words], clean, folder)
    output = (done.stdout + done.stderr).decode()
    assert done.returncode == code, output
    return output


def asked(folder: Path, *words: str) -> Any:
    return json.loads(command(folder, *words, "--json"))


@contextmanager
def up(folder: Path) -> Iterator[None]:
    with (folder / "up.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "sensorflow", "up"], cwd=folder, stdout=log, stderr=log
        )
    try:
        while state.running(folder / "data") is None:
            assert process.poll() is None, (folder / "up.log").read_text()
            time.sleep(0.1)
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE)


def drop(folder: Path, number: int) -> None:
    lines = (
        f"2026-02-01T00:00:{second:02}Z,s{number},temperature,{number + second},degC\n"
        for second in range(ROWS)
    )
    target = folder / "drop" / "readings" / f"{number}.csv"
    target.with_suffix(".part").write_text(HEAD + "".join(lines))
    target.with_suffix(".part").rename(target)


def wait_for(folder: Path, files: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        found = asked(folder, "status")
        if sum(s["rows_loaded"] for s in found["sources"].values()) == files * ROWS:
            return
        assert time.monotonic() < deadline, command(folder, "files", "ls")
        time.sleep(1)


@pytest.fixture(autouse=True)
def nothing_is_left_behind(project: Path) -> Iterator[None]:
    yield
    shutil.rmtree(state.home(project / "data"), ignore_errors=True)


def test_a_stack_is_moved_into_a_bucket_while_it_loads(
    project: Path, seaweed: Seaweed, s3_environment: None
) -> None:
    (project / "drop").rmdir()
    command(project, "init")
    settings = project / "sensorflow.toml"
    without = settings.read_text()
    storage = (
        f'\n[storage]\ndata = "s3://{BUCKET}/{uuid.uuid4()}"\nendpoint = "{seaweed.endpoint}"\n'
    )
    with up(project):
        for number in range(FILES):
            drop(project, number)
        wait_for(project, FILES)
    settings.write_text(f'{without}{storage}previous = "data"\n')
    with up(project):
        arriving = threading.Thread(
            target=lambda: [drop(project, FILES + number) for number in range(FILES)]
        )
        arriving.start()
        migrate = [sys.executable, "-m", "sensorflow", "storage", "migrate"]
        killed = subprocess.Popen(migrate, cwd=project)
        time.sleep(4)
        killed.kill()
        killed.wait()
        done = asked(project, "storage", "migrate")
        assert done["problems"] == []
        assert done["copied"] + done["present"] + done["already_copied"] == done["objects"]
        arriving.join()
        wait_for(project, 2 * FILES)
        assert "every one accounted for" in command(project, "audit", "--checksum")
    settings.write_text(without + storage)
    for area in AREAS:
        shutil.rmtree(project / "data" / area, ignore_errors=True)
    with up(project):
        drop(project, 2 * FILES)
        wait_for(project, 2 * FILES + 1)
        assert "every one accounted for" in command(project, "audit", "--checksum")
        counts = asked(project, "status")["sources"]["readings"]
        assert counts.get("quarantined", 0) == 0
