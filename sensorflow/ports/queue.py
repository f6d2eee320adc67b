"""The broker, in its two halves: what sends messages, and what receives them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sensorflow.core.arrival import Waiting
from sensorflow.core.states import Stage


@dataclass(frozen=True)
class Task:
    """What a message asks for.

    file_ids: the first file, and others that go the same way. only: this stage of theirs; None: all stages
    that are left. next_sent: the broker sends the message of the next stage by itself once this task is
    done; else the file is due to be published again.
    """

    file_ids: Sequence[int]
    only: Stage | None = None
    next_sent: bool = False


@dataclass(frozen=True)
class Message:
    """What is published: a task, and what its files look like to people."""

    files: Sequence[Waiting]
    only: Stage | None = None

    @property
    def task(self) -> Task:
        return Task([waiting.file_id for waiting in self.files], self.only)


class Publisher(Protocol):
    """Sends messages: hints that work is waiting, never the truth. Use from one thread at a time."""

    @property
    def name(self) -> str:
        """What it is, for people, without a password: "RabbitMQ over TLS"."""
        ...

    def publish(
        self,
        messages: Iterable[Message],
        confirmed: Callable[[Message], object] = lambda _message: None,
    ) -> None:
        """Send messages. `confirmed` is called with each as soon as the broker keeps it for good.

        An implementation may take several messages from the iterator, and send them at once. Raises
        Transient BROKER; a message that was not confirmed by then may have been sent or not.

        A message of one stage may carry the stages that follow it: then the receiver's tasks say
        `next_sent`. Otherwise the outbox publishes each stage when the one before it is done.
        """
        ...

    def depth(self) -> int | None:
        """Messages that wait, None if this broker does not say. Raises Transient BROKER where it cannot be
        reached."""
        ...

    def close(self) -> None:
        """Give connections back; nothing is published any more."""
        ...


class Delivery(Protocol):
    """A message that was received. Safe to use from several threads.

    The broker delivers it again if it is neither settled (`ack`, `nack`) nor extended in time, or if its
    receiver is gone. What is called on a delivery that is settled, or was delivered again, has no effect.
    Raises Transient BROKER.
    """

    @property
    def task(self) -> Task: ...

    def ack(self) -> None:
        """Done: it is not delivered again."""
        ...

    def nack(self, delay: float) -> None:
        """Deliver it again, not before `delay` seconds."""
        ...

    def extend(self, seconds: float) -> None:
        """It is still worked on: not to be delivered again for so many seconds from now."""
        ...


class Consumer(Protocol):
    """Receives messages by asking for them. A worker of Celery is none: its messages are pushed."""

    def receive(self, n: int, timeout: float) -> Sequence[Delivery]:
        """Up to `n` messages, as soon as there is one; none after `timeout` seconds.

        What cannot be understood is refused by the consumer, and never returned. Raises Transient BROKER.
        """
        ...


class Broker(Publisher, Consumer, Protocol):
    """Both halves, as the entry point of a URL's scheme gives them: see `sensorflow.plugins`.

    Each process makes its own: a daemon and a command publish by it, a process of `sensorflow worker`
    receives by it and publishes what housekeeping finds, all in one thread. Nothing is connected, and no
    thread begun, before the first call. What is held and not settled when it is closed is delivered again.
    """


MakeBroker = Callable[[str, Path], Broker]
"""Takes broker_url as it is set, and the project's folder, for paths that are relative. Raises Misuse for
what is wrong with the URL: a person reads it."""
