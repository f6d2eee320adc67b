"""A burst in short: the pool grows with the work and is small again. `make burst` measures how soon."""

from __future__ import annotations

from pathlib import Path

from elastic.burst import run
from elastic.stand import Stand, fleet_of, names

from sensorflow.embedded.postgres import Postgres

FILES, WORKERS = 60, 2


def test_a_burst_grows_the_pool_which_is_small_again_after_it(
    project: Path, database: str, postgres: Postgres, broker: str
) -> None:
    fleet = fleet_of(project, database, broker, WORKERS)
    try:
        result = Stand(fleet, names(1), postgres)
        found = run(result, FILES, WORKERS, print, project / "burst.svg", timed=False)
    finally:
        fleet.stop()
    assert found.clean, "\n".join([*found.problems(), fleet.logs()])
    assert found.peak == WORKERS
    assert found.shares == {"worker1": FILES}
    assert found.line.startswith("burst: files=60 lost=0 peak_workers=2 up_s=")
    assert "processes wanted" in (project / "burst.svg").read_text()
