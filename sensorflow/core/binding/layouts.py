"""Layouts that are remembered from one file to the next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sensorflow.core.binding.drift import Drift
from sensorflow.core.binding.fields import Field
from sensorflow.core.binding.layout import Layout
from sensorflow.core.profile import Profile

MANY = 64
"""Profiles of which the last layout is remembered."""

Asked = tuple[Drift, Sequence[Field], str]
"""The policy, the columns, and the text before the header: what a layout of a profile depends on."""


class _Resolved(NamedTuple):
    profile: Profile  # held, so that nobody else gets its id
    asked: Asked
    layout: Layout


class Layouts:
    """The last layout of each profile: most files have the header of the one before.

    Whoever reads many files holds one, and gives it to `reading.read`. By object, not by what a profile
    says: to compare two would cost more than most layouts.
    """

    def __init__(self) -> None:
        self._last: dict[int, _Resolved] = {}

    def __len__(self) -> int:
        return len(self._last)

    def of(self, profile: Profile, asked: Asked) -> Layout | None:
        last = self._last.get(id(profile))
        return last.layout if last is not None and last.asked == asked else None

    def keep(self, profile: Profile, asked: Asked, layout: Layout) -> None:
        """Only a layout that holds for any file of this profile of which the same is asked."""
        if len(self._last) >= MANY:
            self._last.clear()
        self._last[id(profile)] = _Resolved(profile, asked, layout)
