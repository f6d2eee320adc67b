"""What a user expects of names, versions and contents. Nothing here asks sensorflow."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

Readings = dict[tuple[str, int, int], float]
"""(sensor, second, occurrence) -> value."""


@dataclass(eq=False)
class Version:
    """One content that came under one name; `loaded` while nothing refused or undid it."""

    content: bytes
    readings: Readings
    loaded: bool = True


@dataclass
class VersionModel:
    """A newer version replaces the readings that it states again, everything else stays.

    The same content under two names holds its readings once.
    """

    names: dict[str, list[Version]] = field(default_factory=dict)

    def arrive(self, name: str, version: Version) -> Version:
        """In landing order. The newest content of a name again is nothing new."""
        versions = self.names.setdefault(name, [])
        if versions and versions[-1].loaded and versions[-1].content == version.content:
            return versions[-1]
        versions.append(version)
        return version

    def served(self) -> Counter[tuple[str, int, float]]:
        once: dict[tuple[bytes, tuple[str, int, int]], float] = {}
        for versions in self.names.values():
            winners: dict[tuple[str, int, int], Version] = {}
            for version in versions:
                if version.loaded:
                    winners.update(dict.fromkeys(version.readings, version))
            once |= {(v.content, key): v.readings[key] for key, v in winners.items()}
        return Counter(
            (sensor, second, value) for ((_, (sensor, second, _)), value) in once.items()
        )
