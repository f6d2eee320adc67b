"""The ledger for the intake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from sensorflow.core.arrival import Arrival
from sensorflow.core.disk_room import Unloaded
from sensorflow.core.growth import Growth, Ingested
from sensorflow.errors import Code, IntakeLost
from sensorflow.ports.segments import Segments


class Kind(StrEnum):
    """How the ledger classified a file that arrived."""

    NEW = "new"
    ALIAS = "alias"  # the same bytes as a registered file
    SEEN = "seen"  # this state of this file was registered before


class OnChange(StrEnum):
    """What to do when a file's content changes."""

    MERGE = "merge"  # replace the readings that the new version also contains, keep all others
    SUPERSEDE = "supersede"
    KEEP = "keep"
    REJECT = "reject"


@dataclass(frozen=True)
class Registration:
    """trace_id: that of a new file; None if the file is not new, or not traced. `flow.register` sets it."""

    file_id: int
    version: int
    kind: Kind
    trace_id: bytes | None = None


@dataclass(frozen=True)
class IntakeLease:
    """The right to take in files of a source. Only the lease with the highest token of its source is valid.

    owner: the daemon's display name. process: a name that is unique among the processes of all hosts.
    """

    source: str
    owner: str
    process: str
    token: int


def intake_lost(lease: IntakeLease) -> IntakeLost:
    reason = (
        "another daemon has taken over the intake of this source; its folder will be scanned again"
    )
    return IntakeLost(f"{lease.source}: {reason}", token=lease.token)


class Intake(Segments, Protocol):
    """The ledger for the intake: leases, registrations and growing files.

    Every method is one transaction. All times are by the database's clock. Raises Transient DATABASE if the
    database is unreachable.
    """

    def acquire_intake_lease(
        self, source: str, owner: str, process: str, lease: float, ended: str = ""
    ) -> IntakeLease:
        """Acquire the intake lease of `source` for `lease` seconds, unless another process has the lease.

        Returns the valid lease. The caller has acquired the lease if `process` of the returned lease is the
        caller's. Atomic: exactly one caller wins. Afterwards, the ledger rejects registrations under an
        older lease. ended: a process that has certainly ended. Its lease is replaced even if the lease has
        not expired.
        """
        ...

    def renew_intake_lease(self, intake_lease: IntakeLease, lease: float) -> None:
        """Extend the lease to `lease` seconds from now. Raises IntakeLost if another process has acquired
        the intake lease since, even if that newer lease has also expired."""
        ...

    def release_intake_lease(self, intake_lease: IntakeLease) -> None:
        """End a lease now. Idempotent. Does nothing if another process has acquired the intake lease
        since."""
        ...

    def register(self, arrival: Arrival, on_change: OnChange, name_matters: bool) -> Registration:
        """Register an arrival. Idempotent: the same bytes with the same key and fingerprint are registered
        once.

        name_matters: whether the same bytes under another name are different readings rather than an alias.
        """
        ...

    def register_many(
        self,
        arrivals: Sequence[Arrival],
        on_change: OnChange,
        name_matters: bool,
        lease: IntakeLease | None = None,
    ) -> list[Registration]:
        """Register arrivals of one source in this order, all or none. See `register`.

        lease: the intake lease that the caller acquired before it opened these files; None for files that
        are not read from the source's drop folder. Raises IntakeLost if another process has acquired the
        intake lease since.
        """
        ...

    def seen(self, source: str, key: bytes, fingerprint: str) -> bool:
        """Whether this state of this file was ever registered."""
        ...

    def other_spelling(self, source: str, key: bytes, sha256: bytes) -> bytes | None:
        """Compare `key` with the newest version of the file. If that version has another spelling of the
        name and other bytes, return its key; otherwise None."""
        ...

    def has_content(self, source: str, key: bytes, sha256: bytes) -> bool:
        """Whether these bytes were ever registered under this name."""
        ...

    def announced_by(self, source: str, gate: bytes, mark: str) -> frozenset[bytes]:
        """Returns the keys of the files that a gate announced when they were registered. gate: the gate's
        key. mark: the gate's state, see `Announcement`."""
        ...

    def unloaded(self) -> list[Unloaded]:
        """Returns the landed bytes of the files that are pending or running, by source."""
        ...

    def recently_nacked(self, code: Code, within: float) -> bool:
        """Whether a file that failed with `code` is waiting for its retry, or became due for a retry within
        the last `within` seconds."""
        ...

    def find_ingested(
        self, source: str, keys: Sequence[bytes], inodes: Sequence[str], newest: int = 0
    ) -> list[Ingested]:
        """Returns what was taken in from growing files, oldest first.

        For each name in `keys`, returns the newest growing file that had this name. For each inode in
        `inodes` ("device:inode"), returns the newest growing file that had this inode. Also returns the
        `newest` most recent growing files of the source.
        """
        ...

    def grow(
        self, growths: Sequence[Growth], lease: IntakeLease | None = None
    ) -> list[Registration | None]:
        """Register parts of growing files of one source, all or none. Each part is a version of its own.

        lease: see `register_many`. A part gets the name of the part before it, even if the file was
        renamed. The result is None for a part that is already known, and for a part that does not follow
        the newest part of its file.
        """
        ...

    def record_inspection(
        self,
        source: str,
        key: bytes,
        ingested: Ingested,
        inode: str | None,
        fingerprint: str,
        fully_compared: bool,
    ) -> None:
        """Record that a growing file was inspected and that nothing was taken in. key, fingerprint: the
        name and the state in which the file was inspected. The name may differ from the name in `ingested`.

        inode: the inode of the inspected file; None if that file is a copy. fully_compared: whether all
        bytes that were taken in before were compared and are unchanged.
        """
        ...
