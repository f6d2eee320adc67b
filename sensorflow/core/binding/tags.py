"""Tag columns: columns that distinguish series, in addition to the column with the sensor's name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from sensorflow.core.patterns import search
from sensorflow.core.profile import Profile
from sensorflow.core.profile.text_source import TextSource


class Titled(Protocol):
    @property
    def name(self) -> str: ...


def tagged(
    source: TextSource,
    profile: Profile,
    fields: Sequence[Titled],
    matching: Callable[[str], Iterable[int]],
) -> list[tuple[int, str]]:
    """Return (index, title) of each tag column of `source`, sorted by title. The title of a tag column
    matches the pattern in `source.tags`, and the profile does not use the column for anything else.
    matching: a function that returns the indexes of the columns that match a name."""
    if source.tags is None:
        return []
    used = {i for name in _named(profile) for i in matching(name)}
    found = [(i, f.name) for i, f in enumerate(fields) if f.name and i not in used]
    return sorted(((i, t) for i, t in found if search(source.tags, t)), key=lambda tag: tag[1])


def _named(profile: Profile) -> Iterable[str]:
    origins = [profile.sensor, profile.type, profile.unit, *profile.captures.values()]
    if profile.time is not None:
        origins += [*profile.time.origins, profile.time.zone]
        yield from [profile.time.dst.column] if profile.time.dst is not None else []
    yield from (o.column for o in origins if o is not None and o.column is not None)
    yield from [profile.value] if profile.value is not None else []
    yield from [profile.quality.column] if profile.quality is not None else []
    yield from (*profile.ignore, *profile.where, *profile.fill_down, *profile.columns)
