"""The ledger for people who hold sources back."""

from __future__ import annotations

from typing import Protocol

from sensorflow.core.controls import Control, Mode


class Controls(Protocol):
    """Sources that are paused or draining. `Outbox.pending` obeys it by itself; the intake asks for it.

    Every method is one statement. Times are the database's. Raises Transient DATABASE if the database is
    unreachable.
    """

    def controls(self) -> dict[str, Control]:
        """Returns the sources that are not active, by name."""
        ...

    def hold_back(self, source: str, mode: Mode, actor: str, reason: str | None = None) -> Control:
        """Pause or drain a source. Idempotent: a source that is in this mode already keeps its time and
        actor, unless another reason is given."""
        ...

    def resume(self, source: str) -> bool:
        """Make a source active. Returns whether it was held back."""
        ...
