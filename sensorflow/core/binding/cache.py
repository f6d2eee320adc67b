"""A cache of bindings, because most files have the same header as the file before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sensorflow.core.binding.binding import Binding
from sensorflow.core.binding.drift import Drift
from sensorflow.core.binding.fields import Field
from sensorflow.core.profile import Profile

MAX_BINDINGS = 64
"""Maximum number of profiles whose last binding is cached."""

BindingInputs = tuple[Drift, Sequence[Field], str]
"""The drift policy, the columns and the text before the header: the inputs that determine a profile's
binding."""


class _Resolved(NamedTuple):
    profile: Profile  # keeps the object alive, so that its id is not reused
    inputs: BindingInputs
    binding: Binding


class BindingCache:
    """Caches the last binding that was created for each profile.

    A caller that reads many files creates one cache, and passes it to `reading.read` for each file.
    Profiles are compared by object identity, because a comparison of their contents would usually take
    longer than creating a binding.
    """

    def __init__(self) -> None:
        self._last: dict[int, _Resolved] = {}

    def __len__(self) -> int:
        return len(self._last)

    def get(self, profile: Profile, inputs: BindingInputs) -> Binding | None:
        last = self._last.get(id(profile))
        return last.binding if last is not None and last.inputs == inputs else None

    def store(self, profile: Profile, inputs: BindingInputs, binding: Binding) -> None:
        """Cache a binding. The binding must be valid for every file with the same profile and the same
        `inputs`."""
        if len(self._last) >= MAX_BINDINGS:
            self._last.clear()
        self._last[id(profile)] = _Resolved(profile, inputs, binding)
