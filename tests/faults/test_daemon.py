"""The daemon is killed, was not running, or is told nothing by the kernel: every file is found."""

from __future__ import annotations

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
    history_of,
    wait_for_death,
    wait_until_stopped,
)
from fleet import Fleet, fleet

from sensorflow.core.account import Totals
from sensorflow.failpoints import Failpoint

POINTS = (
    Failpoint.FOUND,
    Failpoint.LANDING,
    Failpoint.LANDED,
    Failpoint.REGISTERED,
    Failpoint.DISPOSED,
    Failpoint.PUBLISH,
    Failpoint.SENT,
    Failpoint.PUBLISHED,
)


@pytest.fixture(scope="module")
def killed(
    lasting_project: Path, lasting_database: str, lasting_broker: str
) -> tuple[Fleet, DroppedFiles]:
    """A daemon that was killed at each point in turn, with a file before each start, and at last not."""
    with fleet(lasting_project, lasting_database, lasting_broker) as f:
        drops = DroppedFiles(f)
        f.start("worker")  # no beat: its sweep could publish a file before the daemon does
        for point in POINTS:
            drops.put(f"{point}.csv")
            f.start("daemon", env=armed(f, *POINTS))
            wait_for_death(f, "daemon")
        drops.put("last.csv")
        f.start("daemon", "beat")
        f.wait(lambda: f.counts()["loaded"] == len(POINTS) + 1)
    return f, drops  # ended, so that nobody takes the next tests' messages


@pytest.mark.parametrize("point", POINTS)
def test_fault_01_daemon_killed(killed: tuple[Fleet, DroppedFiles], point: Failpoint) -> None:
    f, _ = killed
    assert failpoint_hits(f, point)
    assert history_of(f, f"{point}.csv").count("loaded") == 1


def test_fault_01_and_24_killed_or_not_running_the_daemon_loses_and_doubles_nothing(
    killed: tuple[Fleet, DroppedFiles],
) -> None:
    f, drops = killed
    assert_exact(f, drops.manifest)
    assert [p.name for p in f.drop.iterdir()] == []
    archived = {p.name for p in (f.project / "data" / "archive").rglob("*") if p.is_file()}
    assert archived == {*(f"{point}.csv" for point in POINTS), "last.csv"}
    landing = (f.project / "data" / "landing").rglob("*")
    # what a kill left of a copy is never taken for a file
    assert sum(len(p.name) == 64 for p in landing) == len(POINTS) + 1


def test_fault_01_daemon_killed_between_landing_a_group_and_registering_it(
    project: Path, database: str, valkey_url: str
) -> None:
    with fleet(project, database, valkey_url) as f:
        drops = DroppedFiles(f)
        for number in range(5):
            drops.put(f"{number}.csv")
        f.start("daemon", env=armed(f, Failpoint.LANDED))
        wait_for_death(f, "daemon")
        assert len(list(f.drop.iterdir())) == 5
        landing = (f.project / "data" / "landing").rglob("*")
        assert sum(len(p.name) == 64 for p in landing) == 5
        assert f.counts()["files"] == 0
        f.start("daemon", "worker")
        f.wait(lambda: f.counts()["loaded"] == 5)
        assert_exact(f, drops.manifest)


def test_fault_23_events_lost_in_a_full_queue_are_made_good_by_a_rescan(
    project: Path, database: str, valkey_url: str
) -> None:
    """The daemon is stopped while more files come than the kernel's queue holds."""
    # only the overflow may bring a scan
    with fleet(project, database, valkey_url, rescan=3600) as f:
        with limited("max_queued_events", 16):
            f.start("daemon")
            f.wait(lambda: events(f, "daemon", "daemon.started") != [])
        f.running["daemon"].send_signal(signal.SIGSTOP)
        wait_until_stopped(f.running["daemon"].pid)
        drops = DroppedFiles(f)
        for number in range(60):
            drops.put(f"{number}.csv", 1)
        f.running["daemon"].send_signal(signal.SIGCONT)
        f.wait(lambda: f.counts()["files"] == 60)
        reasons = [e["reason"] for e in events(f, "daemon", "watch.degraded")]
        assert "the inotify queue overflowed" in reasons


def test_fault_23_and_26_without_watches_the_rescan_finds_every_file(
    project: Path, database: str, valkey_url: str
) -> None:
    with fleet(project, database, valkey_url) as f:
        drops = DroppedFiles(f)
        drops.put("before.csv")
        with limited("max_user_instances", 0):
            f.start("daemon")
            f.wait(lambda: events(f, "daemon", "watch.degraded") != [])
        (f.drop / "below").mkdir()
        drops.put("below/after.csv")
        f.wait(lambda: f.counts()["files"] == 2)


def test_fault_49_a_share_that_is_mounted_late_keeps_no_other_source_waiting(
    project: Path, database: str, valkey_url: str
) -> None:
    """And what a killed daemon left half put away in it is taken too."""
    with fleet(project, database, valkey_url, sources={"late": {"stability_window": 0.2}}) as f:
        drops = DroppedFiles(f)
        drops.put("a.csv")
        f.start("daemon")
        f.wait(lambda: f.counts()["files"] == 1)
        assert {e["source"] for e in events(f, "daemon", "source.unavailable")} == {"late"}
        mount_marker = project / "mounted" / ".sensorflow"
        mount_marker.mkdir(parents=True)
        (mount_marker / "left.csv").write_bytes(b"1")
        mount_marker.parent.rename(project / "late")
        f.wait(lambda: f.ledger.totals().get("late", Totals()).files == 1)


@contextmanager
def limited(what: str, number: int) -> Iterator[None]:
    """A limit of the kernel's, lowered until the daemon has met it."""
    limit = Path("/proc/sys/fs/inotify") / what
    before = limit.read_text()
    limit.write_text(str(number))
    try:
        yield
    finally:
        limit.write_text(before)
