"""The contracts of `ports.queue`: publishers, and consumers of what they sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sensorflow_line import Line

from sensorflow.adapters.queues.celery import CeleryPublisher
from sensorflow.core.arrival import Waiting
from sensorflow.core.states import Stage
from sensorflow.ports.queue import Consumer, Delivery, Message, Publisher, Task
from sensorflow.testing.queue import MemoryQueue

AT = datetime(2026, 1, 1, tzinfo=UTC)
ONE = Waiting(1, "plant", b"a.csv", 1, 10, bytes(16), "aa/aa", Stage.VALIDATE, AT)
TWO, THREE = replace(ONE, file_id=2), replace(ONE, file_id=3)
MESSAGES = [Message([ONE]), Message([TWO], Stage.VALIDATE), Message([ONE, TWO, THREE])]
HELD = 30.0
PATIENCE = 20.0


@pytest.fixture(params=["memory", "line", "valkey", "rabbitmq"])
def publisher(request: pytest.FixtureRequest, tmp_path: Path) -> Publisher:
    if request.param == "line":
        return Line(tmp_path / "line.sqlite")
    if request.param == "memory":
        return MemoryQueue()
    server = request.getfixturevalue(request.param)
    if request.param == "valkey":
        return CeleryPublisher(request.getfixturevalue("valkey_url"), "landing")
    return CeleryPublisher(server.fresh(), "landing")


def test_messages_are_counted(publisher: Publisher) -> None:
    assert publisher.depth() == 0
    publisher.publish(MESSAGES)
    assert publisher.depth() == 3


def test_each_message_is_confirmed(publisher: Publisher) -> None:
    confirmed: list[Message] = []
    publisher.publish(MESSAGES, confirmed.append)
    assert sorted(map(id, confirmed)) == sorted(map(id, MESSAGES))


def test_a_quarantine_task_is_a_message_by_itself(publisher: Publisher) -> None:
    publisher.publish([Message([replace(ONE, stage=Stage.QUARANTINE)], Stage.QUARANTINE)])
    assert publisher.depth() == 1


@dataclass
class Broker:
    """Both halves. later: so many seconds pass; `HELD` is how long a delivery is held."""

    publisher: Publisher
    consumer: Consumer
    later: Callable[[float], None]

    def one(self) -> Delivery:
        [found] = self.consumer.receive(1, PATIENCE)
        return found

    @property
    def is_empty(self) -> bool:
        return not self.consumer.receive(9, 0)


@pytest.fixture(params=["memory", "line"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Broker:
    now = [0.0]
    queue: MemoryQueue | Line = MemoryQueue(HELD, lambda: now[0])
    if request.param == "line":
        queue = Line(tmp_path / "line.sqlite", lambda: now[0])
    return Broker(queue, queue, lambda seconds: now.__setitem__(0, now[0] + seconds))


def test_what_was_sent_is_received_once_it_is_there(broker: Broker) -> None:
    assert broker.consumer.receive(1, 0.01) == []
    broker.publisher.publish(MESSAGES)
    found = [*broker.consumer.receive(2, PATIENCE), *broker.consumer.receive(2, PATIENCE)]
    wanted = [Task([1]), Task([2], Stage.VALIDATE), Task([1, 2, 3])]
    assert [(list(d.task.file_ids), d.task.only) for d in found] == [
        (list(task.file_ids), task.only) for task in wanted
    ]
    assert broker.is_empty


def test_what_is_acknowledged_does_not_come_again(broker: Broker) -> None:
    broker.publisher.publish(MESSAGES[:1])
    broker.one().ack()
    broker.later(HELD * 2)
    assert broker.is_empty
    assert broker.publisher.depth() == 0


def test_what_is_given_back_comes_again_after_its_delay(broker: Broker) -> None:
    broker.publisher.publish(MESSAGES[:1])
    broker.one().nack(0)
    broker.one().nack(HELD)
    assert broker.is_empty
    broker.later(HELD)
    assert list(broker.one().task.file_ids) == [1]


def test_what_is_neither_settled_nor_extended_comes_again(broker: Broker) -> None:
    broker.publisher.publish(MESSAGES[:1])
    first = broker.one()
    broker.later(HELD - 1)
    first.extend(HELD)
    broker.later(HELD - 1)
    assert broker.is_empty
    broker.later(2)
    assert list(broker.one().task.file_ids) == [1]


def test_a_delivery_that_came_again_settles_nothing(broker: Broker) -> None:
    broker.publisher.publish(MESSAGES[:1])
    first = broker.one()
    broker.later(HELD + 1)
    again = broker.one()
    first.ack()
    first.nack(0)
    first.extend(HELD * 9)
    assert broker.is_empty  # it is still held
    broker.later(HELD + 1)
    again.extend(HELD)  # too late as well
    assert list(broker.one().task.file_ids) == [1]


def test_a_delivery_is_settled_once(broker: Broker) -> None:
    broker.publisher.publish(MESSAGES[:1])
    first = broker.one()
    first.ack()
    first.nack(0)
    first.extend(HELD)
    assert broker.is_empty
