"""Sources that people have paused, or drain."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Mode(StrEnum):
    """What is held back of a source that is not active.

    PAUSED: no file is taken in, and no message is sent for its files. DRAINING: no file is taken in; what
    is registered is finished.
    """

    PAUSED = "paused"
    DRAINING = "draining"


ACTIVE = "active"
"""The state of all other sources."""


@dataclass(frozen=True)
class Control:
    """The mode of one source. actor: who requested it. reason: why, if given."""

    source: str
    mode: Mode
    since: datetime
    actor: str
    reason: str | None = None

    def __str__(self) -> str:
        why = f": {self.reason}" if self.reason else ""
        return f"{self.mode} since {self.since:%Y-%m-%d %H:%M} UTC by {self.actor}{why}"
