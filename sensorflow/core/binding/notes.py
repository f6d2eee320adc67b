"""Differences between a file's columns and the profile."""

from __future__ import annotations

from typing import Literal

from sensorflow.core.binding.drift import Drift
from sensorflow.errors import Code, Permanent


class Notes:
    """Collects the differences between a file's columns and the profile. policy: the source's policy for
    such differences. texts: descriptions of the differences."""

    def __init__(self, policy: Drift) -> None:
        self.policy = policy
        self.texts: list[str] = []

    def note(self, kind: Literal["new", "changed"], text: str) -> None:
        """Add a difference. Raises Permanent DRIFT if the source's policy quarantines files with this kind
        of difference."""
        if getattr(self.policy, kind) == "quarantine":
            hint = "; add it to the profile or to the profile's ignore, or set the source's drift"
            raise Permanent(Code.DRIFT, text + hint)
        self.texts.append(text)
