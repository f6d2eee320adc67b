"""The operator's commands: unknown names are errors, lists say when they are cut, accounts add up."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from patience import PATIENCE
from project_driver import ProjectDriver

from sensorflow.cli import main
from sensorflow.flow.outcomes import Outcome
from sensorflow.flow.undo import undo

HEAD = b"time,sensor,type,value,unit\n"


@dataclass(frozen=True)
class CommandOutput:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., CommandOutput]


@pytest.fixture
def driver(project: Path, database: str) -> Iterator[ProjectDriver]:
    """A loaded file in two versions, one in quarantine, and one that was undone."""
    project_driver = ProjectDriver(
        project, database, {"retention": {"rows": "2y"}, "silent_after": "1h"}
    )
    project_driver.load("sub/first.csv", HEAD + row(0, 1) + row(1, 2))
    project_driver.load("sub/first.csv", HEAD + row(0, 1) + row(1, 3) + b'"cut\n' + row(2, 4) * 12)
    project_driver.quarantine("bad.csv", HEAD + row(5, "x") + row(6, "y") + row(7, 1))
    gone = project_driver.load("gone.csv", HEAD + row(8, 1))
    undo(
        project_driver.ledger,
        project_driver.services.lake,
        project_driver.services.landing,
        gone,
        "wrong sensor",
    )
    yield project_driver
    project_driver.close()


def row(minute: int, value: object) -> bytes:
    return f"2026-01-31T12:{minute:02}:00Z,tank-7,temperature,{value},degC\n".encode()


@pytest.fixture
def run(
    driver: ProjectDriver, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    monkeypatch.setenv("SENSORFLOW_CONFIG", str(driver.config))

    def run(*words: str) -> CommandOutput:
        monkeypatch.setattr(sys, "argv", ["sensorflow", *words])
        capsys.readouterr()  # the log of what was loaded
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return CommandOutput(int(ended.value.code or 0), out, err)

    return run


UNKNOWN = {
    "files ls --source plnt": "did you mean 'plant'?",
    "files ls --state lost": "there are: pending",
    "files ls --since yesterday": "--since yesterday: expected a time",
    "files ls --limit -1": "--limit",
    "files ls --limit 99999999999999999999": "--limit",
    "files ls --name [z-a]*": "not a pattern for file names",
    "logs --since 99999999999d": "before the year 1",
    "files ls --since 5mh": "expected a time such as",
    "logs --since 2²d": "expected a time",
    "files show frist.csv": "did you mean 'sub/first.csv'?",
    "files show 99": "no file 99: the highest id is 4",
    "files show 99999999999999999999999": "no file 9999",
    "files of-row tank7 temperature 2026-01-31T12:00": "did you mean 'tank-7'?",
    "files of-row tank-7 temperature 2026-01-31T12:00:10": "the nearest one is at 2026-01-31T12:00:00",
    "files of-row tank-7 humidity 2026-01-31T12:00": "tank-7 has temperature",
    "rejects ls --source plnt": "did you mean 'plant'?",
    "rejects stats --source plnt": "did you mean 'plant'?",
    "rejects export --source plnt": "did you mean 'plant'?",
    "rejects show bda.csv": "did you mean 'bad.csv'?",
    "replay --source plnt": "did you mean 'plant'?",
    "replay bda.csv": "did you mean 'bad.csv'?",
    "replay --source plant --profile lng": "did you mean 'long'?",
    "replay --source plant --state pending": "no such state",
    "undo bda.csv": "did you mean 'bad.csv'?",
    "quarantine ls --source plnt": "did you mean 'plant'?",
    "quarantine ls --code F2044": "did you mean F204?",
    "quarantine show 99": "no file 99",
    "quarantine show gone.csv": "was never quarantined: its state is undone",
    "quarantine replay 99": "no file 99",
    "backfill nowhere --source plnt": "did you mean 'plant'?",
    "backfill /nowhere/at-all --source plant": "/nowhere/at-all: no such file or folder",
    "backfill /nowhere/2024-*/*.csv --source plant": "/nowhere: no such folder",
    "audit --source plnt": "did you mean 'plant'?",
    "status --source plnt": "did you mean 'plant'?",
    "status 5": "--watch",
    "fils": "Did you mean",
}


def test_what_is_not_there_is_an_error_of_one_line(run: Run) -> None:
    for words, expected in UNKNOWN.items():
        result = run(*words.split())
        assert (result.code, result.out) == (2, ""), (words, result)
        assert expected in result.err, (words, result.err)
        assert result.err.count("\n") == 1, result.err


NOTHING = {
    "files ls --source plant --since 2100-01-01": "no files match",
    "files ls --name *.xlsx": "no files match",
    "rejects ls --since 2100-01-01": "no rejected rows",
    "rejects show gone.csv": "has no rejected rows",
    "quarantine ls --code too-many-rows": "no quarantined files match",
    "replay --state undone --since 2100-01-01": "nothing to replay",
}


def test_what_is_known_and_has_nothing_says_so(run: Run) -> None:
    for words, expected in NOTHING.items():
        result = run(*words.split())
        assert result.code == 0, (words, result)
        assert expected in result.out, (words, result.out)


def test_filters_and_cuts(run: Run) -> None:
    assert "2 of 4 shown; add --limit 4" in run("files", "ls", "-n", "2").out
    cut = run("files", "ls", "-n", "2", "--json")
    assert len(cut.json) == 2
    assert "2 of 4 shown; add --limit 4" in cut.err
    for words, names in {
        "files ls --name first.* --json": ["sub/first.csv"] * 2,
        "files ls --name [!g]*.csv --state quarantined --json": ["bad.csv"],
        "files ls --since 1h --state undone --json": ["gone.csv"],
        "quarantine ls --since 2d --source plant --code f204 --json": ["bad.csv"],
        "rejects ls --json": ["bad.csv", "sub/first.csv"],
        "replay --state undone --source plant --dry-run --json": ["gone.csv"],
    }.items():
        assert [one["name"] for one in run(*words.split()).json] == names, words
    assert run("retention", "--json").json[0]["rows"] == 730.5
    shown = run("files", "show", "first.csv@1", "--json")
    assert shown.code == 2  # the name is that below the drop folder
    shown = run("files", "show", "sub/first.csv", "--json").json
    assert (shown["version"], len(shown["versions"])) == (2, 2)
    assert run("files", "show", "sub/first.csv@1", "--json").json["version"] == 1


def test_a_name_with_a_line_break_is_shown_in_one_line_and_is_the_file_s_own(
    run: Run, driver: ProjectDriver
) -> None:
    driver.load("new\nline.csv", HEAD + row(20, 1))
    for name in ("new\nline.csv", "new\nline.csv@1"):
        result = run("files", "show", name)
        assert result.code == 0, result
        assert (
            result.out.splitlines()[0] == run("files", "show", "new\\nline.csv").out.splitlines()[0]
        )
        assert "same bytes" not in result.out


def test_accounts_add_up_in_every_state(run: Run, driver: ProjectDriver) -> None:
    for one in run("files", "ls", "--json").json:
        rows = one["rows"]
        parts = ("loaded", "rejected", "duplicate", "not_loaded")
        assert rows["read"] == sum(rows[part] for part in parts) > 0
        if one["state"] != "loaded":
            assert (rows["loaded"], rows["not_loaded"]) == (0, 1)
    shown = run("files", "show", "gone.csv").out
    assert "not loaded     1: they were removed from the database" in shown
    manifest = run("quarantine", "show", "bad.csv").json
    assert (manifest["rows"]["read"], manifest["rows"]["not_loaded"]) == (3, 1)
    result = run("status", "--json").json
    sums = result["sources"]["plant"]
    parts = ("loaded", "rejected", "duplicate", "not_loaded")
    assert sums["rows_read"] == sum(sums[f"rows_{part}"] for part in parts)
    assert (sums["rows_quarantined"], sums["rows_undone"], result["balanced"]) == (1, 1, True)
    driver.sql("UPDATE files SET checksum = 0 WHERE id = 1")  # as of no readings at all
    assert run("files", "show", "1", "--json").json["checksum"] == "0"
    driver.sql("ALTER TABLE files DROP CONSTRAINT ck_files_balance")
    driver.sql("UPDATE files SET rows_read = rows_read + 1 WHERE id = 1")
    assert "WRONG" in run("status").out


def test_where_a_reading_came_from(run: Run, driver: ProjectDriver) -> None:
    [one] = run("files", "of-row", "tank-7", "temperature", "2026-01-31 12:01:00+00", "--json").json
    assert (one["name"], one["version"], one["line"], one["value"]) == ("sub/first.csv", 2, 3, 3.0)
    assert one["text"] == row(1, 3).decode().rstrip()
    assert one["profile"] == "long"
    packed = driver.load("packed.csv.gz", gzip.compress(HEAD + row(20, 1) + row(21, 5)))
    place = ("files", "of-row", "tank-7", "temperature", "2026-01-31T13:21+01:00", "--json")
    assert run(*place).json[0]["text"] == row(21, 5).decode().rstrip()
    driver.sql("UPDATE files SET expired = '{landing}' WHERE id = %s", packed)
    [one] = run(*place).json
    assert (one["text"], one["line"]) == (None, 3)
    assert "retention" in one["why"]


def test_status_says_how_far_behind_and_who_is_silent(run: Run, driver: ProjectDriver) -> None:
    driver.sql("UPDATE files SET registered_at = now() - interval '2 hours'")
    run("replay", "gone.csv")
    assert run("status", "--json").json["activity"]["plant"]["oldest"] < 7000  # since the replay
    assert driver.work(4) is Outcome.LOADED
    driver.arrive("late.csv", HEAD + row(9, 1))
    driver.sql(
        "UPDATE files SET registered_at = now() - interval '2 hours' WHERE key_text = 'late.csv'"
    )
    found = run("status", "--json").json
    activity = found["activity"]["plant"]
    assert (activity["waiting"], activity["quarantined"]) == (1, 1)
    assert activity["oldest"] > 7000
    assert activity["rows_per_second"] > 0
    assert activity["last_reading"] == "2026-01-31T12:08:00+00:00"
    assert found["silent"] == {}
    driver.sql("UPDATE files SET landed_at = landed_at - interval '2 hours'")
    driver.sql("UPDATE arrivals SET at = at - interval '2 hours'")
    result = run("status", "--check")
    assert result.code == 1
    assert "silent: no file of plant has arrived for 2 hours" in result.out


def test_a_quarantined_file_is_replayed_by_its_name(run: Run, driver: ProjectDriver) -> None:
    assert run("quarantine", "replay", "gone.csv").code == 1
    assert run("quarantine", "replay", "bad.csv").code == 0
    assert driver.work(3) is Outcome.DEAD_LETTERED


def test_a_watch_appends_lines_and_ends_with_control_c(driver: ProjectDriver) -> None:
    command = [sys.executable, "-m", "sensorflow", "status", "--watch", "0.2"]
    env = {**os.environ, "SENSORFLOW_CONFIG": str(driver.config)}
    with subprocess.Popen(
        command,
        env=env,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored below nohup
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(2)]
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
    assert all("balance: read=" in text for text in lines)


@pytest.mark.parametrize(
    ("typed", "expected"), [("--source p", "plant"), ("--state q", "quarantined")]
)
def test_a_shell_completes_sources_and_states(
    driver: ProjectDriver, typed: str, expected: str
) -> None:
    words = f"sensorflow files ls {typed}"
    env = {**os.environ, "SENSORFLOW_CONFIG": str(driver.config), "COMP_WORDS": words}
    env |= {"COMP_CWORD": "4", "_SENSORFLOW_COMPLETE": "complete_bash"}
    command = [str(Path(sys.executable).parent / "sensorflow")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.stdout.split() == [expected]
