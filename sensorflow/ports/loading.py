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
    """The data that a load records in the ledger, in the transaction that inserts the rows.

    on_change: how older versions are treated. profile, profile_hash: the profile that the file was read
    with. identity: the file name that is part of the dedupe keys. covered: ids of pending or quarantined
    older versions that this version supersedes, because their bytes are a prefix of its bytes.
    name_matters: whether the same bytes under another name are different readings. remarks: remarks on how
    this version differs from the previous one. months: the limits on the number of new months, see
    `core.months`.
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

    replaced: number of readings of other files that this load replaced. retained: the newest version, among
    the twenty preceding ones, that still has readings in the database. remarks: the remarks that the ledger
    recorded. touched: the rows of this file, and the rows of other files that were replaced.
    """

    counts: Counts
    touched: Touched
    garbage: bool = False
    replaced: int = 0
    retained: FileView | None = None
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

    loaded: the newest version, among the twenty preceding ones, that is loaded and has rows. unloaded: at
    most a hundred versions after the last loaded one, without those that are larger than the version to
    load.
    """

    unloaded: tuple[UnloadedVersion, ...] = ()
    loaded: FileView | None = None


@dataclass(frozen=True)
class Unpack:
    """The data that unpacking an archive records in the ledger, in the transaction that registers the
    members. See `Load` for the fields.

    keep: a function that ensures that the landed objects of the members exist. The ledger calls it in the
    transaction, after it has prevented the removal of landed objects.
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

    Every method is one transaction. All times are by the database's clock. Raises Transient DATABASE if the
    database is unreachable.
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

        Either the whole load is committed, or nothing. Rows whose key already exists count as duplicates.
        For a replayed file, only the differences from the stored rows are written. closing: a function that
        is called after the last batch. It returns the final `Load`, with data that was unknown before the
        last batch.

        With `OnChange.MERGE`, several versions may contain the same reading. The database stores the
        reading under the newest of these versions, regardless of the order in which the versions are
        loaded. The other versions count the reading as replaced. The same applies to files with the same
        bytes under two names, unless `name_matters` is set.
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
        """Returns the readings of other parts of the same growing file at these times, in arbitrary order.
        The schema is `readings.OTHER_PARTS`."""
        ...
