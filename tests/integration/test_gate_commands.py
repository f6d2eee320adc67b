"""Gates in what people type: `check`, `backfill`, `replay`, and settings that are wrong."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import warm
from project_driver import ProjectDriver, content

from sensorflow import bootstrap
from sensorflow.core.states import State
from sensorflow.flow.backfill import Backfill, Progress, Window
from sensorflow.flow.outcomes import Outcome

GATE = {"gate": "{name}.sha1"}


@pytest.fixture
def driver(project: Path, database: str) -> Iterator[ProjectDriver]:
    project_driver = ProjectDriver(project, database, GATE)
    yield project_driver
    project_driver.close()


def drop(folder: Path, name: str, data: bytes, gate: bytes | None) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(data)
    if gate is not None:
        (folder / f"{name}.sha1").write_text(f"{hashlib.sha1(gate).hexdigest()}  {name}\n")


def check(driver: ProjectDriver, *words: str) -> tuple[int, str]:
    env = {"SENSORFLOW_CONFIG": str(driver.config), "PATH": "/usr/bin:/bin"}
    done = warm.run(["sensorflow", "check", *words], env, driver.project)
    return done.returncode, done.stdout.decode()


def backfill(driver: ProjectDriver, folder: Path) -> Progress:
    """Whatever is registered is worked on at once."""
    feed = bootstrap.old_files(driver.settings, "plant", folder, driver.ledger)
    work = Backfill(
        driver.settings, feed, Window(), driver.services.landing, driver.ledger, max_unfinished=1
    )

    def on_progress(_: Progress) -> None:
        for waiting in driver.ledger.pending(100, 100):
            if driver.work(waiting.file_id) is Outcome.DEAD_LETTERED:
                driver.quarantine_by_hand(waiting.file_id)

    work.run(on_progress)
    return work.progress


def test_old_files_are_taken_with_their_gates_and_what_differs_is_not_loaded(
    driver: ProjectDriver,
) -> None:
    old = driver.project / "old"
    drop(old, "good.csv", content(1), content(1))
    drop(old, "bad.csv", content(2), content(3))
    drop(old, "late.csv", content(4), None)
    found = backfill(driver, old)
    assert found.skipped == {"late.csv": "waits for its gate late.csv.sha1"}
    assert found.registered == 2
    [good], [bad] = driver.ledger.named("good.csv"), driver.ledger.named("bad.csv")
    assert (good.state, bad.state) == (State.LOADED, State.QUARANTINED)
    assert bad.error_code == "F223 gate-mismatch"
    assert (old / "good.csv.sha1").exists()
    driver.ledger.replay(bad.file_id)  # the same bytes, and the same announcement
    assert driver.work(bad.file_id) is Outcome.DEAD_LETTERED
    driver.quarantine_by_hand(bad.file_id)
    drop(old, "bad.csv", content(2), content(2))
    os.utime(old / "bad.csv", (1_000_000, 1_000_000))  # another state of it for certain
    again = backfill(driver, old)
    assert (again.registered, again.known) == (1, 1)
    assert [v.state for v in driver.ledger.named("bad.csv")][-1] is State.LOADED


def test_a_replay_without_the_gate_in_the_settings_loads_the_file(driver: ProjectDriver) -> None:
    old = driver.project / "old"
    drop(old, "bad.csv", content(2), content(3))
    backfill(driver, old)
    [bad] = driver.ledger.named("bad.csv")
    driver.configure()
    again = bootstrap.settings(driver.project)
    driver.services = bootstrap.services(again, "test", driver.ledger)
    driver.ledger.replay(bad.file_id)
    assert driver.work(bad.file_id) is Outcome.LOADED


def test_check_tells_a_file_s_gate_and_holds_it_against_it(driver: ProjectDriver) -> None:
    folder = driver.project / "drop"
    drop(folder, "good.csv", content(1), content(1))
    drop(folder, "late.csv", content(4), None)
    code, result = check(driver, "drop")
    assert code == 0
    assert "gate: its gate good.csv.sha1 is there" in result
    assert "gate: waits for its gate late.csv.sha1; the file is not taken in yet" in result
    assert "good.csv.sha1  (profile" not in result
    driver.configure({**GATE, "after": "keep"})
    assert "is there; if it belongs to another version" in check(driver, "drop/good.csv")[1]
    drop(folder, "good.csv", content(1), content(2))
    code, result = check(driver, "--json", "drop/good.csv")
    assert code == 1
    error: Any = json.loads(result)["error"]
    assert error["code"] == "F223 gate-mismatch"
    assert "good.csv.sha1 announces" in error["message"]
