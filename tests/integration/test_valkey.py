"""What Valkey alone has: messages that kombu gives back when a channel closes."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import kombu
import redis

from sensorflow.adapters.queues.celery import INGEST, CeleryPublisher, task_name
from sensorflow.core.arrival import OutboxEntry
from sensorflow.core.states import Stage
from sensorflow.ports.queue import Message

WAITING = OutboxEntry(
    7, "p", b"a.csv", 1, 1, bytes(16), "aa/aa", Stage.VALIDATE, datetime(2026, 1, 1, tzinfo=UTC)
)


def test_a_channel_of_a_lost_connection_closes_without_giving_messages_back(
    valkey_url: str,
) -> None:
    """Else Celery takes it for a defect, and the worker ends."""
    queue = CeleryPublisher(valkey_url, "landing")
    queue.depth()
    queue.publish([Message([WAITING])])
    connection = queue._app.connection_for_read()
    channel = connection.channel()
    assert channel.basic_get(task_name(INGEST)) is not None
    channel._pool = channel._client = None  # as after a broken connection
    channel.__dict__.pop("client", None)
    client, channel.connection.client = channel.connection.client, None
    channel.qos.restore_unacked_once()
    channel.connection.client = client
    connection.close()
    with redis.Redis.from_url(valkey_url) as other_client:
        assert other_client.hlen("unacked") == 1
    queue.close()


def test_an_event_without_a_message_does_not_hold_the_loop(valkey_url: str) -> None:
    """Of a connection that is gone, say, whose number a new one has: the worker would wait for ever."""
    queue = CeleryPublisher(valkey_url, "landing")
    connection = queue._app.connection_for_read()
    channel = connection.channel()
    commands = kombu.Queue("commands", kombu.Exchange("commands", type="fanout"))
    heard: list[object] = []
    consumer = kombu.Consumer(channel, [commands], callbacks=[lambda body, _: heard.append(body)])
    consumer.consume()
    connection.transport.cycle._register_LISTEN(channel)
    looking = threading.Thread(target=lambda: [channel._receive() for _ in range(4)], daemon=True)
    looking.start()
    looking.join(20)
    assert not looking.is_alive()
    kombu.Producer(connection.channel(), commands.exchange).publish({"a": 1})
    while not heard:
        channel._receive()
    connection.close()
    queue.close()
