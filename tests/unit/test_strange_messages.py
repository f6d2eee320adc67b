"""What a worker takes from a message, and which commands it obeys."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from kombu import Connection
from kombu.transport.virtual import Message

from sensorflow.adapters.queues.celery import CeleryPublisher, task_name
from sensorflow.adapters.queues.rabbitmq import _readable
from sensorflow.core.arrival import Lane, OutboxEntry
from sensorflow.core.states import Stage
from sensorflow.errors import UsageError
from sensorflow.ports import queue as ports
from workers.control import refusal
from workers.messages import own

WAITING = OutboxEntry(
    7, "p", b"a.csv", 1, 1, bytes(16), "aa/aa", Stage.VALIDATE, datetime(2026, 1, 1, tzinfo=UTC)
)


def sent(inline: bool, lane: Lane = Lane.LIVE) -> Any:
    """A message as our publisher sends it, as it comes out of a queue."""
    queue = CeleryPublisher("memory://", "landing")
    waiting = OutboxEntry(**{**vars(WAITING), "lane": lane})
    where = "sensorflow.backfill" if lane is Lane.BACKFILL else "sensorflow.validate"
    with queue._app.connection_for_write() as connection, connection.channel() as channel:
        name = task_name("ingest") if inline else where
        channel.queue_purge(name)
        queue.publish([ports.Message([waiting], None if inline else waiting.stage)])
        return channel.basic_get(name)


def links(message: Any) -> list[dict[str, Any]]:
    return json.loads(message.body)[2]["chain"]  # type: ignore[no-any-return]


def test_our_own_message_stays_what_it_is() -> None:
    message = sent(inline=True)
    before = json.loads(message.body)
    shown = message.headers["argsrepr"]
    own(message)
    assert json.loads(message.body)[:2] == before[:2]
    assert message.headers["task"] == "sensorflow.ingest"
    assert message.headers["argsrepr"] == shown


@pytest.mark.parametrize("lane", list(Lane))
def test_the_stages_of_a_file_stay_in_its_message(lane: Lane) -> None:
    message = sent(inline=False, lane=lane)
    before, args = links(message), json.loads(message.body)[0]
    own(message)
    expected_keys = ("task", "args", "immutable")
    assert [[link[n] for n in expected_keys] for link in links(message)] == [
        [link[n] for n in expected_keys] for link in before
    ]
    assert all(link["args"] == args for link in links(message))
    for link, was in zip(links(message), before, strict=True):
        assert link["options"] == {k: v for k, v in was["options"].items() if k != "reply_to"}


def foreign_message(**headers: Any) -> Any:
    """Of a stranger."""
    known = {"task": "sensorflow.ingest", "id": "x", **headers}
    with Connection("memory://") as connection, connection.channel() as channel:
        raw = {
            "body": json.dumps([[{}], {}, {}]),
            "content-type": "application/json",
            "content-encoding": "utf-8",
            "headers": known,
            "properties": {"delivery_tag": "x", "reply_to": "y", "priority": []},
        }
        return Message(raw, channel=channel)


def test_nothing_that_acts_on_a_child_or_asks_for_a_message_is_kept() -> None:
    acting = {"timelimit": [1, 1], "eta": "x", "expires": "x", "retries": 10**9, "shadow": "x"}
    message = foreign_message(
        **acting, stamped_headers=["a"], ignore_result=False, argsrepr="\x1b[31m"
    )
    own(message)
    assert message.headers == {
        "lang": "py",
        "task": "sensorflow.ingest",
        "id": "x",
        "retries": 0,
        "expires": None,
    }
    assert message.properties == {"correlation_id": "x", "priority": 0}


LINK = {"task": "sensorflow.load", "options": {}}


@pytest.mark.parametrize(
    "embed",
    [
        {"callbacks": [LINK]},
        {"errbacks": [LINK]},
        {"chord": LINK},
        {"chain": [{**LINK, "task": "sensorflow.sweep"}]},
        {"chain": [{**LINK, "task": ["x"]}]},
        {"chain": [LINK] * 3},
        {"chain": "x"},
        {"chain": [7]},
    ],
)
def test_a_message_that_would_send_others_is_refused(embed: dict[str, Any]) -> None:
    message = foreign_message()
    message.body = json.dumps([[{}], {}, embed]).encode()
    with pytest.raises(UsageError, match=r"chain|callbacks"):
        own(message)


@pytest.mark.parametrize("body", [[[], {}], [[{}, {}], {}], [[{}], {"a": 1}]])
def test_arguments_that_a_task_does_not_take_are_refused(body: list[Any]) -> None:
    message = foreign_message()
    message.body = json.dumps([*body, {}]).encode()
    with pytest.raises(UsageError, match="arguments"):
        own(message)


def test_a_chain_is_sent_nowhere_but_to_our_queues() -> None:
    message = foreign_message()
    elsewhere = {"exchange": "x", "queue": "x", "routing_key": "sensorflow.load", "headers": {}}
    message.body = json.dumps([[{}], {}, {"chain": [{**LINK, "options": elsewhere}]}]).encode()
    own(message)
    assert links(message)[0]["options"] == {"routing_key": "sensorflow.load"}


@pytest.mark.parametrize(
    ("command", "arguments", "is_obeyed"),
    [
        ("ping", {}, True),
        ("shutdown", {}, True),
        ("revoke", {"task_id": "x"}, True),
        ("revoke", {"task_id": "x", "terminate": True}, False),
        ("terminate", {"task_id": "x", "signal": "KILL"}, False),
        ("time_limit", {"task_name": "sensorflow.ingest", "hard": 1}, False),
        ("autoscale", {"max": 4, "min": None}, True),
        ("autoscale", {"max": 10**6}, False),
        ("pool_grow", {"n": True}, False),
        ("add_consumer", {"queue": "sensorflow.load", "exchange": None}, True),
        ("add_consumer", {"queue": "sensorflow.load", "exchange": "x"}, False),
        ("cancel_consumer", {"queue": ["x"]}, False),
        ("of-tomorrow", {}, False),
    ],
)
def test_commands(command: str, arguments: dict[str, Any], is_obeyed: bool) -> None:
    assert (refusal(command, arguments) is None) == is_obeyed


def test_a_frame_that_cannot_be_decoded_loses_what_is_wrong_and_nothing_else() -> None:
    header = bytes((0, 60, 0, 0)) + (5).to_bytes(8)
    good = header + b"\x80\x00\x01x"
    assert _readable(2, good) == good
    assert _readable(2, header + b"\x80\x00\x01\xff") == header + b"\0\0"
    delivery = bytes((0, 60, 0, 60)) + b"\x01c" + (7).to_bytes(8) + b"\0"
    assert _readable(1, delivery + b"\x01\xff\x01q") == delivery + b"\0\0"
    assert _readable(1, delivery + b"\x01e\x01q") == delivery + b"\x01e\x01q"
