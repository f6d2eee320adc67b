"""What Valkey alone has: messages that kombu gives back when a channel closes."""

from __future__ import annotations

from datetime import UTC, datetime

import redis

from sensorflow.adapters.queues.celery import INGEST, CeleryQueue, task_name
from sensorflow.core.arrival import Waiting
from sensorflow.core.states import Stage

WAITING = Waiting(
    7, "p", b"a.csv", 1, 1, bytes(16), "aa/aa", Stage.VALIDATE, datetime(2026, 1, 1, tzinfo=UTC)
)


def test_a_channel_of_a_lost_connection_closes_without_giving_messages_back(
    valkey_url: str,
) -> None:
    """Else Celery takes it for a defect, and the worker ends."""
    queue = CeleryQueue(valkey_url, "landing")
    queue.declare()
    queue.publish(WAITING, inline=True)
    connection = queue._app.connection_for_read()
    channel = connection.channel()
    assert channel.basic_get(task_name(INGEST)) is not None
    channel._pool = channel._client = None  # as after a broken connection
    channel.__dict__.pop("client", None)
    client, channel.connection.client = channel.connection.client, None
    channel.qos.restore_unacked_once()
    channel.connection.client = client
    connection.close()
    with redis.Redis.from_url(valkey_url) as held:
        assert held.hlen("unacked") == 1
    queue.close()
