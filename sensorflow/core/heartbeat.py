"""What the loops of the running processes say of themselves, every few seconds, in the ledger."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

EVERY = 10.0
"""Seconds between two heartbeats of a loop."""
LIVE = 30.0
"""Seconds after its last heartbeat within which a loop counts as alive."""
FORGOTTEN = 86_400.0
"""Seconds after which the heartbeat of a process that ended without a word is removed."""


class Role(StrEnum):
    """A loop that has to run. A daemon has two; a worker's is that of the parent process."""

    INTAKE = "intake"
    PUBLISHER = "publisher"
    WORKER = "worker"
    BEAT = "beat"


@dataclass(frozen=True)
class Pulse:
    """What a loop says of itself.

    process: identifies the process among those of all hosts. settings: the digest of its settings.
    state: JSON. paused: why it waits ({code, reason, do, since}), absent while it works. children, most:
    of a worker, the processes of its pool now and at most; stopped: how many of them are (SIGSTOP); busy:
    minutes for which each of them has held the same files, absent where one has finished some since.
    """

    role: Role
    host: str
    pid: int
    process: str
    settings: str
    state: dict[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> str:
        return f"{self.role}@{self.host}:{self.pid}"

    @property
    def namespace(self) -> str:
        """Boot and namespace of process numbers; two with the same host name may be two containers."""
        return " ".join(self.process.split(" ")[:2])

    @property
    def paused(self) -> dict[str, Any] | None:
        found = self.state.get("paused")
        return found if isinstance(found, dict) else None


@dataclass(frozen=True)
class Heartbeat:
    """A pulse as the ledger has it. age: seconds since it was written, by the ledger's clock."""

    pulse: Pulse
    started_at: datetime
    beat_at: datetime
    age: float

    @property
    def live(self) -> bool:
        return self.age <= LIVE
