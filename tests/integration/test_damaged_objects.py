"""Landed bytes that somebody has removed or changed: nothing wrong is loaded, nothing is lost, and the next
step is said. It is the same in every store."""

from __future__ import annotations

import io
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import zones
from project_driver import ProjectDriver, content
from structlog.testing import capture_logs

from sensorflow.cli.status import status
from sensorflow.core.states import State
from sensorflow.flow.outcomes import Outcome


@pytest.fixture(params=["disk", "bucket"])
def driver(request: pytest.FixtureRequest, project: Path, database: str) -> Iterator[ProjectDriver]:
    storage = None
    if request.param == "bucket":
        request.getfixturevalue("s3_environment")
        storage = zones.s3_storage(request.getfixturevalue("seaweed").endpoint)
    project_driver = ProjectDriver(project, database, storage=storage)
    yield project_driver
    project_driver.close()


def state(driver: ProjectDriver, file_id: int) -> State:
    view = driver.ledger.file(file_id)
    assert view is not None
    return view.state


def land_again(driver: ProjectDriver, data: bytes) -> None:
    """As when the original is dropped again."""
    driver.services.landing.put(io.BytesIO(data))


def shown_status(driver: ProjectDriver) -> Any:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(status)
    return json.loads(driver.invoke(app, "--json").stdout)


def test_a_file_whose_bytes_were_removed_waits_for_them(driver: ProjectDriver) -> None:
    file_id = driver.arrive("a.csv", content(1))
    driver.load("b.csv", content(2))
    driver.landed(file_id).unlink()
    with capture_logs() as logs:
        assert driver.work(file_id) is Outcome.RETRY
    (logged,) = (log for log in logs if log["event"] == "file.retried")
    assert (logged["log_level"], logged["code"]) == ("warning", "I503 storage-unavailable")
    assert "no object" in logged["reason"]
    assert state(driver, file_id) is State.PENDING
    assert driver.fact(file_id, "error_code") == "I503 storage-unavailable"
    assert f"no object {driver.fact(file_id, 'landing')}" in driver.fact(file_id, "error_detail")
    assert driver.audit("--fast").faults == ["A101"]
    shown = shown_status(driver)
    assert "files: 1 file retried with I503 storage-unavailable" in shown["health"]
    (lasting,) = shown["lasting"]
    assert not lasting["passing"]  # from the first time: no outage ends it
    assert lasting["workers"] == ["test"]
    assert lasting["todo"].startswith("put the original file into the drop folder again, and the ")
    land_again(driver, content(1))
    driver.sql("UPDATE files SET not_before = NULL")
    assert driver.work(file_id) is Outcome.LOADED
    assert driver.audit("--deep").code == 0
    assert shown_status(driver)["lasting"] == []


@pytest.mark.parametrize("change", ["one byte", "longer", "shorter"])
def test_bytes_that_were_changed_are_never_loaded(driver: ProjectDriver, change: str) -> None:
    file_id = driver.arrive("a.csv", content(1))
    right = driver.landed(file_id).read_bytes()
    wrong = {"one byte": right[:-3] + b"X" + right[-2:], "longer": right + b"x\n"}
    driver.landed(file_id).write_bytes(wrong.get(change, right[:-30]))
    assert driver.work(file_id) is Outcome.DEAD_LETTERED
    assert driver.fact(file_id, "error_code") == "F205 landed-bytes-changed"
    driver.quarantine_by_hand(file_id)
    faults = driver.audit("--deep").faults
    assert set(faults) & {"A401", "A402"}
    land_again(driver, content(1))
    assert driver.ledger.replay(file_id)
    assert driver.work(file_id) is Outcome.LOADED
    assert driver.audit("--deep").code == 0


def test_a_lake_file_that_was_removed_is_found_and_repaired(driver: ProjectDriver) -> None:
    file_id = driver.load("a.csv", content(1))
    driver.silver(file_id).unlink()
    assert driver.audit().faults == ["A105"]
    driver.audit("--repair", "--apply")
    assert driver.work(file_id) is Outcome.LOADED
    assert driver.audit("--deep").code == 0


def test_zones_that_are_empty_as_a_whole_are_not_taken_for_a_loss(driver: ProjectDriver) -> None:
    """As when [storage] names another bucket, or a disk is not mounted."""
    driver.load("a.csv", content(1))
    driver.quarantine()
    before = driver.config.read_text()
    storage = {**tomllib.loads(before).get("storage", {})}
    storage["data"] = "s3://sensorflow/none" if storage else str(driver.project / "none")
    driver.configure(storage=storage)
    result = driver.audit()
    assert (result.code, result.report["findings"]) == (2, [])
    assert len(result.report["not_looked_at"]) >= 2
    driver.config.write_text(before)
    assert driver.audit().code == 0
