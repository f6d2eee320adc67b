"""A stack of `sensorflow up` is backed up while it loads, lost as a whole, and restored."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import warm
from patience import PATIENCE

from sensorflow.embedded import state

HEAD = "time,sensor,type,value,unit\n"
FILES, ROWS = 40, 50


def clean() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("SENSORFLOW_")}


def command(folder: Path, *words: str, code: int = 0) -> str:
    done = warm.run(["sensorflow", *words], clean(), folder)
    output = (done.stdout + done.stderr).decode()
    assert done.returncode == code, output
    return output


def asked(folder: Path, *words: str) -> Any:
    return json.loads(command(folder, *words, "--json"))


@contextmanager
def up(folder: Path) -> Iterator[None]:
    with (folder / "up.log").open("ab") as log:
        process = warm.up(folder, clean(), log.fileno())
    try:
        while state.running(folder / "data") is None:
            assert process.poll() is None, (folder / "up.log").read_text()
            time.sleep(0.1)
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE)


def drop(folder: Path, name: str, content: str) -> None:
    target = folder / "drop" / "readings" / name
    target.with_suffix(".part").write_text(content)
    target.with_suffix(".part").rename(target)


def rows(number: int) -> str:
    lines = (
        f"2026-02-01T00:{s // 60:02}:{s % 60:02}Z,s{number},temperature,{number + s},degC\n"
        for s in range(ROWS)
    )
    return HEAD + "".join(lines)


def loaded(folder: Path) -> int:
    found = asked(folder, "status")
    return sum(s["rows_loaded"] for s in found["sources"].values())


def wait_for(folder: Path, count: int) -> None:
    """Each question is a command, which is to take little of what the stack could have."""
    deadline, asked_at = time.monotonic() + PATIENCE, time.monotonic()
    while loaded(folder) < count:
        assert time.monotonic() < deadline, command(folder, "files", "ls")
        time.sleep(max(0.3, 3 * (time.monotonic() - asked_at)))
        asked_at = time.monotonic()


@pytest.fixture(autouse=True)
def nothing_is_left_behind(project: Path) -> Iterator[None]:
    yield
    shutil.rmtree(state.home(project / "data"), ignore_errors=True)


def test_all_is_there_again_after_data_and_database_are_gone(
    project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    target = tmp_path_factory.mktemp("elsewhere") / "backups"
    (project / "drop").rmdir()
    command(project, "init")
    with up(project):
        for number in range(FILES // 2):
            drop(project, f"{number}.csv", rows(number))
        drop(project, "bad.csv", HEAD + "never,s,t,x,u\n")
        wait_for(project, ROWS)
        for number in range(FILES // 2, FILES):
            drop(project, f"{number}.csv", rows(number))
        backup_output = asked(project, "backup", str(target))
        assert backup_output["missing"] == []
        wait_for(project, FILES * ROWS)
    aside = project / "aside"
    aside.mkdir()
    for store in ("landing", "bronze", "rejects", "silver", "quarantine", "archive"):
        (project / "data" / store).rename(aside / store)
    assert "contains files, and a restore never overwrites" in command(
        project, "restore", str(target), code=2
    )
    shutil.rmtree(project / "data")
    shutil.rmtree(state.home(project / "data"), ignore_errors=True)
    (project / "sensorflow.toml").unlink()
    restore_output = asked(project, "restore", str(target), "--to", str(project))
    assert restore_output["audit"]["exit_code"] == 0
    assert restore_output["audit"]["rows"] == backup_output["readings"] > 0
    assert restore_output["audit"]["files"] == backup_output["ledger_files"]
    known = backup_output["ledger_files"] - 1
    with up(project):
        wait_for(project, known * ROWS)  # what waited at that moment goes on
        assert "every one accounted for" in command(project, "audit", "--checksum")
        listed = {f["key_text"]: f["state"] for f in asked(project, "files", "ls")}
        assert listed.pop("bad.csv") == "quarantined"
        assert set(listed.values()) == {"loaded"}
        again = asked(project, "backup", str(target))
        assert again["copied_bytes"] < again["bytes"]
        assert again["shared_files"] > 0
        assert f"backup: {again['path']}" in command(project, "doctor")
