"""The broker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sensorflow.core.arrival import Waiting


class Queue(Protocol):
    """The broker: a hint that work is waiting, never the truth. Raises Transient BROKER."""

    def publish(self, waiting: Waiting, inline: bool, others: Sequence[Waiting] = ()) -> None:
        """Send the message of one file, and return when the broker has confirmed it.

        inline: all stages in one task; else a chain from the file's stage on. others: files that go
        the same way, in the same message.
        """
        ...

    def depth(self) -> int | None:
        """How many messages wait; None when that cannot be told. Does not raise."""
        ...
