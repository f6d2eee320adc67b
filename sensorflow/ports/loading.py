"""The part of the ledger that loads rows."""

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
"""A pair: a batch of silver rows, and an array with the dedupe key of each row."""


@dataclass(frozen=True)
class Load:
    """The data that a load records in the ledger, in the transaction that inserts the rows.

    on_change: what to do with the readings of older versions. profile, profile_hash: name and hash of the
    profile with which the file was read. code_version: the version of sensorflow that read the file.
    reports: the results of the stages that this load completes. identity: the file name that is part of the
    dedupe keys; "" for none. covered: ids of pending or quarantined older versions that the load marks as
    superseded, because the new version begins with all their bytes. name_matters: see `Intake.register`.
    remarks: how this version differs from the previous one, as text for users. months: the limits on the
    number of new months, see `core.months`.
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
    """The result of a committed load.

    touched: the range of the rows that this load inserted or deleted, including rows of other files.
    garbage: whether silver of this file or of other files must now be rewritten or removed, because
    readings were replaced. replaced: number of readings of other files that this load replaced. retained:
    with `OnChange.MERGE`, the newest of the twenty preceding versions that still has readings in the
    database; None if none has. remarks: the remarks that the ledger recorded.
    """

    counts: Counts
    touched: Touched
    garbage: bool = False
    replaced: int = 0
    retained: FileView | None = None
    remarks: str = ""


@dataclass(frozen=True)
class UnloadedVersion:
    """An older version that is pending or quarantined. size: number of bytes of the file."""

    file_id: int
    size: int
    sha256: bytes


@dataclass(frozen=True)
class OlderVersions:
    """The older versions of a file that may affect the load of its version N.

    loaded: the newest of the twenty versions before N that is loaded and has rows; None if none is.
    unloaded: versions between the last loaded version and N that are pending or quarantined and not larger
    than N; at most a hundred.
    """

    unloaded: tuple[UnloadedVersion, ...] = ()
    loaded: FileView | None = None


@dataclass(frozen=True)
class Unpack:
    """The data that unpacking an archive records in the ledger, in the transaction that registers the
    members. See `Load` for the fields.

    keep: a function that ensures that the landed objects of the members exist. The ledger calls it in the
    transaction, after it has locked out the removal of landed objects.
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

    Every method is one transaction. All times are by the database's clock. Methods raise Fenced if a claim
    is no longer valid, and Transient DATABASE if the database is unreachable.
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

        Either the whole load is committed, or nothing. Rows whose key already exists in the database are
        not inserted and count as duplicates. For a replayed file, only the differences from its stored rows
        are written. load: the data to record. closing: a function that is called after the last batch and
        returns the `Load` to record instead, with data that was unknown before the last batch; None to
        record `load`.

        With `OnChange.MERGE`, several versions may contain the same reading. The database stores the
        reading under the newest of these versions, regardless of the order in which the versions are
        loaded. The other versions count the reading as replaced. Unless `name_matters` is set, files with
        the same bytes under two names are treated in the same way.
        """
        ...

    def load_batch(
        self, files: Sequence[tuple[Claim, Sequence[Keyed], Load]]
    ) -> list[Touched] | None:
        """Load new files in one transaction, and mark all of them as loaded. Each file must have only one
        version. Returns the range of the inserted rows, one per source.

        Returns None and loads nothing if one of the files must be loaded alone, because its claim is no
        longer valid or one of its keys already exists.
        """
        ...

    def older_versions(self, claim: Claim) -> OlderVersions:
        """Returns the versions before a claimed file that may affect its load."""
        ...

    def unpack(self, claim: Claim, members: Sequence[Arrival], plan: Unpack) -> list[Registration]:
        """Register the members of an archive, as `register_many` does, and mark the archive as loaded, in
        one transaction. Idempotent.

        The members get the archive's lane and discovery time. Raises Transient while an older version of
        the archive is not unpacked yet. Raises Permanent ARCHIVE if the database contains readings of the
        archive itself, or if a newer version has already delivered different bytes for a member that this
        version has not delivered yet.
        """
        ...

    def announced(self, file_id: int) -> list[Announced]:
        """Returns the announcements of gates for a file, newest first."""
        ...

    def segments_before(self, part: Part, limit: int) -> list[Segment]:
        """Returns the last `limit` parts of a growing file that precede `part`, in the file's order."""
        ...

    def rows_in_other_parts(self, part: Part, file_id: int, ts: pa.Array) -> pa.RecordBatch:
        """Returns the readings at the times `ts` that belong to other parts of the growing file of `part`,
        in arbitrary order. file_id: the id of `part` itself. The schema of the result is
        `readings.OTHER_PARTS`."""
        ...
