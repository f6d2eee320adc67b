"""An in-memory broker, which implements both ports of `ports.queue`."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from threading import Condition

from sensorflow.ports.queue import Message, Task


class MemoryQueue:
    """A publisher and consumer within one process. Thread-safe.

    visibility_timeout: seconds after which a received message is redelivered, unless it is acknowledged or
    its time is extended. clock: returns the current time in seconds.
    """

    name = "memory"

    def __init__(
        self, visibility_timeout: float = 30.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._held_seconds, self._clock = visibility_timeout, clock
        self._change = Condition()
        self._receipts = count(1)
        self._waiting: deque[tuple[float, Message]] = deque()
        """Published messages, with the times at which they become due."""
        self._unacked: dict[int, tuple[float, Message]] = {}
        """Receipt of a delivery -> time of redelivery, and message."""

    def publish(
        self,
        messages: Iterable[Message],
        confirmed: Callable[[Message], object] = lambda _message: None,
    ) -> None:
        for message in messages:
            with self._change:
                self._waiting.append((self._clock(), message))
                self._change.notify()
            confirmed(message)

    def depth(self) -> int | None:
        with self._change:
            self._return_late()
            return len(self._waiting)

    def close(self) -> None:
        return

    def receive(self, n: int, timeout: float) -> Sequence[MemoryDelivery]:
        until = time.monotonic() + timeout
        with self._change:
            while not (found := self._take(n)) and (left := until - time.monotonic()) > 0:
                self._change.wait(min(left, 0.05))  # a message becomes due without a notification
            return found

    def _take(self, n: int) -> list[MemoryDelivery]:
        self._return_late()
        now = self._clock()
        visible = [entry for entry in self._waiting if entry[0] <= now][:n]
        found = []
        for entry in visible:
            self._waiting.remove(entry)
            receipt = next(self._receipts)
            self._unacked[receipt] = now + self._held_seconds, entry[1]
            found.append(MemoryDelivery(self, receipt, entry[1]))
        return found

    def _return_late(self) -> None:
        now = self._clock()
        for receipt in [r for r, (until, _) in self._unacked.items() if until <= now]:
            self._waiting.append((now, self._unacked.pop(receipt)[1]))

    def settle(self, receipt: int, delay: float | None) -> None:
        """Acknowledge a delivery. delay: seconds until redelivery; None for never."""
        with self._change:
            self._return_late()
            delivery = self._unacked.pop(receipt, None)
            if delivery is not None and delay is not None:
                self._waiting.append((self._clock() + delay, delivery[1]))
                self._change.notify()

    def extend(self, receipt: int, seconds: float) -> None:
        with self._change:
            self._return_late()
            if receipt in self._unacked:
                self._unacked[receipt] = self._clock() + seconds, self._unacked[receipt][1]


@dataclass(frozen=True)
class MemoryDelivery:
    queue: MemoryQueue
    receipt: int
    message: Message

    @property
    def task(self) -> Task:
        return self.message.task

    def ack(self) -> None:
        self.queue.settle(self.receipt, None)

    def nack(self, delay: float) -> None:
        self.queue.settle(self.receipt, delay)

    def extend(self, seconds: float) -> None:
        self.queue.extend(self.receipt, seconds)
