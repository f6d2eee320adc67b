"""A fleet of two versions, a message that nobody knows, and a backlog of ten thousand files."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from dropped_files import DroppedFiles, assert_exact
from fleet import fleet, rows, text
from former_names import settings_for
from kombu import pools
from patience import PATIENCE

from sensorflow.adapters.postgres import migrate
from sensorflow.adapters.queues.celery import INGEST, CeleryPublisher, task_name

ROOT = Path(__file__).parents[2]
BEFORE = "0.1.0"


@pytest.fixture(scope="session")
def version_before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree of the release before this one."""
    folder = tmp_path_factory.mktemp("before")
    archive = subprocess.run(
        ["git", "-C", str(ROOT), "archive", _commit_of_release()], capture_output=True, check=True
    )
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    return folder


def _commit_of_release() -> str:
    """By its tag, or by its subject where a clone has no tags."""
    tag = ["git", "-C", str(ROOT), "rev-parse", "-q", "--verify", f"v{BEFORE}^{{commit}}"]
    found = subprocess.run(tag, capture_output=True, text=True, check=False).stdout.split()
    if not found:
        subject = f"--grep=^Release {BEFORE}$"
        log = ["git", "-C", str(ROOT), "log", "--all", "--format=%H", subject]
        found = subprocess.run(log, capture_output=True, text=True, check=True).stdout.split()
    assert found, "the history of the release before is not here: clone without --depth"
    return found[0]


def test_faults_36_and_37_two_versions_share_messages_and_a_database_migrated_under_them(
    project: Path, empty_database: str, broker: str, version_before: Path
) -> None:
    old = {"PYTHONPATH": str(version_before)}
    with fleet(project, empty_database, broker) as f:
        settings = project / "sensorflow.toml"
        settings.write_text(settings_for(version_before, settings.read_text()))
        upgrade = [sys.executable, "-m", "sensorflow", "db", "upgrade"]
        subprocess.run(upgrade, env={**f.env, **old}, cwd=project, check=True, capture_output=True)
        drops, loaded = DroppedFiles(f), 0
        (project / "data").mkdir()  # Beat of 0.1.0 ends where its schedule has no folder yet

        def load(count: int, before_the_end: object = None) -> None:
            nonlocal loaded
            for number in range(count):
                drops.put(f"{loaded + number}.csv", 50)
            loaded += count
            if callable(before_the_end):
                before_the_end()
            f.wait(lambda: done(f.database) == loaded)

        f.start("daemon", "worker", "beat", env=old)
        load(10)
        # a migration while the old ones work: what they have prepared does not fit any more, and a
        # claim that fails for that is published again
        load(15, lambda: migrate.upgrade(empty_database))
        f.start("worker2")
        load(10)
        end(f.running.pop("worker"))
        load(5)  # of the old one's daemon, by the new one's worker
        end(f.running.pop("daemon"))
        f.start("daemon")
        f.start("worker", env=old)
        end(f.running.pop("worker2"))
        load(5)  # and the other way round
        assert_exact(f, drops.manifest)
        # 0.1.0 burns an attempt where two make the same month, or the migration changes a statement
        assert max(v.attempts for v in f.ledger.files(limit=100)) < 3
        assert "file.loaded" in (project / "worker2.log").read_text()


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(PATIENCE)


def done(database: str) -> int:
    """Also on a schema that is older than this code."""
    with psycopg.connect(database) as connection:
        found = connection.execute("SELECT count(*) FROM files WHERE state = 'loaded'").fetchone()
    assert found is not None
    return int(found[0])


def test_fault_36_a_message_that_no_worker_knows_is_not_a_lost_file(
    project: Path, database: str, broker: str
) -> None:
    with fleet(project, database, broker) as f:
        drops = DroppedFiles(f)
        f.start("daemon")
        for number in range(3):
            drops.put(f"{number}.csv")
        f.wait(lambda: f.counts()["pending"] == 3 and f.ledger.pending(9, 9) == [])
        replace_messages(broker, "sensorflow.of-tomorrow", 3)
        f.start("worker", "beat")
        f.wait(lambda: f.counts()["loaded"] == 3)
        assert_exact(f, drops.manifest)
        assert "unregistered task" in (project / "worker.log").read_text()


def replace_messages(broker: str, task: str, count: int) -> None:
    """Instead of what waits, as many messages of a task that a newer version may have."""
    queue = CeleryPublisher(broker, "landing")
    app = queue._app
    with app.connection_for_write() as connection, connection.channel() as channel:
        channel.queue_purge(task_name(INGEST))
    for number in range(count):
        route = {"queue": task_name(INGEST), "routing_key": task_name(INGEST)}
        app.send_task(task, args=({"file_id": number},), **route)
    pools.reset()  # they are of the whole process: closed and kept, they would fail later tests
    queue.close()


MANY = 10_000 if os.environ.get("SENSORFLOW_LONG") == "1" else 1_500
FLYING = (
    "SELECT count(*) FROM files WHERE state IN ('pending', 'running') AND published_at IS NOT NULL"
)
SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"


def test_fault_39_thousands_of_waiting_files_leave_work_connections_and_memory_bounded(
    project: Path, database: str, valkey_url: str
) -> None:
    gone = {"after": "delete"}
    with fleet(project, database, valkey_url, max_in_flight=40, source=gone) as f:
        for number in range(MANY):
            content = text(rows(number, 1, random.Random(number)))
            (f.drop / f"{number}.csv").write_bytes(content)
        f.start("daemon", "worker", "beat")
        flying, sessions, memory = [0], [0], [0]
        with psycopg.connect(database, autocommit=True) as watch:

            def all_registered() -> bool:
                flying.append(number_of(watch, FLYING))
                sessions.append(number_of(watch, SESSIONS))
                memory.append(resident(f.running["daemon"].pid))
                return number_of(watch, "SELECT count(*) FROM files") == MANY

            f.wait(all_registered)
            f.wait(lambda: done(database) >= 100)
        assert 0 < max(flying) <= 40
        assert max(sessions) <= 20
        assert max(memory) < 400 << 20


def number_of(connection: psycopg.Connection[tuple[int]], query: str) -> int:
    found = connection.execute(query).fetchone()  # type: ignore[arg-type]
    assert found is not None
    return int(found[0])


def resident(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("the daemon has ended")
