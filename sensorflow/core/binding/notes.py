"""What is not as the profile has it."""

from __future__ import annotations

from typing import Literal

from sensorflow.core.binding.drift import Drift
from sensorflow.errors import Code, Permanent


class Notes:
    """texts: what was noted, for people."""

    def __init__(self, policy: Drift) -> None:
        self.policy = policy
        self.texts: list[str] = []

    def note(self, kind: Literal["new", "changed"], text: str) -> None:
        """Permanent DRIFT where the source quarantines files for this."""
        if getattr(self.policy, kind) == "quarantine":
            hint = "; add it to the profile, to its ignore list, or set the source's drift"
            raise Permanent(Code.DRIFT, text + hint)
        self.texts.append(text)
