"""The part of the ledger with which people pause, drain and resume sources."""

from __future__ import annotations

from typing import Protocol

from sensorflow.core.controls import Control, Mode


class Controls(Protocol):
    """Stores which sources are paused or draining. `Outbox.pending` omits files of paused sources. The
    intake reads `controls` and takes in no file of these sources.

    Every method is one statement. All times are by the database's clock. Methods raise Transient DATABASE
    if the database is unreachable.
    """

    def controls(self) -> dict[str, Control]:
        """Returns the paused and draining sources, by name."""
        ...

    def hold_back(self, source: str, mode: Mode, actor: str, reason: str | None = None) -> Control:
        """Pause or drain a source. actor: who requests it. If the source is already in this mode, the
        recorded time does not change, and the recorded actor and reason change only if another reason is
        given."""
        ...

    def resume(self, source: str) -> bool:
        """Make a source active. Returns whether it was paused or draining."""
        ...
