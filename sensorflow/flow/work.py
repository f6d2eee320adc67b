"""What a stage needs: the world, and what it is told about one file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from sensorflow import __version__
from sensorflow.core.arrival import printable
from sensorflow.core.layout import Place
from sensorflow.core.partitions import Layer, layer_path
from sensorflow.core.profile import Profile
from sensorflow.errors import Code, Permanent
from sensorflow.ports import Claim, Counts, Lake, Landing, Ledger, QuarantineStore
from sensorflow.settings import Settings, Source


@dataclass(frozen=True)
class World:
    """The adapters that the stages work with."""

    ledger: Ledger
    landing: Landing
    lake: Lake
    quarantine: QuarantineStore
    settings: Settings
    owner: str
    code_version: str = __version__


@dataclass(frozen=True)
class Job:
    """One claimed file, with the settings that hold for it."""

    world: World
    claim: Claim

    @cached_property
    def source(self) -> Source:
        try:
            return self.world.settings.sources[self.claim.source]
        except KeyError:
            raise Permanent(
                Code.SOURCE_UNKNOWN, f"there is no source {self.claim.source!r} in the settings"
            ) from None

    @cached_property
    def profile_name(self) -> str:
        """The source's, or the one that a replay asked for."""
        return self.claim.profile or self.source.profile

    @cached_property
    def profile(self) -> Profile:
        found = self.world.settings.profile(self.profile_name)
        if found is None:
            reason = f"there is no profile {self.profile_name!r} in the settings"
            raise Permanent(Code.SOURCE_UNKNOWN, reason)
        return found

    @cached_property
    def name(self) -> str:
        """The file's name for people."""
        return printable(self.claim.key)

    @cached_property
    def base_name(self) -> str:
        """The last part of the name, for patterns of the profile."""
        return self.claim.key.rsplit(b"/", 1)[-1].decode("utf-8", "backslashreplace")

    @cached_property
    def place(self) -> Place:
        """The file's name and path, for patterns of the profile."""
        return Place(self.base_name, self.claim.key.decode("utf-8", "backslashreplace"))

    @cached_property
    def identity(self) -> str:
        """The file_name of the dedupe key: the source and the path below it, not the base name."""
        return identity_of(self.source, self.claim.source, self.claim.key, self.claim.version)

    def path(self, layer: Layer) -> str:
        """Where this file's part of a layer lies in the lake."""
        c = self.claim
        return layer_path(layer, c.source, c.sensor_type, c.received_at, c.file_id, c.version)

    def counted(self, **changes: int) -> Job:
        """The same job, with counts that a stage has found."""
        return replace(self, claim=replace(self.claim, counts=replace(self.counts, **changes)))

    @property
    def counts(self) -> Counts:
        return self.claim.counts


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
