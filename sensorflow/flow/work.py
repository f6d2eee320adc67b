"""What a stage needs: the world, and what it is told about one file."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property

from sensorflow import __version__
from sensorflow.core.arrival import printable
from sensorflow.core.binding.layouts import Layouts
from sensorflow.core.binding.place import Place
from sensorflow.core.partitions import LayerFile
from sensorflow.core.profile import Profile
from sensorflow.errors import Code, Permanent
from sensorflow.flow.clock import now
from sensorflow.flow.landing import Landing
from sensorflow.flow.quarantine_zone import QuarantineZone
from sensorflow.ports.claims import Claim, Progress
from sensorflow.ports.files import Counts
from sensorflow.ports.layers import Layers
from sensorflow.ports.ledger import FileLedger
from sensorflow.settings import Settings, Source


@dataclass(frozen=True)
class World:
    """The adapters that the stages work with, and the layouts that one file leaves for the next."""

    ledger: FileLedger
    landing: Landing
    lake: Layers
    quarantine: QuarantineZone
    settings: Settings
    owner: str
    code_version: str = __version__
    layouts: Layouts = field(default_factory=Layouts)


CERTAIN = 15.0
"""Seconds after a claim in which nobody else can have the file."""
NEVER_LOST = math.inf
"""When a file was claimed that nobody can take: it is read, and nothing of it is kept."""


@dataclass(frozen=True)
class Job:
    """One claimed file, what has been found of it, and the settings that hold for it.

    claimed_at: see `clock.now`.
    """

    world: World
    claim: Claim
    claimed_at: float = -math.inf
    progress: Progress = field(default_factory=Progress)

    @cached_property
    def source(self) -> Source:
        try:
            return self.world.settings.sources[self.claim.source]
        except KeyError:
            raise Permanent(
                Code.SOURCE_UNKNOWN, f"the settings have no source {self.claim.source!r}"
            ) from None

    @cached_property
    def profile_name(self) -> str:
        """The source's, or the one that a replay asked for."""
        return self.claim.profile or self.source.profile

    @cached_property
    def profile(self) -> Profile:
        source = self.world.settings.sources.get(self.claim.source)
        found = self.world.settings.profile(self.profile_name, source)
        if found is None:
            reason = f"there is no profile {self.profile_name!r} in the settings"
            do = f"put the profile {self.profile_name!r} back into the settings, then replay"
            raise Permanent(Code.SOURCE_UNKNOWN, reason, do=do)
        return found

    @cached_property
    def name(self) -> str:
        """The file's name for people."""
        return printable(self.claim.key)

    @cached_property
    def place(self) -> Place:
        """The file's name and path, for patterns of the profile."""
        return Place.of(self.claim.key)

    @cached_property
    def identity(self) -> str:
        """The file_name of the dedupe key: the source and the path below it, not the base name.

        As the first version was spelt: whatever comes under the name later, its readings keep their keys.
        """
        c = self.claim
        return identity_of(self.source, c.source, c.first_key or c.key, c.version)

    def confirm(self) -> None:
        """Raises Fenced if somebody else has the file: what was written of it must not be named.

        Nobody can name a file of the lake and be sure of the ledger at the same instant. Where this comes
        just before, whatever a worker names that has lost its claim, it names soon after:
        `Maintenance.tidy` looks twice.
        """
        lease = self.world.settings.lease
        if now() - self.claimed_at > min(CERTAIN, lease / 2):
            self.world.ledger.renew(self.claim, lease)

    @cached_property
    def file(self) -> LayerFile:
        """Whose part of a layer its stages read and write."""
        return LayerFile.of(self.claim)

    def counted(self, **changes: int) -> Job:
        """The same job, with counts that a stage has found."""
        found = replace(self.progress, counts=replace(self.counts, **changes))
        return replace(self, progress=found)

    @property
    def counts(self) -> Counts:
        return self.progress.counts


def identity_of(rules: Source | None, source: str, key: bytes, version: int) -> str:
    """The file_name of the dedupe keys of a version of a file; rules: None of a source that is gone."""
    if rules is not None and rules.dedupe_scope == "source":
        return f"{source}/"
    text = key.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")
    name = f"{source}/{text}"
    if rules is not None and rules.on_change in ("keep", "reject") and version > 1:
        name += f"\0v{version}"
    return name


def whole_source(source: str, identity: str) -> bool:
    """Whether keys with this file_name are of the source as a whole, not of one file."""
    return identity == f"{source}/"
