"""The modes of sources that people have paused or are draining."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Mode(StrEnum):
    """The mode of a source that is not active.

    PAUSED: no new file of the source is taken in, and no messages are sent for its registered files.
    DRAINING: no new file is taken in, but registered files are processed.
    """

    PAUSED = "paused"
    DRAINING = "draining"


ACTIVE = "active"
"""The text that is shown in place of a mode for a source that is neither paused nor draining."""


@dataclass(frozen=True)
class Control:
    """The mode of one source, and the request that set it. actor: who requested the mode. reason: the
    reason for the request; None if none was given."""

    source: str
    mode: Mode
    since: datetime
    actor: str
    reason: str | None = None

    def __str__(self) -> str:
        why = f": {self.reason}" if self.reason else ""
        return f"{self.mode} since {self.since:%Y-%m-%d %H:%M} UTC by {self.actor}{why}"
