"""The ledger for the intake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from sensorflow.core.arrival import Arrival
from sensorflow.core.forecast import Unloaded
from sensorflow.core.growth import Growth, Taken
from sensorflow.errors import Code, IntakeLost
from sensorflow.ports.segments import Segments


class Kind(StrEnum):
    """How the ledger classified a file that arrived."""

    NEW = "new"
    ALIAS = "alias"  # the same bytes as a registered file
    SEEN = "seen"  # this state of this file was registered before


class OnChange(StrEnum):
    """What to do when a file's content changes."""

    MERGE = "merge"  # replace the readings that the new version restates, keep all others
    SUPERSEDE = "supersede"
    KEEP = "keep"
    REJECT = "reject"


@dataclass(frozen=True)
class Registration:
    file_id: int
    version: int
    kind: Kind


@dataclass(frozen=True)
class IntakeLease:
    """The right to take in files of a source. Only the newest lease of a source, by token, is valid.

    owner: the daemon's display name. process: a name that is unique among the processes of all hosts.
    """

    source: str
    owner: str
    process: str
    token: int


def intake_lost(held: IntakeLease) -> IntakeLost:
    reason = (
        "another daemon has taken over the intake of this source; its folder will be scanned again"
    )
    return IntakeLost(f"{held.source}: {reason}", token=held.token)


class Intake(Segments, Protocol):
    """The ledger for the intake: leases, registrations and growing files.

    Every method is one transaction. Times are the database's. Raises Transient DATABASE if the database is
    unreachable.
    """

    def acquire_intake_lease(
        self, source: str, owner: str, process: str, lease: float, ended: str = ""
    ) -> IntakeLease:
        """Acquire the intake lease of `source` for `lease` seconds, unless another process has the lease.

        Returns the valid lease; it is the caller's if its `process` matches. Atomic: exactly one caller
        wins. Afterwards, the ledger rejects registrations under an older lease. ended: a process that has
        certainly ended, whose lease is taken over before it expires.
        """
        ...

    def renew_intake_lease(self, held: IntakeLease, lease: float) -> None:
        """Extend the lease to `lease` seconds from now. Raises IntakeLost if another process has taken
        over, even if that process's lease has expired in turn."""
        ...

    def release_intake_lease(self, held: IntakeLease) -> None:
        """End a lease now. Idempotent. Does nothing if another process has taken over."""
        ...

    def register(self, arrival: Arrival, on_change: OnChange, name_matters: bool) -> Registration:
        """Register one version of a file's content. Idempotent per fingerprint.

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

        lease: the lease of the caller since before these files were opened; None for files that are not
        read from the source's drop folder. Raises IntakeLost if another process has taken over since.
        """
        ...

    def seen(self, source: str, key: bytes, fingerprint: str) -> bool:
        """Whether this state of this file was ever registered."""
        ...

    def other_spelling(self, source: str, key: bytes, sha256: bytes) -> bytes | None:
        """Returns the key of the newest version of this name if it is spelt differently and has different
        bytes, else None."""
        ...

    def has_content(self, source: str, key: bytes, sha256: bytes) -> bool:
        """Whether these bytes were ever registered under this name."""
        ...

    def announced_by(self, source: str, gate: bytes, mark: str) -> frozenset[bytes]:
        """Returns the keys of the files that were registered with the announcement of a gate in this state
        (see `Announcement`)."""
        ...

    def unloaded(self) -> list[Unloaded]:
        """Returns the landed bytes of the files that are pending or running, by source."""
        ...

    def recently_nacked(self, code: Code, within: float) -> bool:
        """Whether a file that failed with `code` is waiting for a retry, or was due for one within the last
        `within` seconds."""
        ...

    def grown(
        self, source: str, keys: Sequence[bytes], inodes: Sequence[str], newest: int = 0
    ) -> list[Taken]:
        """Returns what was taken in from growing files, oldest first.

        For each of these names and each of these inodes ("device:inode"), returns the newest file that had
        it. Also returns the `newest` most recent files of the source.
        """
        ...

    def grow(
        self, growths: Sequence[Growth], lease: IntakeLease | None = None
    ) -> list[Registration | None]:
        """Register parts of growing files of one source, all or none. Each part is a version of its own.

        lease: see `register_many`. A part that follows another gets the name of the previous part, even if
        the file was renamed. The result is None for a part that is already known, and for a part that does
        not follow the newest part of its file.
        """
        ...

    def looked_at(
        self,
        source: str,
        key: bytes,
        taken: Taken,
        inode: str | None,
        fingerprint: str,
        whole: bool,
    ) -> None:
        """Record that a growing file was inspected in a state, perhaps under another name, and that nothing
        was taken in.

        inode: None for a copy of the file. whole: whether all bytes that were taken in before have been
        compared and are unchanged.
        """
        ...
