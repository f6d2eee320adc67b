"""Messages of somebody who reaches the broker: ours, spoiled at random, as Redis and RabbitMQ take them."""

from __future__ import annotations

import contextlib
import copy
import json
import random
import re
import sys
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import amqp
import redis

from sensorflow.adapters.queues.celery import QUEUES, TASKS, task_name
from sensorflow.core.arrival import EVENT_TYPE


def _nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


DEEP = 5000
_DEEP = '{"a":' * DEEP + "1" + "}" * DEEP
ODD: list[Any] = [
    *("@900", "@400", "@50"),
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 10**400, 1.5, float("inf"), float("nan")),
    *(
        "",
        "x",
        "\x00",
        "\u202e",
        "\x1b[31m",
        "a" * 70_000,
        "\ud800",
        "1970-01-01T00:00:00Z",
        "args",
    ),
    *([], [[]], ["a"], {}, {"a": {}}, {"__type__": "uuid", "__value__": {"hex": "z"}}, [1, 2, 3]),
    *(
        {"__type__": "datetime", "__value__": 7},
        "9999-99-99",
        [0.001, 0.001],
        [None],
        "application/x-yaml",
    ),
]
EXTRA: dict[str, list[Any]] = {
    "timelimit": [[0.01, 0.01], [1, None], "ab", 7, [1], {"a": 1}],
    "eta": ["2999-01-01T00:00:00Z", "x", 7, [], "0001-01-01T00:00:00+23:59"],
    "expires": ["2000-01-01T00:00:00Z", "x", 1e300, [], -1],
    "retries": [10**30, "x", []],
    "stamped_headers": [["a"], 7, "a", [[]], {"a": 1}],
    "stamps": [7, [], {"a": [[]]}],
    "compression": ["zlib", "bzip2", [], 7, "x"],
    "shadow": [7, [], "\x1b]0;x\x07"],
    "ignore_result": [False, []],
    "replaced_task_nesting": ["x"],
    "redelivered": [7],
}
_ADDRESS = {"task": "sensorflow.sweep", "args": [], "kwargs": {}, "options": {"queue": "elsewhere"}}
EMBEDDED: list[Any] = [
    {"callbacks": [_ADDRESS]},
    {"errbacks": [_ADDRESS]},
    {"chord": _ADDRESS},
    {"chain": [_ADDRESS]},
    {"chain": [{"task": "sensorflow.load", "options": {"exchange": "elsewhere"}}] * 2},
    {"chain": "x"},
    {"chain": [7]},
    {"chain": [{"task": ["x"]}]},
]
COMMANDS = (
    *(
        "revoke",
        "terminate",
        "time_limit",
        "rate_limit",
        "pool_restart",
        "pool_grow",
        "pool_shrink",
    ),
    *("autoscale", "add_consumer", "cancel_consumer", "election", "ping", "stats", "conf", "hello"),
    *("revoke_by_stamped_headers", "active", "memdump", "nothing"),
)


class MessageSpoiler:
    """`draw` decides everything; `files`: how many ids of files there may be."""

    def __init__(self, draw: random.Random, files: int) -> None:
        self.draw = draw
        self.files = files

    def message(self) -> dict[str, Any]:
        """One of ours: a body, headers and properties."""
        data = {"file_id": self.draw.randint(1, self.files)}
        event = {"specversion": "1.0", "type": EVENT_TYPE, "data": data}
        name, number = (
            task_name(self.draw.choice(TASKS)),
            str(uuid.UUID(int=self.draw.getrandbits(128))),
        )
        embed = dict.fromkeys(("callbacks", "errbacks", "chain", "chord"))
        return {
            "body": [[event], {}, embed],
            "headers": {"lang": "py", "task": name, "id": number, "retries": 0, "root_id": number},
            "properties": {
                "correlation_id": number,
                "reply_to": "x",
                "priority": 0,
                "delivery_mode": 2,
            },
        }

    def spoiled(self) -> dict[str, Any]:
        message = self.message()
        for _ in range(self.draw.randint(1, 3)):
            kind = self.draw.randrange(5)
            if kind == 0:
                name = self.draw.choice(list(EXTRA))
                if isinstance(message["headers"], dict):
                    message["headers"][name] = copy.deepcopy(self.draw.choice(EXTRA[name]))
            elif kind == 1 and isinstance(message["body"], list) and len(message["body"]) == 3:
                message["body"][2] = copy.deepcopy(self.draw.choice(EMBEDDED))
            else:
                self._spoil(message)
        return message

    def _spoil(self, message: Any) -> None:
        """Replace, remove or add something anywhere in it."""
        parts = [part for part in _parts(message) if part]
        part = self.draw.choice(parts) if parts else message
        key = self.draw.choice(list(part) if isinstance(part, dict) else range(len(part)))
        if part is message or self.draw.random() < 0.75:
            part[key] = copy.deepcopy(self.draw.choice(ODD))
        else:
            del part[key]

    def command(self) -> dict[str, Any]:
        """For the workers' mailboxes."""
        arguments = {
            "task_id": self.draw.choice(["x", ["y"], [[]], 7]),
            "terminate": True,
            "signal": "KILL",
            "n": self.draw.choice([1, 10**6, -1, "x"]),
            "max": self.draw.choice([10**6, 0, "x"]),
            "task_name": "sensorflow.ingest",
            "soft": 0.01,
            "hard": 0.01,
            "rate_limit": "1/h",
            "queue": self.draw.choice(["elsewhere", [], 7]),
            "exchange": "sensorflow",
            "headers": {"a": 1},
            "id": "x",
            "topic": "task",
            "action": _ADDRESS,
        }
        names = self.draw.sample(list(arguments), self.draw.randint(0, 4))
        spoiled = {
            "method": self.draw.choice(COMMANDS),
            "arguments": {name: arguments[name] for name in names},
            "destination": None,
            "pattern": self.draw.choice([None, None, None, "(.*.*)*$"]),
            "matcher": "pcre",
            "reply_to": self.draw.choice(
                [None, {"exchange": "sensorflow", "routing_key": "x"}, "x"]
            ),
            "ticket": "x",
        }
        if self.draw.random() < 0.5:
            self._spoil(spoiled)
        return spoiled


def _parts(value: Any) -> list[Any]:
    """All objects and lists in it, itself too."""
    if isinstance(value, dict):
        return [value, *(part for inner in value.values() for part in _parts(inner))]
    if isinstance(value, list):
        return [value, *(part for inner in value for part in _parts(inner))]
    return []


def text(value: Any) -> str:
    """JSON; "@900" in it is an object of so many levels."""
    with _long_numbers():
        encoded = json.dumps(value)
    return re.sub(r'"@(\d+)"', lambda m: '{"a":' * int(m[1]) + "1" + "}" * int(m[1]), encoded)


@contextlib.contextmanager
def _long_numbers() -> Any:
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    yield
    sys.set_int_max_str_digits(before)


class OnRedis:
    """Writes right into the lists, the channels and the hash that kombu has there."""

    def __init__(self, url: str, stranger: MessageSpoiler) -> None:
        self._client = redis.Redis.from_url(url)
        self._stranger, self._draw = stranger, stranger.draw

    def send(self) -> None:
        kind = self._draw.random()
        if kind < 0.05:
            self._client.publish(
                "/0.celery.pidbox", self._bytes(self._enveloped(self._stranger.command()))
            )
        elif kind < 0.07:
            self._client.publish(
                "/0.celeryev/worker.heartbeat", self._bytes(self._stranger.spoiled())
            )
        elif kind < 0.08:
            self._client.hset(
                "unacked", "stranger", self._draw.choice(["", "x", "[]", '[1,"x","y"]'])
            )
            self._client.zadd("unacked_index", {"stranger": 1})
        else:
            queue = task_name(self._draw.choice(QUEUES))
            self._client.lpush(queue, self._bytes(self._envelope(queue)))

    def _envelope(self, queue: str) -> dict[str, Any]:
        message = self._stranger.spoiled()
        envelope = {
            "body": text(message["body"]) if self._draw.random() < 0.9 else message["body"],
            "content-type": "application/json",
            "content-encoding": "utf-8",
            "headers": message.get("headers"),
            "properties": message.get("properties"),
        }
        if isinstance(envelope["properties"], dict):
            tag, info = str(self._draw.random()), {"exchange": "sensorflow", "routing_key": queue}
            envelope["properties"] |= {"delivery_tag": tag, "delivery_info": info}
        if self._draw.random() < 0.4:
            self._stranger._spoil(envelope)
        return envelope

    def _enveloped(self, command: Any) -> dict[str, Any]:
        info = {"exchange": "celery.pidbox", "routing_key": ""}
        envelope = {
            "body": text(command),
            "content-type": "application/json",
            "content-encoding": "utf-8",
            "headers": {"clock": self._draw.choice([1, 10**300, "x", float("inf"), -1])},
            "properties": {"delivery_tag": "x", "delivery_info": info},
        }
        if self._draw.random() < 0.3:
            self._stranger._spoil(envelope)
        return envelope

    def _bytes(self, envelope: Any) -> bytes:
        body = text(envelope).encode()
        kind = self._draw.randrange(30)
        if kind == 0:
            return body[: self._draw.randrange(len(body))]
        if kind == 1:
            at = self._draw.randrange(len(body))
            return body[:at] + self._draw.randbytes(3) + body[at:]
        other = [_DEEP.encode(), b"\xff\xfe", b"[]", b"7", b"null", b'"x"', b"\0", b'{"a":' * 3000]
        return self._draw.choice(other) if kind == 2 else body

    def left(self) -> int:
        """Messages that nobody has taken or let go of, but for sweeps that come all the time."""
        queues = [task_name(queue) for queue in QUEUES]
        return sum(int(self._client.llen(name)) for name in queues) + int(
            self._client.hlen("unacked")
        )

    def close(self) -> None:
        self._client.close()


_HEADERS: list[Callable[[], Any]] = [
    lambda: Decimal("1.5"),
    lambda: datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None),
    lambda: b"\xff\xfe",
    lambda: {"a": [{"b": b"\xff"}]},
    lambda: _nested(900),
    lambda: _nested(10),
    lambda: [None, True, 1.5, -(2**31)],
]


class OnRabbitMQ:
    """A client's connection; the broker closes it at once for some of what is sent."""

    def __init__(self, url: str, stranger: MessageSpoiler) -> None:
        self._parts = urlsplit(url)
        self._stranger, self._draw = stranger, stranger.draw
        self._connection: amqp.Connection | None = None

    def send(self) -> None:
        try:
            self._send()
        except Exception:  # noqa: BLE001 - refused by the broker or by py-amqp
            self.close()

    def _send(self) -> None:
        if self._connection is None:
            parts = self._parts
            host = f"{parts.hostname}:{parts.port}"
            self._connection = amqp.Connection(
                host, virtual_host=parts.path[1:], confirm_publish=True
            )
            self._connection.connect()
            self._channel = self._connection.channel()
        if self._draw.random() < 0.05:
            message = amqp.Message(
                text(self._stranger.command()),
                content_type="application/json",
                content_encoding="utf-8",
                application_headers={"clock": self._draw.choice([1, 2**62, "x", -1, [1]])},
            )
            self._channel.basic_publish(message, exchange="celery.pidbox", confirm_timeout=5)
            return
        queue = task_name(self._draw.choice(QUEUES))
        self._channel.basic_publish(self._message(), "sensorflow", queue, confirm_timeout=5)

    def _message(self) -> amqp.Message:
        message = self._stranger.spoiled()
        headers = message.get("headers")
        if isinstance(headers, dict) and self._draw.random() < 0.4:
            headers[self._draw.choice(["a", "task", "id", "argsrepr", "clock"])] = (
                self._draw.choice(_HEADERS)()
            )
        properties = {"content_type": "application/json", "content_encoding": "utf-8"}
        if self._draw.random() < 0.3:
            name = self._draw.choice(
                ["content_type", "content_encoding", "correlation_id", "type", "message_id"]
            )
            properties[name] = self._draw.choice(
                [b"\xff\xfe", "", "x", "idna", "application/x-yaml"]
            )
        body = text(message.get("body")).encode()
        if self._draw.random() < 0.15:
            body = self._draw.choice(
                [b"", b"\xff", _DEEP.encode(), body[:-1], b"7", b"x" * (2 << 20)]
            )
        given = headers if isinstance(headers, dict) else {}
        return amqp.Message(body, application_headers=given, **properties)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.collect()
