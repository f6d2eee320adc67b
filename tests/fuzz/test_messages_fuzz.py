"""Spoiled messages on both brokers, good files in between: all of these load, and the worker goes on.

MESSAGES=5000 SEED=1: so many on each, `make fuzz-messages`.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

from fleet import Fleet, fleet, rows, text
from patience import PATIENCE
from servers import RabbitMQ
from strangers import MessageSpoiler, OnRabbitMQ, OnRedis

from sensorflow.adapters.queues.celery import CeleryPublisher

MESSAGES = int(os.environ.get("MESSAGES", "300"))
SEED = int(os.environ.get("SEED", "1"))
EVERY = 50
"""Messages to a file."""


def test_fault_42_spoiled_messages_on_valkey(project: Path, database: str, valkey_url: str) -> None:
    stranger = MessageSpoiler(random.Random(SEED), MESSAGES // EVERY)
    spoil(project, database, valkey_url, OnRedis(valkey_url, stranger))


def test_fault_42_spoiled_messages_on_rabbitmq(
    project: Path, database: str, rabbitmq: RabbitMQ
) -> None:
    url = rabbitmq.new_vhost()
    stranger = MessageSpoiler(random.Random(SEED), MESSAGES // EVERY)
    spoil(project, database, url, OnRabbitMQ(url, stranger))


def spoil(project: Path, database: str, broker: str, sender: OnRedis | OnRabbitMQ) -> None:
    with fleet(project, database, broker) as f:
        f.start("daemon", "worker", "beat")
        put(f, 0)
        loaded(f, 1)
        worker, files = f.running["worker"], 1
        for number in range(MESSAGES):
            sender.send()
            if number % EVERY == 0:
                put(f, files)
                files += 1
        loaded(f, files)
        queue = CeleryPublisher(broker, "landing")
        f.wait(lambda: queue.depth() == 0)
        queue.close()
        put(f, files)
        loaded(f, files + 1)
        sender.close()
        assert f.running["worker"] is worker
        assert worker.poll() is None, f.logs()
        log = (project / "worker.log").read_text(errors="replace")
        assert log.count("S003") >= MESSAGES // 3
        for lost in (
            "broker.lost",
            "Connection to broker lost",
        ):  # a message is no reason to connect again
            assert lost not in log, f.logs()
        assert "exited prematurely" not in log
        assert {v.attempts for v in f.ledger.files(limit=1000)} == {1}


def put(f: Fleet, number: int) -> None:
    f.put(f"{number}.csv", text(rows(number, 3, random.Random(number))))


def loaded(f: Fleet, files: int) -> None:
    until = time.monotonic() + PATIENCE
    while f.counts()["loaded"] < files:
        assert f.running["worker"].poll() is None, f.logs()
        assert time.monotonic() < until, f"{f.counts()}\n{f.logs()}"
        time.sleep(0.1)
    assert f.counts()["quarantined"] == 0
