"""What RabbitMQ alone has: quorum queues, the broker's word for each message, dead letters."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from servers import RabbitMQ

from sensorflow.adapters.queues.celery import INGEST, QUEUES, CeleryPublisher, task_name
from sensorflow.core.arrival import OutboxEntry
from sensorflow.core.states import Stage
from sensorflow.ports.queue import Message

WAITING = OutboxEntry(
    7, "p", b"a.csv", 1, 1, bytes(16), "aa/aa", Stage.VALIDATE, datetime(2026, 1, 1, tzinfo=UTC)
)


def test_every_queue_is_a_quorum_queue(rabbitmq: RabbitMQ) -> None:
    url = rabbitmq.new_vhost()
    CeleryPublisher(url, "landing").depth()
    found = rabbitmq.queues(url.rsplit("/", 1)[1])
    assert found == {task_name(task): "quorum" for task in QUEUES}


def test_the_publisher_waits_for_the_brokers_confirm(rabbitmq: RabbitMQ) -> None:
    queue = CeleryPublisher(rabbitmq.new_vhost(), "landing")
    with queue._app.connection_for_write() as connection:
        connection.connect()
        assert connection.connection.confirm_publish


def test_a_message_delivered_too_often_ends_in_the_quarantine_queue(rabbitmq: RabbitMQ) -> None:
    queue = CeleryPublisher(rabbitmq.new_vhost(), "landing")
    queue.depth()
    queue.publish([Message([WAITING])])
    with queue._app.connection_for_write() as connection, connection.channel() as channel:
        for _ in range(30):
            if (message := channel.basic_get(task_name(INGEST))) is None:
                break
            channel.basic_reject(message.delivery_tag, requeue=True)
            time.sleep(0.02)
        else:
            raise AssertionError("the delivery limit does not hold")
        for _ in range(100):
            if (message := channel.basic_get(task_name(Stage.QUARANTINE))) is not None:
                break
            time.sleep(0.05)
        assert message is not None
        assert '"file_id": 7' in str(message.body)


SWEEP = """
import gc, os
from test_rabbitmq import WAITING
from sensorflow.ports.queue import Message
from workers import process, tasks

def sockets():
    return sum("socket:" in os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")[:-1])

gc.disable()
process.ledger().project()
before = sockets()
process.publisher().publish([Message([WAITING])])
print(sockets() - before)
print(tasks.sweep())
print(sockets() - before)
print(gc.collect())
"""


def test_a_sweep_leaves_no_connection_and_no_garbage_in_a_child(
    rabbitmq: RabbitMQ, database: str, project: Path
) -> None:
    """A sweep opens two connections if it publishes, and the garbage collector of a child rarely runs."""
    (project / "sensorflow.toml").write_text("")
    given = {"SENSORFLOW_DATABASE_URL": database, "SENSORFLOW_BROKER_URL": rabbitmq.new_vhost()}
    tests = Path(__file__).parents[1]
    paths = {"PYTHONPATH": f"{tests.parent}:{tests}:{tests / 'integration'}"}
    command = [sys.executable, "-c", SWEEP]
    found = subprocess.run(
        command,
        cwd=project,
        env=os.environ | given | paths,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    published, done, swept, garbage = found.stdout.splitlines()
    assert "published=0" in done
    assert (published, swept) == ("1", "0")  # connections
    assert int(garbage) < 20  # objects
