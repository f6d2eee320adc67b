"""The queue adapter on real brokers."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sensorflow.adapters.queues.celery import CeleryQueue
from sensorflow.core.arrival import Waiting
from sensorflow.core.states import Stage
from sensorflow.errors import Code, Transient


def waiting(number: int = 1) -> Waiting:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return Waiting(number, "plant", b"a b.csv", 1, 10, bytes(16), "00/00", Stage.VALIDATE, now)


def test_published_messages_are_counted(broker: str) -> None:
    queue = CeleryQueue(broker, "landing")
    assert queue.declare() == 0
    queue.publish(waiting(1), inline=True)
    queue.publish(waiting(2), inline=False)
    assert queue.depth() == 2
    queue.close()


def test_unreachable_broker_is_transient() -> None:
    queue = CeleryQueue("redis://127.0.0.1:1/0", "landing")
    with pytest.raises(Transient) as caught:
        queue.publish(waiting(), inline=True)
    assert caught.value.code is Code.BROKER
    assert queue.depth() is None
