"""The port for message brokers: sending and receiving messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sensorflow.core.arrival import OutboxEntry
from sensorflow.core.states import Stage


@dataclass(frozen=True)
class Task:
    """What a message asks for.

    file_ids: the first file and further members of its batch. only: run this stage only; None runs all
    remaining stages. next_sent: the broker sends the message of the next stage itself once this task is
    done; if False, the outbox sends it.
    """

    file_ids: Sequence[int]
    only: Stage | None = None
    next_sent: bool = False


@dataclass(frozen=True)
class Message:
    """What is sent: a task, with the facts of its files that are shown to people."""

    files: Sequence[OutboxEntry]
    only: Stage | None = None

    @property
    def task(self) -> Task:
        return Task([waiting.file_id for waiting in self.files], self.only)


class Publisher(Protocol):
    """Sends messages. A message is only a hint that work is pending; the ledger holds the truth. Call from
    one thread at a time."""

    @property
    def name(self) -> str:
        """The broker's name for people, without a password, such as "RabbitMQ over TLS"."""
        ...

    def publish(
        self,
        messages: Iterable[Message],
        confirmed: Callable[[Message], object] = lambda _message: None,
    ) -> None:
        """Send messages. Calls `confirmed` with each message once the broker has stored it durably.

        An implementation may take several messages from the iterator and send them together. Raises
        Transient BROKER; a message that was not confirmed before may or may not have been sent.

        An implementation may let a message of one stage carry the following stages. The receiver's tasks
        then have `next_sent` set. Otherwise the outbox sends a message for each stage when the previous one
        is done.
        """
        ...

    def depth(self) -> int | None:
        """Returns the number of queued messages, or None if this broker does not report it. Raises
        Transient BROKER if the broker is unreachable."""
        ...

    def close(self) -> None:
        """Close the connections. Nothing is sent afterwards."""
        ...


class Delivery(Protocol):
    """A received message. Safe to use from several threads.

    The broker delivers the message again if it is neither acknowledged (`ack`, `nack`) nor extended in
    time, or if its receiver disconnects. Calls on a delivery that was acknowledged or delivered again have
    no effect. Methods raise Transient BROKER.
    """

    @property
    def task(self) -> Task: ...

    def ack(self) -> None:
        """The task is done. The message is not delivered again."""
        ...

    def nack(self, delay: float) -> None:
        """Have the message delivered again, after at least `delay` seconds."""
        ...

    def extend(self, seconds: float) -> None:
        """The task is still running. The message is not delivered again for `seconds` from now."""
        ...


class Consumer(Protocol):
    """Receives messages on request. A Celery worker does not use this port: its messages are pushed."""

    def receive(self, n: int, timeout: float) -> Sequence[Delivery]:
        """Returns up to `n` messages as soon as there is at least one, or none after `timeout` seconds.

        The consumer rejects messages that it cannot parse, and never returns them. Raises Transient BROKER.
        """
        ...


class Broker(Publisher, Consumer, Protocol):
    """A publisher and consumer, as returned by the entry point of a URL scheme: see `sensorflow.plugins`.

    Each process creates its own. A daemon and a command send with it. A process of `sensorflow worker`
    receives with it and sends what housekeeping finds, all in one thread. It neither connects nor starts a
    thread before the first call. Deliveries that are not acknowledged when it is closed are delivered
    again.
    """


MakeBroker = Callable[[str, Path], Broker]
"""Takes broker_url as set, and the project's folder as the base for relative paths. Raises UsageError if
the URL is invalid; its message is shown to a person."""
