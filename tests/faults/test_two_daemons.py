"""Two daemons on one folder, by mistake or for failover: one takes files in, in the folder's order."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dropped_files import (
    DroppedFiles,
    armed,
    assert_exact,
    events,
    failpoint_hits,
    wait_until_stopped,
)
from fleet import Fleet, fleet, rows, text

from sensorflow.core.states import State
from sensorflow.failpoints import Failpoint


def standby(f: Fleet, name: str) -> bool:
    return events(f, name, "intake.standby") != []


def has_taken_over(f: Fleet, name: str, times: int = 1) -> bool:
    return len(events(f, name, "intake.taken")) == times


@contextmanager
def stopped(f: Fleet, point: str) -> Iterator[None]:
    """The first daemon is stopped at `point`, and goes on at the end."""
    f.start("daemon-a", env=armed(f, point))
    f.wait(lambda: failpoint_hits(f, point) > 0)
    wait_until_stopped(failpoint_hits(f, point))
    yield
    os.kill(failpoint_hits(f, point), signal.SIGCONT)


@pytest.mark.parametrize("after", ["archive", "delete", "keep"])
def test_fault_48_a_daemon_stopped_over_its_lease_registers_no_old_bytes(
    project: Path, database: str, valkey_url: str, after: str
) -> None:
    """Old bytes are landed, the file is replaced, another daemon takes over, registers it, and stops."""
    with fleet(project, database, valkey_url, source={"after": after}) as f:
        drops = DroppedFiles(f)
        old = text(rows(99, 5, random.Random(99)))
        f.put("a.csv", old)
        with stopped(f, f"stop@{Failpoint.LANDED}"):
            drops.put("a.csv", 7)
            f.start("worker", "daemon-b")
            f.wait(lambda: has_taken_over(f, "daemon-b"))
            drops.put("b.csv")
            f.wait(lambda: f.counts()["loaded"] == 2)
            f.running["daemon-b"].send_signal(signal.SIGTERM)
            f.running.pop("daemon-b").wait()
        f.wait(lambda: has_taken_over(f, "daemon-a", 2))
        assert standby(f, "daemon-a")
        drops.put("c.csv")
        f.wait(lambda: f.counts()["loaded"] == 3)
        assert_exact(f, drops.manifest)
        assert [v.version for v in f.ledger.files() if v.name == "a.csv"] == [1]
        left = {p.name for p in f.drop.iterdir()}
        assert left == ({"a.csv", "b.csv", "c.csv"} if after == "keep" else set())


def test_fault_48_a_daemon_stopped_while_it_puts_files_away_takes_no_newer_one_along(
    project: Path, database: str, valkey_url: str
) -> None:
    with fleet(project, database, valkey_url, source={"after": "delete"}) as f:
        drops = DroppedFiles(f)
        drops.put("a.csv")
        with stopped(f, f"stop@{Failpoint.REGISTERED}"):
            f.start("worker", "daemon-b")
            f.wait(lambda: has_taken_over(f, "daemon-b"))
            f.wait(lambda: f.counts()["loaded"] == 1 and not any(f.drop.iterdir()))
            f.running["daemon-b"].send_signal(signal.SIGSTOP)
            wait_until_stopped(f.running["daemon-b"].pid)
            drops.put("a.csv.part", 20)
            (f.drop / "a.csv.part").rename(f.drop / "b.csv")
        f.wait(lambda: has_taken_over(f, "daemon-a", 2))
        f.wait(lambda: f.counts()["loaded"] == 2)
        f.running["daemon-b"].send_signal(signal.SIGCONT)
        f.wait(lambda: standby(f, "daemon-b"))
        assert_exact(f, drops.manifest)


def test_fault_48_of_two_daemons_one_takes_files_in_and_the_other_takes_over(
    project: Path, database: str, valkey_url: str
) -> None:
    with fleet(project, database, valkey_url) as f:
        drops = DroppedFiles(f)
        f.start("daemon-a")
        f.wait(lambda: has_taken_over(f, "daemon-a"))
        f.start("worker", "daemon-b")
        f.wait(lambda: standby(f, "daemon-b"))
        for number in range(20):
            drops.put(f"{number}.csv")
        f.wait(lambda: f.counts()["files"] > 5)
        f.kill("daemon-a")
        for number in range(20, 30):
            drops.put(f"{number}.csv")
        f.wait(lambda: f.counts()["loaded"] == 30)
        assert_exact(f, drops.manifest)
        assert [p.name for p in f.drop.iterdir()] == []
        assert {v.state for v in f.ledger.files(limit=100)} == {State.LOADED}
        assert has_taken_over(f, "daemon-b")
        assert len(events(f, "daemon-b", "intake.standby")) == 1
