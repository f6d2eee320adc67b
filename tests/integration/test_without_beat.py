"""Where there is no beat, whoever calls `run_due` does all that is to be done every so often."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from project_driver import ProjectDriver

from sensorflow.core.states import WORK, State
from sensorflow.engine import periodic
from sensorflow.flow.housekeeping import RECONCILE, TIDY
from sensorflow.testing.queue import MemoryQueue


@pytest.fixture
def driver(project: Path, database: str) -> Iterator[ProjectDriver]:
    project_driver = ProjectDriver(project, database)
    yield project_driver
    project_driver.close()


def test_a_lease_that_ended_is_given_back_and_its_file_sent_without_beat(
    driver: ProjectDriver,
) -> None:
    queue = MemoryQueue()
    settings = driver.settings.model_copy(
        update={"lease": 0.0}
    )  # the server may be younger than a lease
    keeper = periodic.housekeeping(settings, driver.ledger, queue)
    file_id = driver.arrive("a.csv", b"time,sensor,type,value,unit\n")
    assert driver.ledger.claim(file_id, WORK, "a worker that died", -1.0)
    done = keeper.run_due_steps()
    assert done["sweep"]["leases ended"] == 1
    assert done["sweep"]["published"] == 1
    assert "retain" in done
    assert keeper.run_due_steps() == {}
    assert queue.depth() == 1
    view = driver.ledger.file(file_id)
    assert view is not None
    assert view.state is State.PENDING


def test_daemon_and_beat_sweep_once_between_them(driver: ProjectDriver) -> None:
    queue = MemoryQueue()
    daemon = periodic.reconciler(driver.settings, driver.ledger, queue, lambda: None)
    worker = periodic.housekeeping(driver.settings, driver.ledger, queue)
    assert set(daemon.run_due_steps()) == {RECONCILE}
    assert worker.run(RECONCILE, TIDY) == {"tidied": 0}
    driver.sql("UPDATE leases SET until = until - interval '8 s'")  # of the 15 s of an interval
    assert worker.run(RECONCILE, TIDY).keys() == {
        *("leases ended", "messages missing", "published"),
        "tidied",
    }
    assert daemon.run_due_steps() == {}
