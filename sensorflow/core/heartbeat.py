"""Heartbeats: each loop of a running process reports to the ledger every few seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sensorflow.errors import Code

INTERVAL_SECONDS = 10.0
"""Seconds between two heartbeats of a loop."""
ALIVE_SECONDS = 30.0
"""A loop counts as alive for this number of seconds after its last heartbeat."""
FORGET_AFTER_SECONDS = 86_400.0
"""Seconds after which the heartbeat of a crashed process is removed."""


class Role(StrEnum):
    """The role of a loop. A daemon runs two loops. A worker runs one loop, in its parent process."""

    INTAKE = "intake"
    PUBLISHER = "publisher"
    WORKER = "worker"
    BEAT = "beat"


@dataclass(frozen=True)
class LoopReport:
    """The report of a loop about itself, which it sends with each heartbeat.

    process: the id of the process, unique across all hosts. settings: the digest of the process's
    settings. state: status fields, stored as JSON.

    Every loop has the status field `storage`, the locations of the zones (see `Settings.shared_zones`).

    The status field `paused` ({code, reason, do, since}) exists while the loop waits. An intake has further
    status fields: `sources`; `controls`, the modes of the sources that are paused or draining (see
    `core.controls`); `defects`, source -> the defect of its feed; and `short`, source -> the reason why its
    next file does not fit on a disk. A worker has further status fields: `children`, the number of
    processes in its pool; `least` and `most`, the range of this number; `limit`, the number that it can run
    now (`core.scaling.Node`); `wanted`, the number that the whole fleet needs; `stopped`, the number of
    suspended (SIGSTOP) processes; and `busy`, the number of minutes in which no process has finished its
    files. `busy` does not exist if this is less than one minute, or if a process has no files.
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
        """The boot id and the PID namespace. They distinguish containers with the same host name."""
        return " ".join(self.process.split(" ")[:2])

    @property
    def paused(self) -> dict[str, Any] | None:
        found = self.state.get("paused")
        return found if isinstance(found, dict) else None

    @property
    def sources_without_room(self) -> set[str]:
        """The sources whose files this intake cannot take in, because a disk has no room for them: all of
        its sources while it is paused for this reason, otherwise those in `short`."""
        short = set(self.state.get("short") or ())
        is_full = (self.paused or {}).get("code") == Code.DISK_RESERVE
        return short | set(self.state.get("sources") or ()) if is_full else short


@dataclass(frozen=True)
class Heartbeat:
    """The latest heartbeat of a loop, as stored in the ledger. age: seconds since the heartbeat, by the
    database's clock."""

    report: LoopReport
    started_at: datetime
    beat_at: datetime
    age: float

    @property
    def is_alive(self) -> bool:
        return self.age <= ALIVE_SECONDS
