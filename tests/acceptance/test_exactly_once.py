"""The main promise, on both brokers, with real processes killed in the middle."""

from __future__ import annotations

import os
import random
from pathlib import Path

import redis
from fleet import Fleet, Manifest, fleet, generate, rows, text
from servers import RabbitMQ

from sensorflow.adapters.stores.quarantine import LocalQuarantine
from sensorflow.core.states import State

FILES, ROWS, SEED = 300, 500, 20260101


def test_daemon_and_worker_killed_in_the_middle_lose_and_double_nothing(
    project: Path, database: str, broker: str
) -> None:
    with fleet(project, database, broker) as f:
        f.start("daemon", "worker", "beat")
        manifest = Manifest()
        for manifest, drops in generate(FILES, ROWS, SEED):
            for name, content in drops:
                f.put(name, content)
            if manifest.files == FILES // 3:
                f.wait(lambda: f.finished() > 20)
                f.kill("daemon")
                f.start("daemon")
            if manifest.files == 2 * FILES // 3:
                f.wait(lambda: f.counts()["running"] > 0)
                f.kill("worker")
                f.start("worker")
        f.wait(lambda: f.finished() == FILES, 120)
        assert_all_accounted_for(f, manifest)


def assert_all_accounted_for(f: Fleet, manifest: Manifest) -> None:
    found = manifest.of_database(f.database)
    assert len(found - manifest.readings) == 0, "unexpected"
    assert len(manifest.readings - found) == 0, "lost"
    files = f.ledger.files(limit=10_000)
    assert {v.name for v in files if v.state is State.QUARANTINED} == manifest.corrupt
    store = LocalQuarantine(f.project / "data" / "quarantine")
    for view in f.ledger.files(State.QUARANTINED, limit=10_000):
        kept = store.manifest(view.facts["quarantined_to"])
        assert kept["file"]["name"] == view.name
        assert kept["error"]["code"].startswith("F203")
    assert all(v.counts.balanced for v in files if v.state is State.LOADED)
    aliases = sum(a["kind"] == "alias" for v in files for a in f.ledger.arrivals(v.file_id))
    assert aliases == FILES // 10
    left = [p for p in f.drop.iterdir() if p.is_file()]
    assert left == []


def test_emptied_valkey_costs_nothing(project: Path, database: str, valkey_url: str) -> None:
    def empty() -> None:
        with redis.Redis.from_url(valkey_url) as client:
            assert client.flushall()

    _lose_all_messages(project, database, valkey_url, empty)


def test_deleted_rabbitmq_queue_costs_nothing(
    project: Path, database: str, rabbitmq: RabbitMQ
) -> None:
    url = rabbitmq.fresh()
    vhost = url.rsplit("/", 1)[1]
    _lose_all_messages(
        project, database, url, lambda: rabbitmq.delete_queue(vhost, "sensorflow.ingest")
    )


def _lose_all_messages(project: Path, database: str, broker: str, lose: object) -> None:
    """Files are published, the broker loses them, and two sweeps later all are loaded."""
    assert callable(lose)
    with fleet(project, database, broker) as f:
        f.start("daemon")
        for number in range(30):
            f.put(f"{number}.csv", text(rows(number, 10, random.Random(number))))
        f.wait(lambda: len(f.ledger.due(100, 1000)) == 0 and f.counts()["pending"] == 30)
        lose()
        f.start("worker", "beat")
        f.wait(lambda: f.counts()["loaded"] == 30)
        for view in f.ledger.files():
            told = [event["what"] for event in f.ledger.history(view.file_id)]
            assert 1 <= told.count("message missing") <= 2, told


def test_files_that_landed_while_the_daemon_was_down_are_found(
    project: Path, database: str, valkey_url: str
) -> None:
    with fleet(project, database, valkey_url) as f:
        f.put("early.csv", text(rows(1, 10, random.Random(1))))
        f.start("daemon", "worker")
        f.wait(lambda: f.counts()["loaded"] == 1)
        assert os.listdir(f.drop) == []
