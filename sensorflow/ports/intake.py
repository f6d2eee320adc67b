"""The part of the ledger that the intake uses."""

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
    """The result of registering one arrival. file_id, version: those of the registered file; for an alias,
    of the file with the same bytes. trace_id: the trace id of a new file, which `flow.register` sets; None
    if the file is not new or not traced."""

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

    Every method is one transaction. All times are by the database's clock. Methods raise Transient
    DATABASE if the database is unreachable.
    """

    def acquire_intake_lease(
        self, source: str, owner: str, process: str, lease: float, ended: str = ""
    ) -> IntakeLease:
        """Acquire the intake lease of `source` for `lease` seconds, unless another process has the lease.

        Returns the lease that is valid after the call. The caller has acquired it if its `process` equals
        the argument `process`. Atomic: exactly one caller wins. Afterwards, the ledger rejects
        registrations under an older lease. owner, process: see `IntakeLease`. ended: the `process` of a
        daemon that has certainly ended; its lease is replaced even if it has not expired.
        """
        ...

    def renew_intake_lease(self, intake_lease: IntakeLease, lease: float) -> None:
        """Extend `intake_lease` to `lease` seconds from now. Raises IntakeLost if another process has
        acquired a newer lease of the source, even if the newer lease has already expired."""
        ...

    def release_intake_lease(self, intake_lease: IntakeLease) -> None:
        """End a lease now. Idempotent. Does nothing if another process has acquired a newer lease of the
        source."""
        ...

    def register(self, arrival: Arrival, on_change: OnChange, name_matters: bool) -> Registration:
        """Register an arrival. Idempotent: the same bytes with the same key and fingerprint are registered
        once. on_change: what to do if the arrival is a new version of a registered file.

        name_matters: whether the readings depend on the file name. If so, the same bytes under another name
        are registered as a new file; otherwise they are an alias.
        """
        ...

    def register_many(
        self,
        arrivals: Sequence[Arrival],
        on_change: OnChange,
        name_matters: bool,
        lease: IntakeLease | None = None,
    ) -> list[Registration]:
        """Register arrivals of one source in the given order, as `register` does, in one transaction.

        lease: the intake lease that the caller acquired before it opened these files; None if the files do
        not come from the feed of the source. Raises IntakeLost if another process has acquired a newer
        lease of the source.
        """
        ...

    def seen(self, source: str, key: bytes, fingerprint: str) -> bool:
        """Whether the file `key` was ever registered with this fingerprint, that is, in this state."""
        ...

    def other_spelling(self, source: str, key: bytes, sha256: bytes) -> bytes | None:
        """Returns the key of the newest version of the file `key`, if that key is another Unicode spelling
        of the name and the version has other bytes than `sha256`; otherwise None."""
        ...

    def has_content(self, source: str, key: bytes, sha256: bytes) -> bool:
        """Whether bytes with the hash `sha256` were ever registered under the name `key`."""
        ...

    def announced_by(self, source: str, gate: bytes, mark: str) -> frozenset[bytes]:
        """Returns the keys of the registered files that were announced by a gate. gate: the gate's key.
        mark: the state in which the gate was read, see `Announcement`."""
        ...

    def unloaded(self) -> list[Unloaded]:
        """Returns, for each source, how many landed bytes belong to files that are pending or running."""
        ...

    def recently_nacked(self, code: Code, within: float) -> bool:
        """Whether a file that failed with `code` is being retried, waits for its retry, or could be
        retried since less than `within` seconds."""
        ...

    def find_ingested(
        self, source: str, keys: Sequence[bytes], inodes: Sequence[str], newest: int = 0
    ) -> list[Ingested]:
        """Returns which bytes of growing files of the source were taken in so far, one result per growing
        file, oldest file first.

        The result contains three kinds of files: for each name in `keys`, the newest growing file with this
        name; for each inode in `inodes` ("device:inode"), the newest growing file with this inode; and the
        `newest` most recent growing files of the source.
        """
        ...

    def grow(
        self, growths: Sequence[Growth], lease: IntakeLease | None = None
    ) -> list[Registration | None]:
        """Register parts of growing files of one source in one transaction. Each part becomes a new
        version.

        lease: see `register_many`. A part gets the name of the part before it, even if the file was
        renamed. The result has one element per part: None if the part is already registered, or does not
        begin at the end of the newest part of its file.
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
        """Record that a growing file was inspected and that no bytes were taken in. ingested: what was
        taken in from the file before. key, fingerprint: the name and the state in which the file was
        inspected. The name may differ from the name in `ingested`, because the file may have been renamed.

        inode: the inode of the inspected file; None if the inspected file is a copy of the growing file.
        fully_compared: whether all bytes that were taken in before were compared with the file and are
        unchanged.
        """
        ...
