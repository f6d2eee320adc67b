"""Tests of the contract of `ports.queue.Consumer`, with messages from a publisher. The fixture `broker`
returns a `Broker`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sensorflow.core.states import Stage
from sensorflow.ports.queue import Consumer, Delivery, Publisher, Task
from sensorflow.testing.conformance.publishers import MESSAGES

HELD = 30.0
PATIENCE = 20.0


@dataclass
class Broker:
    """The publisher and the consumer of a broker, in one process or two. later: lets the given number of
    seconds pass on the broker's clock. The broker must redeliver an unacknowledged message after `HELD`
    seconds."""

    publisher: Publisher
    consumer: Consumer
    later: Callable[[float], None]

    def one(self) -> Delivery:
        [found] = self.consumer.receive(1, PATIENCE)
        return found

    @property
    def is_empty(self) -> bool:
        return not self.consumer.receive(9, 0)


def test_what_was_sent_is_received_once_it_is_there(broker: Broker) -> None:
    assert broker.consumer.receive(1, 0.01) == []
    broker.publisher.publish(MESSAGES)
    found = [*broker.consumer.receive(2, PATIENCE), *broker.consumer.receive(2, PATIENCE)]
    expected = [Task([1]), Task([2], Stage.VALIDATE), Task([1, 2, 3])]
    assert [(list(d.task.file_ids), d.task.only) for d in found] == [
        (list(task.file_ids), task.only) for task in expected
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
    assert broker.is_empty  # the delivery is not yet due again
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
