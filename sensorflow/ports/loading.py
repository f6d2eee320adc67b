"""The ledger, for what loads rows."""

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

if TYPE_CHECKING:  # the daemon knows no Arrow
    import pyarrow as pa


Keyed: TypeAlias = "tuple[pa.RecordBatch, pa.Array]"
"""A batch of silver with the dedupe key of each row."""


@dataclass(frozen=True)
class Load:
    """What a load leaves in the ledger beside the rows.

    on_change: what becomes of older versions. profile, profile_hash: how the file was read.
    identity: the file name that its dedupe keys hold. covered: ids of older versions, pending or
    quarantined, whose bytes this version begins with. name_matters: the same bytes under another name
    are other readings. remarks: what was noticed about this version and the one before it. months: how
    many it may be the first to have readings of.
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
    """A load that was committed. garbage: whether silver of this file or of others has to follow.

    replaced: readings of other files whose place these took. kept: the newest of the older versions that
    still holds readings, of the twenty before this one. remarks: what was noticed, as the ledger has it.
    touched: this file's rows, and those of others that they replaced.
    """

    counts: Counts
    touched: Touched
    garbage: bool = False
    replaced: int = 0
    kept: FileView | None = None
    remarks: str = ""


@dataclass(frozen=True)
class Unloaded:
    """An older version of a file that is pending or quarantined. size in bytes."""

    file_id: int
    size: int
    sha256: bytes


@dataclass(frozen=True)
class Older:
    """Versions before one that is to be loaded.

    unloaded: between it and the loaded version before it, not larger than it, at most a hundred.
    loaded: the newest of the twenty before it that is loaded and holds rows.
    """

    unloaded: tuple[Unloaded, ...] = ()
    loaded: FileView | None = None


@dataclass(frozen=True)
class Unpack:
    """What unpacking an archive leaves in the ledger beside its members. See `Load`.

    keep: called when no landed object can be removed any more: it sees to it that those of the members are
    there.
    """

    on_change: OnChange
    name_matters: bool
    profile: str
    profile_hash: str
    code_version: str
    report: StageReport
    keep: Callable[[], None]


class Loader(Segments, Protocol):
    """What makes a file's rows asks of other files, and what commits them together with its state. Raises
    Fenced where a claim is no longer valid.

    Every method is one transaction. Times are the database's. Raises Transient DATABASE when it cannot be
    reached.
    """

    def load(
        self,
        claim: Claim,
        batches: Iterable[Keyed],
        load: Load,
        closing: Callable[[], Load] | None = None,
    ) -> Loaded:
        """Insert silver batches with their dedupe keys, see to older versions, close the file.

        All or nothing. Rows whose key is there already are counted as duplicates. Of a file that is
        replayed, what is there and right is left alone, and only the difference is written.
        closing: asked when the batches are through, for what was not known before.

        `OnChange.MERGE`: of versions that state the same reading the newest one holds it, whichever
        is loaded first; the others count it as replaced. The same holds of files with the same bytes
        under two names, where names do not matter.
        """
        ...

    def load_together(
        self, files: Sequence[tuple[Claim, Sequence[Keyed], Load]]
    ) -> list[Touched] | None:
        """Load fresh files that have one version each in one transaction, and close them all. Returns what
        was touched, by source.

        None: some of them needs a transaction of its own (its claim is lost, a key of it is there
        already); nothing is loaded, then.
        """
        ...

    def older(self, claim: Claim) -> Older:
        """The versions before a claimed file that its load may have to do with."""
        ...

    def unpack(self, claim: Claim, members: Sequence[Arrival], how: Unpack) -> list[Registration]:
        """Register the members of an archive, as `register_many` does, and close the archive: both or
        neither. Idempotent.

        The members are of the archive's lane, and were discovered with it. Raises Transient while an older
        version of the archive waits, and Permanent ARCHIVE where a newer one has brought other bytes for a
        member that this one has not brought yet, or the archive's own readings are there.
        """
        ...

    def announced(self, file_id: int) -> list[Announced]:
        """What gates said of a file's bytes, the newest first."""
        ...

    def segments_before(self, part: Part, limit: int) -> list[Segment]:
        """The last growths before a part of a growing file, in the file's order."""
        ...

    def rows_beside(self, part: Part, file_id: int, ts: pa.Array) -> pa.RecordBatch:
        """The readings at these times (of the schema `BESIDE`, in arbitrary order) that other growths
        of the same file hold."""
        ...
