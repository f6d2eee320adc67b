"""`sensorflow up` and the installed wheel, as a user runs them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest
import warm
from installed import from_wheel
from patience import PATIENCE

from sensorflow.adapters.postgres import migrate
from sensorflow.embedded import state

HEAD = "time,sensor,type,value,unit\n"
ROW = "2026-01-31T12:00:{:02}Z,tank-7,temperature,{},degC\n"
PROGRAM = [sys.executable, "-m", "sensorflow"]


def sensorflow(
    program: list[str], folder: Path, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """In a fork of a process that has the imports, unless it is by another Python."""
    command = [*program, *arguments]
    if program == PROGRAM:
        done = warm.run(command[2:], clean(), folder)
    else:
        done = subprocess.run(command, cwd=folder, env=clean(), capture_output=True, check=False)
    output = (done.stdout.decode(), done.stderr.decode())
    return subprocess.CompletedProcess(command, done.returncode, *output)


def clean() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("SENSORFLOW_")}


@contextmanager
def up(
    program: list[str], folder: Path, cold: bool = False
) -> Iterator[subprocess.Popen[bytes] | warm.Process]:
    """cold: each process of the stack starts Python anew."""
    process: subprocess.Popen[bytes] | warm.Process
    with (folder / "up.log").open("ab") as log:
        if cold or program != PROGRAM:
            command = [*program, "up"]
            process = subprocess.Popen(command, cwd=folder, env=clean(), stdout=log, stderr=log)
        else:
            process = warm.up(folder, clean(), log.fileno())
    try:
        running = state.home(folder / "data") / "running.json"
        wait(lambda: running.exists() and status(PROGRAM, folder) is not None, folder)
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(PATIENCE)


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A folder whose name every shell, URL and configuration file takes for something else."""
    folder = tmp_path / 'my plant\'s "é" (2)'
    folder.mkdir()
    return folder


@pytest.fixture(autouse=True)
def nothing_is_left_behind(tmp_path: Path) -> Iterator[None]:
    """As root the servers' data lies elsewhere."""
    yield
    for folder in (tmp_path, *(path for path in tmp_path.iterdir() if path.is_dir())):
        shutil.rmtree(state.home(folder / "data"), ignore_errors=True)


def status(program: list[str], folder: Path) -> dict[str, object] | None:
    done = sensorflow(program, folder, "status", "--json")
    return json.loads(done.stdout) if done.returncode == 0 else None


def loaded(program: list[str], folder: Path) -> int:
    found = status(program, folder)
    assert found is not None
    assert found["balanced"]
    sources = found["sources"]
    assert isinstance(sources, dict)
    return sum(s["rows_loaded"] for s in sources.values())


def wait(done: Callable[[], bool], folder: Path, seconds: float = PATIENCE) -> None:
    """Most of what is asked starts a command: the stack has the machine for three quarters of the time."""
    deadline = time.monotonic() + seconds
    asked = time.monotonic()
    while not done():
        if time.monotonic() > deadline:
            raise AssertionError((folder / "up.log").read_text())
        time.sleep(max(0.2, 3 * (time.monotonic() - asked)))
        asked = time.monotonic()


def family(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def end(pid: int, command: str) -> None:
    """Kill what runs below a process by this command."""
    (found,) = [p for p in family(pid) if command in p.cmdline()]
    found.kill()


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def test_a_killed_stack_in_an_odd_folder_leaves_no_process_and_resumes(odd: Path) -> None:
    """Also when the file of the database's password is lost."""
    program, project = PROGRAM, odd
    assert sensorflow(program, project, "init").returncode == 0
    drop = project / "drop" / "readings"
    settings = project / "sensorflow.toml"
    settings.write_text('log_size = "64 KiB"\nlog_files = 1\n' + settings.read_text())
    with up(program, project, cold=True) as process:
        (drop / "first.csv").write_text(HEAD + ROW.format(0, 21.5))
        wait(lambda: loaded(program, project) == 1, project)
        wait(lambda: "ready  " in (project / "up.log").read_text(), project)
        shell = ("db", "shell", "-Atc", "SELECT sensor_id FROM raw_readings")
        assert sensorflow(program, project, *shell).stdout == "tank-7\n"
        doctor = sensorflow(program, project, "doctor")
        assert doctor.returncode == 0, doctor.stdout
        output = sensorflow(program, project, "logs", "worker", "daemon").stdout
        assert output.index("daemon.started") < output.index("file.loaded file_id=1")
        beat = project / "data" / "logs" / "beat.log"
        with beat.open("ab") as log:
            log.write(b"x" * 70_000 + b"\n")
        wait(lambda: beat.stat().st_size < 65_536, project)
        assert beat.with_name("beat.log.1").stat().st_size > 60_000
        children = family(process.pid)
        names = {c.name() for c in children}
        assert {"postgres", "valkey-server"} <= names
        (drop / "second.csv").write_text(HEAD + ROW.format(1, 22.5))
        process.kill()
        process.wait()
        psutil.wait_procs(children, timeout=15)
        assert alive(children) == []
    (state.home(project / "data") / "postgres-password").unlink()
    with up(program, project) as process:
        wait(lambda: loaded(program, project) == 2, project)
        children = family(process.pid)
    assert process.returncode == 0
    assert alive(children) == []


def test_an_edit_is_taken_over_by_the_running_stack_and_a_second_stack_is_refused(
    project: Path,
) -> None:
    program = PROGRAM
    sensorflow(program, project, "init")
    settings = project / "sensorflow.toml"
    with up(program, project):
        second = sensorflow(program, project, "up")
        assert second.returncode == 2
        assert "already running" in second.stderr
        assert "Traceback" not in second.stderr
        (project / "drop" / "readings" / "half.csv").write_text(
            HEAD + ROW.format(0, 21.5) + ROW.format(1, "x")
        )
        quarantined = ("quarantine", "ls", "--json")
        wait(lambda: "F204" in sensorflow(program, project, *quarantined).stdout, project)
        settings.write_text(settings.read_text().replace('"10%"', '"50 percent"'))
        wait(
            lambda: "continues with its previous settings" in (project / "up.log").read_text(),
            project,
        )
        original = settings.read_text()
        settings.write_text("")  # as an editor may leave it for a moment
        wait(
            lambda: "sensorflow.toml has no [sources.NAME]" in (project / "up.log").read_text(),
            project,
        )
        settings.write_text(original.replace('"50 percent"', '"50%"'))
        wait(
            lambda: "are restarting with the new settings" in (project / "up.log").read_text(),
            project,
        )
        assert sensorflow(program, project, "quarantine", "replay", "1").returncode == 0
        wait(lambda: loaded(program, project) == 1, project)
        shell = ("db", "shell", "-c", "SELECT sensor_id FROM raw_readings")
        assert "tank-7" in sensorflow(program, project, *shell).stdout


def test_an_edit_holds_for_the_database_too_as_soon_as_it_can(
    project: Path, empty_database: str
) -> None:
    """And as a whole: nothing is written to the old database that the commands do not show."""
    program = PROGRAM
    sensorflow(program, project, "init")
    settings, drop = project / "sensorflow.toml", project / "drop" / "readings"
    with up(program, project) as process:
        (drop / "first.csv").write_text(HEAD + ROW.format(0, 21.5))
        wait(lambda: loaded(program, project) == 1, project)
        text = settings.read_text()
        with psycopg.connect(empty_database) as connection:
            connection.execute("CREATE TABLE files ()")  # somebody else's
        settings.write_text(f'database_url = "{empty_database}"\n{text}')
        wait(lambda: "DuplicateTable" in (project / "up.log").read_text(), project)
        with psycopg.connect(empty_database) as connection:
            connection.execute("DROP TABLE files")
        text = text.replace('"drop/readings"', '"drop/later"')
        # the data folder belongs to the project of the old database
        (project / "new").mkdir()
        text = f'database_url = "{empty_database}"\n{text}\n[storage]\ndata = "./new"\n'
        settings.write_text(text)
        wait(lambda: "no folder" in (project / "up.log").read_text(), project)
        assert "running settings" in sensorflow(program, project, "doctor").stdout
        assert "with other settings than" in sensorflow(program, project, "status").stdout
        end(process.pid, "watch")
        (drop / "between.csv").write_text(HEAD + ROW.format(2, 23.5))
        wait(lambda: not (drop / "between.csv").exists(), project)  # all start again as they were
        (project / "drop" / "later").mkdir()
        wait(
            lambda: "are restarting with the new settings" in (project / "up.log").read_text(),
            project,
        )
        (project / "drop" / "later" / "second.csv").write_text(HEAD + ROW.format(1, 22.5))
        wait(lambda: loaded(program, project) == 1, project)
        with psycopg.connect(empty_database) as connection:
            found = connection.execute("SELECT value FROM raw_readings").fetchall()
        assert found == [(22.5,)]
        assert "running settings" not in sensorflow(program, project, "doctor").stdout


def test_the_wheel_works_in_an_empty_folder_without_the_checkout(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    python, site = from_wheel(tmp_path)
    program = [python, "-m", "sensorflow"]
    where = [program[0], "-c", "import sensorflow; print(sensorflow.__file__)"]
    shown = subprocess.run(where, cwd=empty, capture_output=True, text=True, check=True)
    assert str(site) in shown.stdout
    assert sensorflow(program, empty, "up").returncode == 2  # there is no project yet
    assert sensorflow(program, empty, "init").returncode == 0
    assert f"-> {migrate.head()}" in sensorflow(program, empty, "db", "upgrade").stdout
    with up(program, empty):
        drop = empty / "drop" / "readings"
        (drop / "first.csv").write_text(HEAD + ROW.format(0, 21.5) + ROW.format(1, 22))
        wait(lambda: loaded(PROGRAM, empty) == 2, empty)
        assert loaded(program, empty) == 2
        listed = json.loads(sensorflow(program, empty, "files", "ls", "--json").stdout)
        assert [(f["key_text"], f["state"]) for f in listed] == [("first.csv", "loaded")]
        doctor = sensorflow(program, empty, "doctor")
        assert doctor.returncode == 0, doctor.stdout
