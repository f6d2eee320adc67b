"""Hosts cut off in short: see `make hosts`, which takes its time."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from hosts.network import why_not
from hosts.run import HostCut, run
from hosts.stand import HostsFleet, stand
from patience import PATIENCE

QUICK = {"lease": 5, "reconcile": 2, "rescan": 2}
LOCK = 77
HOLDS = f"""
import sys, time
import sqlalchemy as sa
from sensorflow.adapters.postgres.connect import engine_of
with engine_of(sys.argv[1]).begin() as connection:
    connection.execute(sa.text("SELECT pg_advisory_xact_lock({LOCK})"))
    time.sleep(3600)
"""
LEASE_LOCKS = (
    f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = {LOCK} AND granted"
)


def test_fault_40_hosts_that_are_cut_in_the_middle_of_work_are_followed_by_others(
    tmp_path: Path,
) -> None:
    """A worker's, which is beat's too, and the daemon's. The database drops what they hold meanwhile."""
    assert not why_not()
    counts: list[int] = []

    def look() -> None:
        counts.append(_held_locks(hosts_fleet))

    with stand(tmp_path / "project", **QUICK) as hosts_fleet:
        hosts_fleet.hosts["worker2"].run(
            [sys.executable, "-c", HOLDS, hosts_fleet.url], tmp_path / "lock.log"
        )
        deadline = time.monotonic() + PATIENCE
        while not _held_locks(hosts_fleet) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert _held_locks(hosts_fleet) == 1
        strike = HostCut(("worker2", "daemon"), kill=False, seconds=27)
        found = run(hosts_fleet, [strike], 20260113, print, look)
        assert found.clean, f"{found.line}\n{hosts_fleet.logs()}"
        assert found.p99 < strike.seconds, "nothing went on before they were back"
    assert counts == [0]


def _held_locks(hosts_fleet: HostsFleet) -> int:
    return int(hosts_fleet.ask(LEASE_LOCKS)[0][0])
