"""Between `init` and the first rows: one line says what is wrong, and what to do."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sensorflow import bootstrap, cli, disk
from sensorflow.adapters import host
from sensorflow.cli import flower, project
from sensorflow.cli.hung import Hung
from sensorflow.cli.init import write
from sensorflow.cli.ready import Pauses, ProcessProblems, Readiness
from sensorflow.core.heartbeat import LoopReport, Role
from sensorflow.embedded import postgres, state
from sensorflow.embedded.process import Process, cause, free_port, saved_port
from sensorflow.embedded.stack import Supervisor
from sensorflow.errors import Code, UsageError
from sensorflow.folders import data_fault, folder_fault, require_data
from sensorflow.settings import Settings, load
from sensorflow.testing.ledger.ledger import MemoryLedger

CSV = "time,sensor,type,value,unit\n2026-01-31T12:00:00Z,tank-7,temperature,21.5,degC\n"
ODD = 'my plant\'s "é" $HOME `x` \\ (2)'


@pytest.fixture(autouse=True)
def no_settings_but_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in os.environ if n.startswith("SENSORFLOW_")]:
        if name != "SENSORFLOW_TESTING":
            monkeypatch.delenv(name)


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["sensorflow", *arguments])
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def as_ordinary_user(work: Callable[[], object]) -> str:
    """What it returns or raises, as root in a process of another user: root may do anything."""
    if os.geteuid() != 0:
        return str(work())
    out, into = os.pipe()
    if (child := os.fork()) == 0:
        os.setgid(65534)
        os.setuid(65534)
        try:
            output = str(work())
        except BaseException as error:  # noqa: BLE001 - it is for the parent to judge
            output = repr(error)
        os.write(into, output.encode())
        os._exit(0)
    os.close(into)
    with os.fdopen(out, "rb") as stream:
        output = stream.read().decode()
    os.waitpid(child, 0)
    return output


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that an ordinary user can reach, unlike pytest's."""
    folder = Path("/tmp") / f"starting-{os.getpid()}"
    folder.mkdir()
    folder.chmod(0o755)
    yield folder
    for path in folder.rglob("*"):
        if path.is_dir():
            path.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    "command",
    [
        ["up"],
        ["status"],
        ["doctor"],
        ["files", "ls"],
        ["quarantine", "ls"],
        ["db", "upgrade"],
        ["watch"],
        ["worker"],
        ["audit"],
    ],
    ids=" ".join,
)
def test_outside_of_a_project_a_command_says_so_and_makes_none(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, *command) == 2
    output = capsys.readouterr().err
    assert output.startswith(f"sensorflow: no sensorflow.toml at or above {tmp_path}: ")
    assert all(word in output for word in ("sensorflow init", "cd to", "SENSORFLOW_CONFIG"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "command",
    [["version"], ["profiles", "ls"], ["sniff", "a.csv"], ["check", "a.csv"], ["db", "roles"]],
    ids=" ".join,
)
def test_what_needs_no_project_works_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    (tmp_path / "a.csv").write_text(CSV)
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, *command) == 0


@pytest.mark.parametrize(
    ("variables", "enough"),
    [
        ({"SENSORFLOW_DATABASE_URL": "postgresql://h/d"}, True),
        ({"SENSORFLOW_SOURCES__X__PATH": "drop", "SENSORFLOW_SOURCES__X__PROFILE": "long"}, True),
        ({"SENSORFLOW_DATA": "data"}, True),
        ({"SENSORFLOW_RESCAN": "5", "SENSORFLOW_PORT": "tcp://10.0.0.1"}, False),
    ],
)
def test_variables_alone_make_a_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], enough: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    if enough:
        assert bootstrap.settings().home == tmp_path
    else:
        with pytest.raises(UsageError, match=r"no sensorflow\.toml"):
            bootstrap.settings()


@pytest.mark.parametrize(
    ("variables", "begin"),
    [
        ({"READINGS__AFTER": "kep"}, "{0}READINGS__AFTER: sources.readings.after = 'kep'"),
        ({"READINGS__AFTR": "keep"}, "{0}READINGS__AFTR: unknown key"),
        ({"READINGS__PROFILE": "lonk"}, "{0}READINGS__PROFILE: sources.readings.profile"),
        ({"X__AFTER": "keep"}, "{0}X__AFTER: sources.x.path: is required"),
        (
            {"READINGS__AFTER__X": "1"},
            "{0}READINGS__AFTER__X needs the table sources.readings.after",
        ),
        (
            {"B__PATH": "drop/readings/b", "B__PROFILE": "long"},
            "{0}B__PATH: sources.b.path is inside of",
        ),
        ({"READINGS__GROWING": "true"}, "{1} with {0}READINGS__GROWING: sources.readings: growing"),
        ({"READINGS__MAX_REJECTS": "x"}, "{0}READINGS__MAX_REJECTS: "),
    ],
)
def test_a_mistake_in_a_variable_names_the_variable(
    tmp_path: Path, variables: dict[str, str], begin: str
) -> None:
    path = write(tmp_path)
    with pytest.raises(UsageError) as caught:
        load(path, {f"SENSORFLOW_SOURCES__{name}": value for name, value in variables.items()})
    assert str(caught.value).startswith(begin.format("SENSORFLOW_SOURCES__", path))


def test_a_mistake_in_the_file_beside_variables_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "sensorflow.toml"
    path.write_text('[sources.a-B]\npath = "x"\n')
    with pytest.raises(UsageError, match=r"sensorflow.toml: sources.a-B.profile: is required"):
        load(path, {"SENSORFLOW_SOURCES__A_B__AFTER": "keep"})
    path.write_text('[sources.a-B]\npath = "x"\nprofile = "long"\n')
    found = load(path, {"SENSORFLOW_SOURCES__A_B__AFTER": "keep"})  # as no variable can spell it
    assert found.sources["a-B"].after == "keep"


def test_a_drop_path_that_is_no_folder_is_told_apart_from_one_that_is_missing(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "it's here"
    missing = folder_fault(folder)
    assert missing is not None
    assert f"mkdir -p '{tmp_path}/it'\"'\"'s here'" in missing[1]
    folder.write_text("")
    for path in (folder, folder / "below"):
        found = folder_fault(path)
        assert found is not None
        assert "is a file" in found[0]
        assert "mkdir" not in found[1]


def test_folders_that_cannot_be_read_or_written_are_named(open_folder: Path) -> None:
    def fault(folder: Path, mode: int, after: str) -> str:
        folder.mkdir(exist_ok=True)
        folder.chmod(mode)
        return as_ordinary_user(lambda: folder_fault(folder, after))

    drop = open_folder / "drop"
    assert "may not read" in fault(drop, 0o000, "keep")
    assert "may not move files out" in fault(drop, 0o555, "archive")
    assert fault(drop, 0o555, "keep") == "None"
    (open_folder / "closed").mkdir(mode=0o000)
    assert "ermission" in as_ordinary_user(lambda: folder_fault(open_folder / "closed" / "drop"))
    assert "may not write" in as_ordinary_user(lambda: data_fault(open_folder / "data"))


@pytest.mark.parametrize(("mode", "after"), [(0o644, 0o644), (0o660, 0o600), (0o604, 0o600)])
def test_its_owner_adds_to_a_file_whose_group_is_none_of_his(
    open_folder: Path, mode: int, after: int
) -> None:
    path = open_folder / "sensorflow.toml"
    path.touch()
    path.chmod(mode)
    if root := os.geteuid() == 0:
        os.chown(open_folder, 65534, 65534)
        os.chown(path, 65534, 0)
    assert as_ordinary_user(lambda: project._write(path, "new")) == "None"
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == (after if root else mode)


def test_a_data_folder_that_is_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(UsageError, match=r"data = 'data': .* is a file, not a folder"):
        require_data(Settings(home=tmp_path))
    with pytest.raises(UsageError, match="is not a folder"):
        write_beside(tmp_path)


def write_beside(folder: Path) -> None:
    (folder / "drop").mkdir()
    (folder / "drop" / "readings").write_text("")
    write(folder)


def test_an_error_of_the_system_is_one_line_or_none() -> None:
    def message_of(number: int, path: str | None = "/none/x") -> str | None:
        return disk.explained(OSError(number, os.strerror(number), path))

    full, denied = message_of(errno.ENOSPC), message_of(errno.EACCES)
    assert full is not None
    assert "free on /" in full
    assert denied is not None
    assert f"permission denied for user {disk.user()}" in denied
    assert message_of(errno.EROFS) is not None
    assert "df -h" in str(message_of(errno.ENOSPC, None))
    assert message_of(errno.ECONNREFUSED) is None
    assert message_of(errno.ENOENT, None) is None


@pytest.mark.parametrize(
    ("log", "line"),
    [
        (
            "LOG:  x\nFATAL:  no lock file: No space left on device\nLOG:  database system is shut down",
            "FATAL:  no lock file: No space left on device",
        ),
        (
            "FATAL:  database files are incompatible with server\nDETAIL:  initialized by 15.\n",
            "FATAL:  database files are incompatible with server (initialized by 15.)",
        ),
        (
            "creating directory /x ... ok\ninitdb: error: no locale\ninitdb: removing data directory",
            "initdb: error: no locale",
        ),
        (
            "Traceback (most recent call last):\n  File x\nOSError: [Errno 98] Address in use\n",
            "OSError: [Errno 98] Address in use",
        ),
        ("one\ntwo\n", "two"),
        ("", ""),
    ],
)
def test_of_a_log_the_line_is_shown_that_says_why(log: str, line: str) -> None:
    assert cause(log.splitlines()) == line


@pytest.mark.parametrize("content", ["", "x", "99999", "-1"])
def test_a_spoilt_file_of_a_port_is_written_anew(tmp_path: Path, content: str) -> None:
    path = tmp_path / "port"
    path.write_text(content)
    port, message = saved_port(path, "Valkey")
    assert (path.read_text(), message) == (str(port), "")
    assert saved_port(path, "Valkey") == (port, "")


def test_a_server_that_moves_to_another_port_says_who_has_its_own(tmp_path: Path) -> None:
    with taken_port() as wanted:
        (tmp_path / "port").write_text(str(wanted))
        port, message = saved_port(tmp_path / "port", "PostgreSQL")
    assert f"port {wanted} is in use by" in message
    assert f"(pid {os.getpid()}); PostgreSQL uses port {port}" in message


def test_flower_moves_from_its_usual_port_and_not_from_one_that_was_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with taken_port() as wanted:
        with pytest.raises(UsageError, match=f"flower_port = {wanted}: this port is in use by"):
            flower.port_for(Settings(flower_port=wanted))
        usual = Settings.model_construct(_fields_set=set(), flower_port=wanted)
        port = flower.port_for(usual)
        assert f"port {wanted} is in use by" in capsys.readouterr().out
        ended = Process("flower", ["true", f"--port={wanted}"], Path(os.devnull))
        ended.start()
        while ended.is_alive:
            pass
        new = flower.another_port([ended], usual, wanted)
        assert ended.command == ["true", f"--port={new}"]
        assert wanted not in (port, new)
    assert flower.another_port([ended], usual, new) == new


def test_a_password_file_that_a_full_disk_left_empty_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "word").write_text("")
    assert len(word := state.secret(tmp_path / "word")) > 20
    assert state.secret(tmp_path / "word") == word


def test_the_server_runs_from_a_path_that_initdb_cannot_work_with(tmp_path: Path) -> None:
    """A shell starts it, with its path between double quotes as it is."""
    package = postgres.binaries().parent.parent
    postgres._copy(package, tmp_path / ODD, postgres._link)
    with postgres._plainly_named(tmp_path / ODD / package.name / "pginstall" / "bin") as plain:
        assert set('"$`\\').isdisjoint(str(plain))
        shown = subprocess.run([plain / "postgres", "-V"], capture_output=True, check=True)
        assert b"PostgreSQL" in shown.stdout
    assert not plain.exists()


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Supervisor]:
    """A daemon and a worker that live, and say nothing."""
    processes = [
        Process(name, ["sleep", "60"], tmp_path / f"{name}.log") for name in ("daemon", "worker")
    ]
    supervisor = Supervisor(processes)
    supervisor.start()
    yield supervisor
    supervisor.stop()


def test_ready_is_said_once_when_daemon_and_workers_answer(fleet: Supervisor) -> None:
    ledger = MemoryLedger()
    ready = Readiness(fleet, lambda: ledger)

    def news() -> list[str]:
        ready._next = 0.0
        return list(ready.news())

    def beat(role: Role, pid: int | None) -> None:
        assert pid is not None
        process = f"{' '.join(host.process().split(' ')[:2])} {pid} {host._start(pid)}"
        ledger.record_report(LoopReport(role, socket.gethostname(), pid, process, "x"))

    daemon, worker = (process.pid for process in fleet.processes)
    beat(Role.WORKER, os.getpid())  # of another stack on the same database
    beat(Role.INTAKE, daemon)
    assert news() == []
    beat(Role.PUBLISHER, daemon)
    assert news() == []
    beat(Role.WORKER, worker)
    (line,) = news()
    assert line.startswith("ready ")
    assert news() == []


def test_a_pause_and_its_end_are_printed_once(fleet: Supervisor) -> None:
    ledger = MemoryLedger()
    daemon, _ = (process.pid for process in fleet.processes)
    assert daemon is not None
    pauses = Pauses(fleet, lambda: ledger)

    def look(pid: int, **state: object) -> list[str]:
        ledger.record_report(LoopReport(Role.INTAKE, "h", pid, host.identity(pid), "x", state))
        pauses._next = 0.0
        return list(pauses.news())

    full = {"code": str(Code.DISK_RESERVE), "reason": "90 MiB free", "do": "free space"}
    assert look(os.getpid(), paused=full) == []  # of another stack
    ledger.remove_reports(host.identity(os.getpid()))
    assert look(daemon) == []
    assert look(daemon, paused=full) == [
        "intake is paused: I513 disk-reserve-reached: 90 MiB free",
        "  free space",
    ]
    assert look(daemon, paused=full | {"reason": "89 MiB free"}) == []
    assert look(daemon) == ["intake works again"]


@pytest.mark.parametrize("role", [Role.INTAKE, Role.PUBLISHER])
def test_a_daemon_of_which_a_loop_hangs_is_ended_and_no_other(
    fleet: Supervisor, role: Role
) -> None:
    now = datetime.now(UTC)
    ledger = MemoryLedger(clock=lambda: now)
    daemon, worker = (process.pid for process in fleet.processes)
    hung = Hung(fleet, lambda: ledger)

    def beat(role: Role, pid: int | None) -> None:
        assert pid is not None
        ledger.record_report(LoopReport(role, "h", pid, host.identity(pid), "x"))

    def look(after: float) -> list[str]:
        nonlocal now
        now += timedelta(seconds=after)
        hung._next = 0.0
        return list(hung.news())

    for part, pid in ((Role.WORKER, worker), (Role.BEAT, os.getpid()), (role, daemon)):
        beat(part, pid)
    assert look(130.0) == []
    beat(role, daemon)  # as after an outage of the database
    assert [look(1.0), look(129.0)] == [[], []]
    assert fleet.processes[0].is_alive
    (line,) = look(30.0)
    assert f"daemon (pid {daemon}) hangs: its {role} loop has made no progress for 160 s" in line
    while fleet.processes[0].is_alive:
        pass
    assert fleet.processes[1].is_alive


def test_after_a_while_it_is_said_which_process_does_not_answer(
    fleet: Supervisor, tmp_path: Path
) -> None:
    (tmp_path / "worker.log").write_text("sensorflow: Bad luck\n")
    ready = Readiness(fleet, MemoryLedger, limit=0.0)
    daemon, worker = ready.news()
    assert daemon.startswith("daemon does not answer yet after 0 s: no reason given; its log: ")
    assert f"its log: {tmp_path / 'worker.log'}" in worker
    assert "Bad luck" in worker
    ready._next = 0.0
    assert list(ready.news()) == []


def test_a_full_disk_is_named_once_and_so_is_the_room_that_returns(tmp_path: Path) -> None:
    failures = ProcessProblems((tmp_path, tmp_path), full=1 << 62)

    def news() -> list[str]:
        failures._next = 0.0
        return list(failures.news([]))

    messages = news()
    assert f"the disk of {tmp_path} is full: " in messages[0]
    assert f"free on {disk.mount(tmp_path)}" in messages[0]
    assert news() == []
    failures.full = 0
    assert [line.partition(":")[0] for line in news()] == [
        f"the disk of {tmp_path} has space again"
    ]


@pytest.mark.parametrize(
    ("ending", "expected"),
    [
        ("echo 'Error: no such command'; exit 2", "ended with exit code 2, {}: Error: no such"),
        ("echo 'INFO ready'; exit 3", "ended with exit code 3, {}; its log: "),
        ("echo 'ERROR 1'; echo 'ERROR 2'; echo bye", "ended with exit code 0, {}: ERROR 2; its"),
        ("echo FATAL: no; kill -9 $$", "was killed by signal 9 (SIGKILL), {}; its log: "),
        ("echo PANIC: 1; kill -6 $$", "was killed by signal 6 (SIGABRT), {}: PANIC: 1; its log: "),
    ],
    ids=["error", "no error", "last error", "killed", "aborted"],
)
def test_a_process_that_ends_is_named_with_the_reason_once(
    tmp_path: Path, ending: str, expected: str
) -> None:
    log = tmp_path / "flower.log"
    log.write_text("Error: of the one before\n")
    process = Process("flower", ["sh", "-c", ending], log)
    process.start()
    while process.is_alive:
        pass
    failures = ProcessProblems(())
    (line,) = failures.news([process])
    assert f"flower {expected.format('and is started again')}" in line
    assert list(failures.news([process])) == []
    process.start()
    while process.is_alive:
        pass
    assert list(failures.news([process])) == []  # again, for the same reason


def test_free_port_of_a_number_that_is_none() -> None:
    assert 0 < free_port(70000) < 65536
