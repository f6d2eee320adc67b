"""No text of a file makes a terminal do anything, by whatever command or log it is shown."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import warm
from project_driver import ProjectDriver

from sensorflow.cli.files import app as files
from sensorflow.cli.quarantine import app as quarantine
from sensorflow.cli.rejects import app as rejects

HOSTILE = "\x1b[2J\x9b31m\x7f\x07\u202e\u2066"
"""Clears the screen, colours, rings, turns the reading direction round."""
HEAD = "time,sensor,type,value,unit\n"
ROW = "2026-01-01T00:00:0{}Z,{},{},{},{}\n"
GOOD = HEAD + "".join(
    ROW.format(n, f"s{HOSTILE}", f"k{HOSTILE}", 1.5, f"u{HOSTILE}") for n in (1, 2)
)
BAD_ROW = ROW.format(3, f"s{HOSTILE}", f"k{HOSTILE}", HOSTILE, "u")
BAD_FILE = HEAD.replace("sensor", f"sensor{HOSTILE}") + ROW.format(1, "s", "k", 1, "u")
NAME = f"a{HOSTILE}.csv".replace("\x07", "")


@pytest.fixture
def driver(project: Path, database: str) -> Iterator[ProjectDriver]:
    project_driver = ProjectDriver(project, database, {"max_rejects": "90%"})
    project_driver.load(NAME, (GOOD + BAD_ROW).encode())
    project_driver.quarantine(f"b{NAME}", BAD_FILE.encode())
    yield project_driver
    project_driver.close()


def harmless(text: str) -> bool:
    return all(c.isprintable() or c == "\n" for c in text)


@pytest.mark.parametrize(
    "words",
    [
        *(
            (files, w)
            for w in ("ls", "ls --json", "show 1", "show 2", "show 1 --json", "show 2 --json")
        ),
        *((quarantine, w) for w in ("ls", "ls --json", "show 2")),
        *(
            (rejects, w)
            for w in ("ls", "ls --json", "show 1", "show 1 --json", "stats", "stats --json")
        ),
    ],
    ids=lambda w: f"{w[0].info.help} {w[1]}",
)
def test_what_commands_print_of_a_file(driver: ProjectDriver, words: tuple[object, str]) -> None:
    app, line = words
    done = driver.invoke(app, *line.split())  # type: ignore[arg-type]
    assert done.exit_code == 0, done.output
    assert done.output
    assert harmless(done.output)


def test_manifests_ledger_and_audit(driver: ProjectDriver) -> None:
    manifest = next((driver.data / "quarantine").rglob("manifest.json")).read_text()
    assert harmless(manifest)
    assert HOSTILE not in str(json.loads(manifest))
    assert harmless(driver.fact(2, "error_detail"))
    assert "x1b" in driver.fact(2, "error_detail")
    driver.landed(1).unlink()
    assert harmless(driver.run().output)


def exported(driver: ProjectDriver, *words: str, terminal: bool = False) -> str:
    command = ["sensorflow", "rejects", "export", *words]
    env = {**os.environ, "SENSORFLOW_CONFIG": str(driver.config)}
    if not terminal:
        done = warm.run(command, env, driver.project)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode()
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", *command], env=env, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        found = b""
        while True:
            try:
                block = os.read(ours, 65536)
            except OSError:  # nobody has its other end open
                break
            found += block
        os.close(ours)
        assert process.wait() == 0
    return found.decode().replace("\r\n", "\n").rstrip("\r")


def test_an_export_is_exact_in_a_file_and_a_pipe_and_harmless_on_a_terminal(
    driver: ProjectDriver,
) -> None:
    to = driver.project / "rejects.csv"
    exported(driver, "--to", str(to))
    assert BAD_ROW.strip() in to.read_text("utf-8")
    assert BAD_ROW.strip() in exported(driver)
    assert harmless(exported(driver, terminal=True).replace("\r", ""))


@pytest.mark.parametrize("terminal", [True, False])
def test_a_log_of_such_texts(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    import structlog

    from sensorflow import telemetry

    class Stream(io.StringIO):
        def isatty(self) -> bool:
            return terminal

    stream = Stream()
    monkeypatch.setattr("sys.stderr", stream)
    telemetry.configure()
    try:
        telemetry.emit(telemetry.Event.FILE_SKIPPED, "warning", name=HOSTILE, why=[HOSTILE])
    finally:
        structlog.reset_defaults()
    output = stream.getvalue()
    assert "x1b" in output or "u001b" in output
    assert not any(c in output for c in ("\x1b[2J", "\x9b", "\x7f", "\x07", "\u202e", "\u2066"))
