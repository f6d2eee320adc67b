"""The contracts of `ports.queue`: publishers, and consumers of what they sent."""

from __future__ import annotations

from pathlib import Path

import pytest
from sensorflow_line import InMemoryBroker

from sensorflow.adapters.queues.celery import CeleryPublisher
from sensorflow.ports.queue import Publisher
from sensorflow.testing.conformance.brokers import *  # noqa: F403
from sensorflow.testing.conformance.brokers import HELD, Broker
from sensorflow.testing.conformance.publishers import *  # noqa: F403
from sensorflow.testing.queue import MemoryQueue


@pytest.fixture(params=["memory", "line", "valkey", "rabbitmq"])
def publisher(request: pytest.FixtureRequest, tmp_path: Path) -> Publisher:
    if request.param == "line":
        return InMemoryBroker(tmp_path / "line.sqlite")
    if request.param == "memory":
        return MemoryQueue()
    server = request.getfixturevalue(request.param)
    if request.param == "valkey":
        return CeleryPublisher(request.getfixturevalue("valkey_url"), "landing")
    return CeleryPublisher(server.new_vhost(), "landing")


@pytest.fixture(params=["memory", "line"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Broker:
    now = [0.0]
    queue: MemoryQueue | InMemoryBroker = MemoryQueue(HELD, lambda: now[0])
    if request.param == "line":
        queue = InMemoryBroker(tmp_path / "line.sqlite", lambda: now[0])
    return Broker(queue, queue, lambda seconds: now.__setitem__(0, now[0] + seconds))
