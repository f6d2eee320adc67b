"""What a stage needs: the services, and the data of one file."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from sensorflow import __version__
from sensorflow.core.arrival import printable
from sensorflow.core.binding.cache import BindingCache
from sensorflow.core.binding.file_path import FilePath
from sensorflow.core.partitions import LayerFile
from sensorflow.core.profile import Profile
from sensorflow.errors import Code, Fenced, Permanent
from sensorflow.flow.clock import now
from sensorflow.flow.landing import Landing
from sensorflow.flow.leases import IsLost
from sensorflow.flow.meter import Meter
from sensorflow.flow.quarantine_zone import QuarantineZone
from sensorflow.ports.claims import Claim, Progress
from sensorflow.ports.files import Counts
from sensorflow.ports.layers import Layers
from sensorflow.ports.ledger import FileLedger
from sensorflow.settings import Settings, Source


@dataclass(frozen=True)
class Services:
    """The adapters that the stages use, and a cache of bindings for files with the same header."""

    ledger: FileLedger
    landing: Landing
    lake: Layers
    quarantine: QuarantineZone
    settings: Settings
    owner: str
    code_version: str = __version__
    bindings: BindingCache = field(default_factory=BindingCache)


CLAIM_CERTAIN_SECONDS = 15.0
"""Seconds after a claim during which no other worker can have claimed the file."""
CLAIMED_FOREVER = math.inf
"""Claim time for a dry run, in which nobody else can claim the file and nothing is stored."""


@dataclass(frozen=True)
class FileTask:
    """One claimed file, its counts so far, and the settings that apply to it.

    claimed_at: time of the claim, see `clock.now`. is_lost: a function that returns whether the lease is
    known to be lost; None if nobody renews the lease. meter: the stages report their progress to it.
    """

    services: Services
    claim: Claim
    claimed_at: float = -math.inf
    progress: Progress = field(default_factory=Progress)
    is_lost: IsLost | None = None
    meter: Meter = field(default_factory=Meter)

    @cached_property
    def source(self) -> Source:
        try:
            return self.services.settings.sources[self.claim.source]
        except KeyError:
            raise Permanent(
                Code.SOURCE_UNKNOWN, f"the settings have no source {self.claim.source!r}"
            ) from None

    @cached_property
    def profile_name(self) -> str:
        """The profile that a replay requested, or else the profile of the source."""
        return self.claim.profile or self.source.profile

    @cached_property
    def profile(self) -> Profile:
        source = self.services.settings.sources.get(self.claim.source)
        found = self.services.settings.profile(self.profile_name, source)
        if found is None:
            reason = f"there is no profile {self.profile_name!r} in the settings"
            do = f"put the profile {self.profile_name!r} back into the settings, then replay"
            raise Permanent(Code.SOURCE_UNKNOWN, reason, do=do)
        return found

    @cached_property
    def name(self) -> str:
        """The file's display name."""
        return printable(self.claim.key)

    @property
    def log_ids(self) -> dict[str, Any]:
        """The fields that identify the file in each log event about it."""
        trace = self.claim.trace
        return {"file_id": self.claim.file_id, **({"trace_id": trace.hex} if trace else {})}

    @cached_property
    def file_path(self) -> FilePath:
        """The file's name and path, for patterns in the profile."""
        return FilePath.of(self.claim.key)

    @cached_property
    def identity(self) -> str:
        """The file_name in the dedupe keys: the source, and the path in the source's folder.

        All versions use the spelling of the first version's name, so a different spelling of a later
        version does not change the dedupe keys.
        """
        c = self.claim
        return identity_of(self.source, c.source, c.first_key or c.key, c.version)

    def require_lease(self) -> None:
        """Raises Fenced if the lease is known to be lost. Call this before each block; it sends no
        query."""
        if self.is_lost is not None and self.is_lost(self.claim):
            raise Fenced(
                f"the lease of file {self.claim.file_id} was lost during the work on the file"
            )

    def ensure_claim(self) -> None:
        """Raises Fenced if another worker has claimed the file. The caller must then not rename the
        temporary file to its final name.

        Publishing a file in the lake and checking the ledger cannot be one atomic step. A worker makes this
        check immediately before the rename, so it can lose its claim only in the short time between the
        two. `Maintenance.collect_garbage` visits the file twice for this reason.
        """
        lease = self.services.settings.lease
        if now() - self.claimed_at > min(CLAIM_CERTAIN_SECONDS, lease / 2):
            self.services.ledger.renew(self.claim, lease)

    @cached_property
    def layer_file(self) -> LayerFile:
        """Returns the values that identify the file in the layers of the lake."""
        return LayerFile.of(self.claim)

    def with_lake(self, lake: Layers) -> FileTask:
        """Returns a copy whose layers are written to `lake`, such as a batch of writes."""
        return replace(self, services=replace(self.services, lake=lake))

    def with_counts(self, **changes: int) -> FileTask:
        """Returns a copy with the given counts replaced."""
        found = replace(self.progress, counts=replace(self.counts, **changes))
        return replace(self, progress=found)

    @property
    def counts(self) -> Counts:
        return self.progress.counts


def identity_of(rules: Source | None, source: str, key: bytes, version: int) -> str:
    """Returns the file_name in the dedupe keys of a version of a file. rules: the settings of the source;
    None if the source was removed from the settings."""
    if rules is not None and rules.dedupe_scope == "source":
        return f"{source}/"
    text = key.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")
    name = f"{source}/{text}"
    if rules is not None and rules.on_change in ("keep", "reject") and version > 1:
        name += f"\0v{version}"
    return name


def spans_whole_source(source: str, identity: str) -> bool:
    """Whether dedupe keys with this file_name cover the whole source rather than one file."""
    return identity == f"{source}/"
