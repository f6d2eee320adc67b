"""The ledger for loading rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

from sensorflow.core.arrival import Arrival
from sensorflow.core.gates.announced import Announced
from sensorflow.core.growth import Part, Segment
from sensorflow.core.months import MonthLimits
from sensorflow.core.touched import Touched
from sensorflow.ports.claims import Claim
from sensorflow.ports.files import Counts, FileView, StageReport
from sensorflow.ports.intake import OnChange, Registration
from sensorflow.ports.segments import Segments

if TYPE_CHECKING:  # the daemon imports no Arrow
    import pyarrow as pa


Keyed: TypeAlias = "tuple[pa.RecordBatch, pa.Array]"
"""A batch of silver with the dedupe key of each row."""


@dataclass(frozen=True)
class Load:
    """What a load records in the ledger together with the rows.

    on_change: how older versions are treated. profile, profile_hash: the profile that the file was read
    with. identity: the file name that is part of the dedupe keys. covered: ids of older versions that are
    pending or quarantined, and whose bytes are a prefix of this version. name_matters: whether the same
    bytes under another name are different readings. remarks: remarks on this version and the previous one.
    months: the limits for months of which this file would load the first readings.
    """

    counts: Counts
    on_change: OnChange
    profile: str
    profile_hash: str
    code_version: str
    reports: tuple[StageReport, ...]
    identity: str = ""
    covered: tuple[int, ...] = ()
    name_matters: bool = False
    remarks: str = ""
    months: MonthLimits = field(default_factory=MonthLimits)


@dataclass(frozen=True)
class Loaded:
    """The result of a committed load. garbage: whether silver of this file or of other files must be
    updated.

    replaced: number of readings of other files that this load replaced. kept: the newest of the twenty
    preceding versions that still has readings in the database. remarks: the remarks that the ledger
    recorded. touched: the rows of this file, and the rows of other files that were replaced.
    """

    counts: Counts
    touched: Touched
    garbage: bool = False
    replaced: int = 0
    kept: FileView | None = None
    remarks: str = ""


@dataclass(frozen=True)
class UnloadedVersion:
    """An older version of a file that is pending or quarantined. size: bytes."""

    file_id: int
    size: int
    sha256: bytes


@dataclass(frozen=True)
class OlderVersions:
    """The relevant versions before the version to load.

    loaded: the newest of the twenty preceding versions that is loaded and has rows. unloaded: at most a
    hundred versions after the last loaded one. None of them is larger than the version to load.
    """

    unloaded: tuple[UnloadedVersion, ...] = ()
    loaded: FileView | None = None


@dataclass(frozen=True)
class Unpack:
    """What unpacking an archive records in the ledger together with its members. See `Load`.

    keep: ensures that the landed objects of the members exist. The ledger calls it once no landed object
    can be removed any more.
    """

    on_change: OnChange
    name_matters: bool
    profile: str
    profile_hash: str
    code_version: str
    report: StageReport
    keep: Callable[[], None]


class Loader(Segments, Protocol):
    """The ledger for loading: looks up related files, and commits a file's rows together with its state.
    Methods raise Fenced if a claim is no longer valid.

    Every method is one transaction. Times are the database's. Raises Transient DATABASE if the database is
    unreachable.
    """

    def load(
        self,
        claim: Claim,
        batches: Iterable[Keyed],
        load: Load,
        closing: Callable[[], Load] | None = None,
    ) -> Loaded:
        """Insert batches of silver with their dedupe keys, update older versions, and mark the file as
        loaded.

        All or nothing. Rows whose key already exists count as duplicates. For a replayed file, only the
        difference is written; correct rows are not changed. closing: called after the last batch; returns
        the final `Load`, with data that was unknown before.

        `OnChange.MERGE`: if several versions contain the same reading, the database stores it under the
        newest version, in whichever order the versions are loaded. The others count it as replaced. The
        same applies to files with the same bytes under two names, unless `name_matters` is set.
        """
        ...

    def load_batch(
        self, files: Sequence[tuple[Claim, Sequence[Keyed], Load]]
    ) -> list[Touched] | None:
        """Load new files in one transaction, and mark all of them as loaded. Each file has only one
        version. Returns the touched rows by source.

        Returns None and loads nothing if one of the files needs its own transaction, because its claim is
        lost or one of its keys already exists.
        """
        ...

    def older_versions(self, claim: Claim) -> OlderVersions:
        """Returns the versions before a claimed file that may affect its load."""
        ...

    def unpack(self, claim: Claim, members: Sequence[Arrival], plan: Unpack) -> list[Registration]:
        """Register the members of an archive, as `register_many` does, and mark the archive as loaded, in
        one transaction. Idempotent.

        The members inherit the archive's lane and discovery time. Raises Transient while an older version
        of the archive is unfinished. Raises Permanent ARCHIVE if the database contains readings of the
        archive itself, or if a newer version has already delivered different bytes for a member that this
        version has not delivered yet.
        """
        ...

    def announced(self, file_id: int) -> list[Announced]:
        """Returns the gates' announcements for a file's bytes, newest first."""
        ...

    def segments_before(self, part: Part, limit: int) -> list[Segment]:
        """Returns the last `limit` parts before `part` of a growing file, in the file's order."""
        ...

    def rows_in_other_parts(self, part: Part, file_id: int, ts: pa.Array) -> pa.RecordBatch:
        """Returns the readings of other parts of the same growing file at these times (schema `BESIDE`), in
        arbitrary order."""
        ...
