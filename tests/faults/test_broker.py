"""The broker forgets, restarts, or cannot be reached: a hint is lost, and nothing else."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import redis
from dropped_files import DroppedFiles, assert_exact, children
from fleet import LONG_LEASE, Fleet, fleet
from proxy import Proxy
from servers import RabbitMQ

LONG = os.environ.get("SENSORFLOW_LONG") == "1"
OUTAGE = 60.0 if LONG else 12.0


def test_fault_06_emptied_valkey_costs_nothing(
    project: Path, database: str, valkey_url: str
) -> None:
    def empty() -> None:
        with redis.Redis.from_url(valkey_url) as client:
            assert client.flushall()

    lose_all_messages(project, database, valkey_url, empty)


def test_fault_06_deleted_rabbitmq_queue_costs_nothing(
    project: Path, database: str, rabbitmq: RabbitMQ
) -> None:
    url = rabbitmq.new_vhost()
    vhost = url.rsplit("/", 1)[1]
    lose_all_messages(
        project, database, url, lambda: rabbitmq.delete_queue(vhost, "sensorflow.ingest")
    )


def lose_all_messages(project: Path, database: str, broker: str, lose: Callable[[], None]) -> None:
    """Files are published, the broker loses them, and two sweeps later all are loaded."""
    with fleet(project, database, broker) as f:
        drops = DroppedFiles(f)
        f.start("daemon")
        for number in range(12):
            drops.put(f"{number}.csv")
        f.wait(lambda: f.counts()["pending"] == 12 and f.ledger.pending(100, 1000) == [])
        lose()
        f.start("worker", "beat")
        f.wait(lambda: f.counts()["loaded"] == 12)
        assert_exact(f, drops.manifest)
        for view in f.ledger.files():
            events = [event.what for event in f.ledger.history(view.file_id)]
            assert 1 <= events.count("message missing") <= 2, events


def test_fault_08_broker_unreachable_and_back_again(
    project: Path, database: str, broker: str
) -> None:
    """Reset once and a black hole after; files go on being registered, and workers consume again."""
    parts = urlsplit(broker)
    assert parts.hostname is not None
    assert parts.port is not None
    with (
        Proxy(parts.hostname, parts.port) as proxy,
        fleet(project, database, proxy.url(broker), environment=LONG_LEASE) as f,
    ):
        drops = DroppedFiles(f)
        f.start("daemon", "worker", "beat")
        drops.put("before.csv")
        f.wait(lambda: f.counts()["loaded"] == 1)
        worker, daemon = f.running["worker"].pid, f.running["daemon"].pid
        proxy.refuse()
        assert proxy.reset() > 0
        drops.put("refused.csv")
        f.wait(lambda: f.counts()["files"] == 2)
        proxy.pass_all()
        f.wait(lambda: f.counts()["loaded"] == 2)
        proxy.black_hole()
        until = time.monotonic() + OUTAGE
        drops.put("silent.csv")
        f.wait(lambda: f.counts()["files"] == 3)  # the daemon registers all the same
        time.sleep(max(0.0, until - time.monotonic()))
        assert f.counts()["loaded"] == 2
        proxy.pass_all()
        drops.put("after.csv")
        f.wait(lambda: f.counts()["loaded"] == 4)
        assert still_the_same(f, worker, daemon)
        assert_exact(f, drops.manifest)
        assert {v.attempts for v in f.ledger.files()} == {1}


def still_the_same(f: Fleet, worker: int, daemon: int) -> bool:
    alive = all(f.running[name].poll() is None for name in ("worker", "daemon", "beat"))
    same = (worker, daemon) == (f.running["worker"].pid, f.running["daemon"].pid)
    return alive and same and children(worker) != []
