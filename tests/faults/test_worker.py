"""Workers are killed, stopped and spoilt by a file: what they held is done by another, once."""

from __future__ import annotations

import os
import signal
import textwrap
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
from dropped_files import (
    DroppedFiles,
    armed,
    assert_exact,
    children,
    events,
    failpoint_hits,
    history,
    history_of,
    wait_for_death,
    wait_until_stopped,
)
from fleet import LONG_LEASE, Fleet, fleet
from proxy import Proxy

from sensorflow.adapters.queues.celery import CeleryPublisher
from sensorflow.core.account import Totals
from sensorflow.core.arrival import OutboxEntry
from sensorflow.core.states import Stage
from sensorflow.failpoints import Failpoint
from sensorflow.ports.queue import Message

BEFORE_COMMIT = (
    Failpoint.CLAIMED,
    Failpoint.VALIDATED,
    Failpoint.TRANSFORMED,
    Failpoint.COPYING,
    Failpoint.COPIED,
)
"""A kill at one of these costs the attempt, and nothing else."""
CONDEMNED = (
    Failpoint.DEAD_LETTERED,
    Failpoint.QUARANTINE_COPIED,
    Failpoint.MANIFEST_WRITTEN,
    Failpoint.QUARANTINED,
)
PARENT = (Failpoint.RECEIVED, Failpoint.ACK, Failpoint.ACKED)


@pytest.fixture(scope="module")
def casualties(
    lasting_project: Path, lasting_database: str, lasting_broker: str
) -> tuple[Fleet, DroppedFiles]:
    """A child was killed once at each point; small files, larger ones and corrupt ones went through."""
    with fleet(lasting_project, lasting_database, lasting_broker, inline_below="4 KiB") as f:
        drops = DroppedFiles(f)
        for number in range(8):
            drops.put(f"small-{number}.csv")
        for number in range(3):
            drops.put(f"large-{number}.csv", 200)
        for number in range(4):
            drops.corrupt(f"corrupt-{number}.csv.gz")
        points = (*BEFORE_COMMIT, Failpoint.COMMITTED, Failpoint.ADVANCED, *CONDEMNED)
        f.start("worker", env=armed(f, *points))
        f.start("daemon", "beat")
        f.wait(lambda: all(failpoint_hits(f, point) for point in points))
        f.wait(lambda: f.finished() == drops.manifest.files)
    return f, drops  # ended, so that nobody takes the next tests' messages


@pytest.mark.parametrize("point", BEFORE_COMMIT)
def test_fault_03_and_04_child_killed_before_the_commit(
    casualties: tuple[Fleet, DroppedFiles], point: Failpoint
) -> None:
    """The attempt was counted before the work; the next one does all of it."""
    f, _ = casualties
    attempt, after = held_by(f, failpoint_hits(f, point))
    assert attempt == 1
    assert next(e["attempt"] for e in after if e["what"] == "claimed") == 2
    assert sum(e["what"] in ("loaded", "quarantined") for e in after) == 1


@pytest.mark.parametrize("point", CONDEMNED)
def test_fault_03_child_killed_on_the_way_to_quarantine(
    casualties: tuple[Fleet, DroppedFiles], point: Failpoint
) -> None:
    f, drops = casualties
    assert failpoint_hits(f, point)
    quarantined = f.project / "data" / "quarantine" / "plant"
    files = {p.name for p in quarantined.glob("*/file/*")}
    assert files == drops.manifest.corrupt
    assert len(list(quarantined.glob("*/manifest.json"))) == len(files)


@pytest.mark.parametrize("point", [Failpoint.COMMITTED, Failpoint.ADVANCED])
def test_fault_05_child_killed_between_commit_and_acknowledgement(
    casualties: tuple[Fleet, DroppedFiles], point: Failpoint
) -> None:
    """What was committed is not done again."""
    f, _ = casualties
    _, after = held_by(f, failpoint_hits(f, point))
    stages = [e["stage"] for e in after if e["what"] == "claimed"]
    assert stages == ([] if point is Failpoint.COMMITTED else stages)
    assert "validate" not in stages


def test_fault_03_04_and_05_killed_anywhere_children_lose_and_double_nothing(
    casualties: tuple[Fleet, DroppedFiles],
) -> None:
    f, drops = casualties
    assert_exact(f, drops.manifest)
    left = {p.name for p in (f.project / "data").rglob(".writing-*") if p.parent.name != "landing"}
    assert all(name.startswith(".writing-") for name in left)  # and nobody reads those


def held_by(f: Fleet, pid: int) -> tuple[int, list[dict[str, object]]]:
    """The attempt in which a process claimed its last file, and what happened to that file after."""
    query = """SELECT id, file_id, attempt FROM file_events WHERE what = 'claimed' AND who LIKE %s
                ORDER BY id DESC LIMIT 1"""
    with psycopg.connect(f.database) as connection:
        found = connection.execute(query, (f"worker@%:{pid}",)).fetchone()
        assert found is not None
        mark, file_id, attempt = found
        query = "SELECT what, stage, attempt FROM file_events WHERE file_id = %s AND id > %s ORDER BY id"
        later = connection.execute(query, (file_id, mark)).fetchall()
    return attempt, [dict(zip(("what", "stage", "attempt"), e, strict=True)) for e in later]


def test_fault_02_and_05_worker_parent_killed_is_made_good_without_the_brokers_message(
    project: Path, database: str, valkey_url: str
) -> None:
    with fleet(project, database, valkey_url) as f:
        drops = DroppedFiles(f)
        for number in range(8):
            drops.put(f"{number}.csv")
        f.start("daemon", "beat")
        for _ in PARENT:
            f.start("worker", env=armed(f, *PARENT))
            wait_for_death(f, "worker")
        f.start("worker")
        f.wait(lambda: f.counts()["loaded"] == 8)
        assert all(failpoint_hits(f, point) for point in PARENT)
        assert_exact(f, drops.manifest)
        with redis.Redis.from_url(valkey_url) as client:
            # nobody gave back what the killed ones had: the ledger alone made it good
            assert client.hlen("unacked") > 0


def test_fault_02_a_worker_works_that_is_started_before_the_broker_missed_the_killed_one(
    project: Path, database: str, broker: str
) -> None:
    """Its connection stands: a child of it is busy, or its host lost power and is up again."""
    parts = urlsplit(broker)
    assert parts.hostname is not None
    assert parts.port is not None
    with Proxy(parts.hostname, parts.port) as proxy, fleet(project, database, broker) as f:
        drops = DroppedFiles(f)
        f.start("daemon", "beat")
        f.start("worker", env={"SENSORFLOW_BROKER_URL": proxy.url(broker)})
        drops.put("first.csv")
        f.wait(lambda: f.counts()["loaded"] == 1)
        proxy.black_hole()
        f.kill("worker")
        drops.put("second.csv")
        f.start("worker")
        f.wait(lambda: f.counts()["loaded"] == 2)
        assert_exact(f, drops.manifest)


def test_fault_15_a_message_delivered_five_times_has_one_effect(
    project: Path, database: str, broker: str
) -> None:
    with fleet(project, database, broker, environment=LONG_LEASE) as f:
        drops = DroppedFiles(f)
        for number in range(4):
            drops.put(f"{number}.csv", 300)
        f.start("daemon")
        f.wait(lambda: f.counts()["files"] == 4 and f.ledger.pending(9, 99) == [])
        queue = CeleryPublisher(broker, "landing")
        for _ in range(4):
            for view in f.ledger.files():
                queue.publish([Message([waiting(view.file_id)])])
        queue.close()
        f.start("worker", "worker2")
        f.wait(lambda: f.counts()["loaded"] == 4 and queue.depth() == 0)
        assert_exact(f, drops.manifest)
        for view in f.ledger.files():
            expected = [(e.what, e.why) for e in f.ledger.history(view.file_id)]
            assert [what for what, _ in expected].count("claimed") == 1, expected


def waiting(file_id: int) -> OutboxEntry:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return OutboxEntry(file_id, "plant", b"x.csv", 1, 1, bytes(16), "aa/aa", Stage.VALIDATE, now)


def test_fault_16_a_worker_stopped_past_its_lease_cannot_commit(
    project: Path, database: str, valkey_url: str
) -> None:
    with fleet(project, database, valkey_url) as f:
        drops = DroppedFiles(f)
        f.start("worker", env=armed(f, "stop@load.copied"))
        f.start("daemon", "beat")
        drops.put("contested.csv")
        f.wait(lambda: failpoint_hits(f, "stop@load.copied") > 0)
        zombie = failpoint_hits(f, "stop@load.copied")
        wait_until_stopped(zombie)
        f.start("worker2")
        try:
            f.wait(lambda: f.counts()["loaded"] == 1)
        finally:
            os.kill(zombie, signal.SIGCONT)
        f.wait(lambda: events(f, "worker", "lease.lost") != [])
        assert_exact(f, drops.manifest)
        assert history_of(f, "contested.csv").count("loaded") == 1
        assert f.counts()["loaded"] == 1
        claims = [e.who for e in history(f, "contested.csv") if e.what == "claimed"]
        assert claims[0].endswith(f":{zombie}")


MANY = 24


def waiting_together(f: Fleet, database: str, broker: str) -> DroppedFiles:
    """Small files that are due at once: a few messages, each of many of them."""
    drops = DroppedFiles(f)
    for number in range(MANY):
        drops.put(f"{number}.csv", 5)
    f.start("daemon", "beat")
    f.wait(lambda: f.counts()["pending"] == MANY and f.ledger.pending(99, 99) == [])
    with psycopg.connect(database) as connection, redis.Redis.from_url(broker) as client:
        client.delete("sensorflow.ingest")  # however they came by: they are published anew
        connection.execute("UPDATE files SET published_at = NULL")
    f.wait(lambda: f.ledger.pending(99, 99) == [])
    return drops


@pytest.mark.parametrize("point", [Failpoint.COPIED, Failpoint.COMMITTED])
def test_fault_03_and_05_child_killed_with_many_files_in_hand(
    project: Path, database: str, valkey_url: str, point: Failpoint
) -> None:
    """All of them or none; each is claimed alone after, so that one cannot end the others again."""
    with fleet(project, database, valkey_url) as f:
        drops = waiting_together(f, database, valkey_url)
        f.start("worker", env=armed(f, point))
        f.wait(lambda: f.counts()["loaded"] == MANY)
        pid = failpoint_hits(f, point)
        assert_exact(f, drops.manifest)
        with psycopg.connect(database) as connection:
            query = """SELECT file_id, why FROM file_events
                        WHERE what = 'claimed' AND who LIKE %s ORDER BY id"""
            leases = connection.execute(query, (f"worker@%:{pid}",)).fetchall()
        first = int(leases[-1][1].rpartition(" ")[2])  # "together with file 7", said of the others
        last = [n for n, reason in leases if n == first or reason == leases[-1][1]]
        assert len(last) > 1, leases
        again = [e for n in last for e in f.ledger.history(n) if e.what == "claimed"]
        repeated = [e for e in again if e.attempt == 2]
        assert len(repeated) == (0 if point is Failpoint.COMMITTED else len(last))
        assert all(e.why is None for e in repeated)


def test_fault_16_a_worker_stopped_with_many_files_in_hand_cannot_commit(
    project: Path, database: str, valkey_url: str
) -> None:
    with fleet(project, database, valkey_url) as f:
        drops = waiting_together(f, database, valkey_url)
        f.start("worker", env=armed(f, "stop@load.copied"))
        f.wait(lambda: failpoint_hits(f, "stop@load.copied") > 0)
        zombie = failpoint_hits(f, "stop@load.copied")
        wait_until_stopped(zombie)
        f.start("worker2")
        try:
            # long before the twenty seconds after which a wait for its keys would be given up
            f.wait(lambda: f.counts()["loaded"] == MANY)
        finally:
            os.kill(zombie, signal.SIGCONT)
        f.wait(lambda: events(f, "worker", "lease.lost") != [])
        assert_exact(f, drops.manifest)
        for number in range(MANY):
            happened = history_of(f, f"{number}.csv")
            assert happened.count("loaded") == 1
            assert "will be tried again" not in happened  # as after a wait for the zombie's keys


POISON = {
    "sources": {"poison": {"profile": "poison"}},
    "profiles": {"poison": {"format": "poison"}},
}
DECODER = """
import os, signal

def chunks(stream, profile, resolve):
    os.kill(os.getpid(), signal.SIGSEGV)
    yield
"""


def test_fault_27_a_file_that_crashes_the_parser_is_quarantined_and_its_neighbours_load(
    project: Path, database: str, valkey_url: str
) -> None:
    plug_in(project / "plug-ins")
    (project / "poison").mkdir()
    with fleet(project, database, valkey_url, **POISON) as f:
        f.env["PYTHONPATH"] = f"{f.env.get('PYTHONPATH', '')}:{project / 'plug-ins'}"
        f.start("daemon", "worker", "beat")
        (project / "poison" / "p.csv").write_bytes(b"anything")
        drops = DroppedFiles(f)
        for number in range(6):
            drops.put(f"{number}.csv")
        f.wait(lambda: f.ledger.totals().get("poison", Totals()).quarantined == 1)
        (view,) = f.ledger.files(source="poison")
        assert view.error_code == "F207 worker-crashed"
        claims = [e for e in f.ledger.history(view.file_id) if e.what == "claimed"]
        assert [e.attempt for e in claims if e.stage == "validate"] == [1, 2, 3, 4]
        f.wait(lambda: f.counts()["loaded"] == 6)
        drops.put("after.csv")
        f.wait(lambda: f.counts()["loaded"] == 7)
        assert drops.manifest.of_database(database) == drops.manifest.readings
        assert 1 <= len(children(f.running["worker"].pid)) <= 2


def plug_in(folder: Path) -> None:
    """A package of a decoder that ends its process."""
    about = folder / "poison-1.0.dist-info"
    about.mkdir(parents=True)
    (folder / "poison.py").write_text(textwrap.dedent(DECODER))
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: poison\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[sensorflow.decoders]\npoison = poison:chunks\n")
