"""A rolling restart and a killed worker in short: see `make rolling`, which also cuts a worker off."""

from __future__ import annotations

from pathlib import Path

from elastic.files import Files
from elastic.rolling import READINGS, TIMES, Load, Rolling
from elastic.stand import fleet_of, names

NODES = names(2)


def test_workers_that_end_or_are_killed_under_load_cost_no_file_and_no_other_attempt(
    project: Path, database: str, broker: str
) -> None:
    fleet = fleet_of(project, database, broker, 2, lease=10, reconcile=2)
    rolling = Rolling(fleet, NODES, files := Files(fleet.drop, TIMES, READINGS), print)
    try:
        fleet.start("daemon", *NODES)
        fleet.wait(lambda: all(fleet.is_ready(node) for node in NODES))
        with Load(fleet, files, waiting=15):
            rolling.step("restarted", lambda: rolling.restart("worker1"))
            rolling.step("killed", lambda: rolling.kill("worker2", away=1.0))
        found = rolling.judge()
    finally:
        rolling.close()
        fleet.stop()
    assert found.clean, "\n".join([*found.details(), fleet.logs()])
    assert found.hits
    assert found.vain.keys() <= found.hits.keys()
