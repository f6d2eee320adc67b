"""The port for message brokers, to send and receive messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from sensorflow.core.arrival import OutboxEntry
from sensorflow.core.states import Stage


@dataclass(frozen=True)
class Task:
    """The task that a message requests.

    file_ids: the ids of the files to process: one file, or all members of a batch. only: the only stage to
    run; None for all remaining stages. next_sent: whether the broker itself sends the message of the next
    stage when this task is done. If not, the outbox sends it.
    """

    file_ids: Sequence[int]
    only: Stage | None = None
    next_sent: bool = False


@dataclass(frozen=True)
class Message:
    """A message to send. files: the outbox entries of the task's files; their names and sizes are only
    displayed. only: see `Task`."""

    files: Sequence[OutboxEntry]
    only: Stage | None = None

    @property
    def task(self) -> Task:
        return Task([waiting.file_id for waiting in self.files], self.only)


class Publisher(Protocol):
    """Sends messages. A message is only a hint that work is pending; the ledger is the source of truth.
    Call the methods from one thread at a time."""

    @property
    def name(self) -> str:
        """The broker's display name without a password, such as "RabbitMQ over TLS"."""
        ...

    def publish(
        self,
        messages: Iterable[Message],
        confirmed: Callable[[Message], object] = lambda _message: None,
    ) -> None:
        """Send messages. Calls `confirmed` with each message once the broker has stored it durably.

        An implementation may read several messages from the iterator and send them together. Raises
        Transient BROKER if the broker is unavailable; each message that was not confirmed before may or may
        not have been sent.

        If a message requests a single stage, an implementation may include the stages that follow. The
        broker then sends the messages of these stages itself, and the receiver gets tasks with `next_sent`
        set. Otherwise, the outbox sends the message of each stage when the previous stage is done.
        """
        ...

    def depth(self) -> int | None:
        """Returns the number of queued messages, or None if this broker does not report it. Raises
        Transient BROKER if the broker is unreachable."""
        ...

    def close(self) -> None:
        """Close the connections. No other method may be called afterwards."""
        ...


@runtime_checkable
class QueueDepths(Protocol):
    """A publisher whose broker has several queues and reports the depth of each."""

    def depths(self) -> dict[str, int]:
        """Returns the number of queued messages in each queue, by the queue's name. Raises Transient
        BROKER if the broker is unreachable."""
        ...


class Delivery(Protocol):
    """A received message. Safe to use from several threads.

    The broker delivers the message again if the receiver disconnects, or if the receiver calls neither
    `ack` nor `nack` nor `extend` in time. After `ack` or `nack`, or after the message was delivered again,
    calls have no effect. Methods raise Transient BROKER if the broker is unavailable.
    """

    @property
    def task(self) -> Task: ...

    def ack(self) -> None:
        """Report that the task is done. The message is not delivered again."""
        ...

    def nack(self, delay: float) -> None:
        """Let the broker deliver the message again after at least `delay` seconds."""
        ...

    def extend(self, seconds: float) -> None:
        """Report that the task is still running. The message is not delivered again within the next
        `seconds` seconds."""
        ...


class Consumer(Protocol):
    """Receives messages on request. Celery workers do not use this port, because Celery pushes messages to
    them."""

    def receive(self, n: int, timeout: float) -> Sequence[Delivery]:
        """Wait until there is at least one message, but at most `timeout` seconds. Returns up to `n`
        messages; none after the timeout.

        The consumer rejects messages that it cannot parse, and never returns them. Raises Transient BROKER
        if the broker is unavailable.
        """
        ...


class Broker(Publisher, Consumer, Protocol):
    """A connection to a broker that both sends and receives messages. The entry point of a URL scheme
    returns it, see `sensorflow.plugins`.

    Each process creates its own broker object. The daemon and the commands only send messages. A process of
    `sensorflow worker` receives messages, and sends messages during housekeeping, all in one thread. A
    broker object neither connects nor starts a thread before the first call. If a broker object is closed,
    the broker delivers the messages again that this object received and did not acknowledge.
    """


MakeBroker = Callable[[str, Path], Broker]
"""A function that creates the broker object for a URL. It takes the setting broker_url, and the project's
folder as the base for relative paths. It raises UsageError if the URL is invalid; users see the error's
message."""
