"""Tests of the contract of `ports.queue.Publisher`. The fixture `publisher` returns a publisher whose
broker is empty."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from sensorflow.core.arrival import OutboxEntry
from sensorflow.core.states import Stage
from sensorflow.ports.queue import Message, Publisher

AT = datetime(2026, 1, 1, tzinfo=UTC)
ONE = OutboxEntry(1, "plant", b"a.csv", 1, 10, bytes(16), "aa/aa", Stage.VALIDATE, AT)
TWO, THREE = replace(ONE, file_id=2), replace(ONE, file_id=3)
MESSAGES = [Message([ONE]), Message([TWO], Stage.VALIDATE), Message([ONE, TWO, THREE])]


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


def test_it_has_a_name_for_people(publisher: Publisher) -> None:
    assert publisher.name.strip()
