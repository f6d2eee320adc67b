"""Each small file has its own message and its own task, seen in Flower by its name; none is slower for it:
a worker takes waiting ones along, and their tasks say with which file they were loaded."""

from __future__ import annotations

import base64
import json
import random
import signal
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import psycopg
from fleet import Fleet, Manifest, fleet, rows, text
from patience import PATIENCE

from sensorflow.adapters.queues.celery import CeleryPublisher

FILES = 60
PASSWORD = "seen"


def dropped(f: Fleet) -> Manifest:
    """Small files that all wait, as messages, before there is a worker."""
    manifest = Manifest(files=FILES)
    for number in range(FILES):
        readings = rows(number, number % 5 + 1, random.Random(number))
        manifest.readings.update(readings)
        f.put(f"{number}.csv", text(readings))
    f.start("daemon")
    f.wait(lambda: f.counts()["pending"] == FILES and f.ledger.pending(99, 1000) == [])
    return manifest


def messages(f: Fleet) -> int:
    return CeleryPublisher(f.env["SENSORFLOW_BROKER_URL"], "landing").depth()


def tasks(f: Fleet) -> list[dict[str, Any]]:
    """Those that Flower shows as done."""
    url = f"http://127.0.0.1:{f.flower_port}/api/tasks?state=SUCCESS&taskname=sensorflow.ingest"
    word = base64.b64encode(f"sensorflow:{PASSWORD}".encode()).decode()
    request = urllib.request.Request(url, headers={"Authorization": f"Basic {word}"})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return list(json.load(answer).values())
    except (urllib.error.URLError, OSError):
        return []


def flower_is_up(f: Fleet) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{f.flower_port}/healthcheck", timeout=5):
            return True
    except OSError:
        return False


def assert_exact(f: Fleet, manifest: Manifest) -> None:
    assert manifest.of_database(f.database) == manifest.readings
    assert f.counts()["loaded"] == f.counts()["files"] == FILES
    assert all(v.counts.read == v.counts.loaded for v in f.ledger.files(limit=FILES))


def claimed(f: Fleet) -> Counter[str | None]:
    """Why each file was claimed, and how often."""
    with psycopg.connect(f.database) as connection:
        query = "SELECT why FROM file_events WHERE what = 'claimed'"
        return Counter(reason for (reason,) in connection.execute(query).fetchall())


def test_every_small_file_has_a_message_and_a_task_and_most_are_loaded_together(
    project: Path, database: str, broker: str
) -> None:
    # a sweep sends those once more that a worker has, and has not begun
    long_lease = {"SENSORFLOW_LEASE": "300", "SENSORFLOW_RECONCILE": "300"}
    with fleet(project, database, broker, environment=long_lease) as f:
        f.env["SENSORFLOW_FLOWER_PASSWORD"] = PASSWORD
        f.start("flower")
        manifest = dropped(f)
        assert messages(f) == FILES
        f.wait(lambda: flower_is_up(f))
        f.start("worker")
        f.wait(lambda: len(tasks(f)) >= FILES)
        assert_exact(f, manifest)
        done = tasks(f)
        names = [task["args"].split("file=")[1].split()[0] for task in done]
        assert sorted(names) == sorted(f"{n}.csv" for n in range(FILES))
        results = dict(zip(names, (task["result"] for task in done), strict=True))
        leads = {v.file_id: v.name for v in f.ledger.files(limit=FILES)}
        for view in f.ledger.files(limit=FILES):
            reason = next(e.why for e in f.ledger.history(view.file_id) if e.what == "claimed")
            result = results[view.name]
            if reason is None:
                assert f"loaded {view.name}: read={view.counts.read}" in result, result
            else:
                first = int(reason.removeprefix("together with file "))
                batch = f"loaded in the batch of file {first}"
                assert batch in result or "claimed by another worker" in result, result
                assert "batch members" in results[leads[first]]
        assert sum(claimed(f).values()) == FILES
        assert claimed(f)[None] < FILES / 2
        assert messages(f) == 0


def test_small_files_share_messages_where_the_settings_say_so(
    project: Path, database: str, broker: str
) -> None:
    with fleet(project, database, broker, group_small_files=True) as f:
        manifest = dropped(f)
        assert messages(f) < FILES / 2
        f.start("worker")
        f.wait(lambda: f.counts()["loaded"] == FILES)
        assert_exact(f, manifest)
        assert sum(claimed(f).values()) >= FILES  # on a slow machine a lease may end meanwhile


def test_a_worker_that_is_stopped_has_told_flower_of_its_last_task(
    project: Path, database: str, broker: str
) -> None:
    """Events wait for others, a fifth of a second."""
    with fleet(project, database, broker) as f:
        f.env["SENSORFLOW_FLOWER_PASSWORD"] = PASSWORD
        f.start("flower", "worker", "daemon")
        f.wait(lambda: flower_is_up(f))
        for number in range(3):
            f.put(f"{number}.csv", text(rows(number, 2, random.Random(number))))
            f.wait(lambda: f.counts()["loaded"] == number + 1)  # noqa: B023
        f.running["worker"].send_signal(signal.SIGTERM)
        f.wait(lambda: len(tasks(f)) == 3)
