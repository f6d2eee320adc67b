"""Queue in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from sensorflow.core.arrival import Waiting


class MemoryQueue:
    """Holds messages until `take`."""

    def __init__(self) -> None:
        self._messages: deque[tuple[list[Waiting], bool]] = deque()

    def publish(self, waiting: Waiting, inline: bool, others: Sequence[Waiting] = ()) -> None:
        self._messages.append(([waiting, *others], inline))

    def depth(self) -> int | None:
        return len(self._messages)

    def take(self) -> tuple[list[Waiting], bool] | None:
        return self._messages.popleft() if self._messages else None
