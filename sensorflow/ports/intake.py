"""The ledger, for what takes files in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from sensorflow.core.arrival import Arrival
from sensorflow.core.growth import Growth, Taken
from sensorflow.errors import Code, IntakeLost
from sensorflow.ports.segments import Segments


class Kind(StrEnum):
    """What a file that arrived turned out to be."""

    NEW = "new"
    ALIAS = "alias"  # the same bytes as a file that is there already
    SEEN = "seen"  # this very state of this very file was registered before


class OnChange(StrEnum):
    """What to do when a file's content changes."""

    MERGE = "merge"  # replace the readings that it states again, keep everything else
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
    """The right to take files of a source in. Of a source's leases only the newest, by token, holds.

    owner: the daemon's name for people. process: identifies it among all processes of all hosts.
    """

    source: str
    owner: str
    process: str
    token: int


def intake_lost(held: IntakeLease) -> IntakeLost:
    reason = (
        "another daemon has taken over the intake of this source; its folder is looked at again"
    )
    return IntakeLost(f"{held.source}: {reason}", token=held.token)


class Intake(Segments, Protocol):
    """What takes files in needs of the ledger.

    Every method is one transaction. Times are the database's. Raises Transient DATABASE when it cannot be
    reached.
    """

    def take_intake(
        self, source: str, owner: str, process: str, lease: float, ended: str = ""
    ) -> IntakeLease:
        """Become the one who takes files of `source` in, for `lease` seconds, if nobody else is.

        Returns the lease that holds now: ours if it has our `process`. Atomic: exactly one caller wins.
        After that no registration with an older lease is committed any more. ended: a process that has
        ended for certain; its lease need not run out.
        """
        ...

    def renew_intake(self, held: IntakeLease, lease: float) -> None:
        """Raises IntakeLost when somebody else has taken over, also if their lease has ended."""
        ...

    def release_intake(self, held: IntakeLease) -> None:
        """End a lease now. Idempotent; does nothing when somebody else has taken over."""
        ...

    def register(self, arrival: Arrival, on_change: OnChange, name_matters: bool) -> Registration:
        """One row for each version of a file's content; idempotent for one fingerprint.

        name_matters: the same bytes under another name are other readings, not an alias.
        """
        ...

    def register_many(
        self,
        arrivals: Sequence[Arrival],
        on_change: OnChange,
        name_matters: bool,
        lease: IntakeLease | None = None,
    ) -> list[Registration]:
        """`register` for each of these, in this order and all or none. They are of one source.

        lease: the one that was held before these files were opened. Raises IntakeLost when somebody
        else has taken over since. None for what is read from elsewhere than the source's drop folder.
        """
        ...

    def seen(self, source: str, key: bytes, fingerprint: str) -> bool:
        """Whether this state of this file was registered."""
        ...

    def spelt_otherwise(self, source: str, key: bytes, sha256: bytes) -> bytes | None:
        """The key of the newest version of this name, where that is spelt otherwise and has other bytes."""
        ...

    def has_content(self, source: str, key: bytes, sha256: bytes) -> bool:
        """Whether these bytes were ever registered under this name."""
        ...

    def announced_by(self, source: str, gate: bytes, mark: str) -> frozenset[bytes]:
        """The keys that were registered on the word of a gate in this state (see `Announcement`)."""
        ...

    def given_back_lately(self, code: Code, within: float) -> bool:
        """Whether a file that failed with `code` is being tried again, or was to be within the last
        `within` seconds."""
        ...

    def grown(
        self, source: str, keys: Sequence[bytes], inodes: Sequence[str], newest: int = 0
    ) -> list[Taken]:
        """What was taken of growing files, from the oldest on: of each of these names the newest file, of
        each of these inodes ("device:inode"), and so many of the newest of all."""
        ...

    def grow(
        self, growths: Sequence[Growth], lease: IntakeLease | None = None
    ) -> list[Registration | None]:
        """Register parts of growing files of one source, all or none; each is a version of its own.

        lease: see `register_many`. A part that follows another has the name of that, whatever it is called
        by now. None for one
        that is known already, or whose file has grown otherwise since it was looked up.
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
        """A growing file was seen in a state, perhaps under another name, and nothing of it was taken.

        inode: None of a copy of the file. whole: all that was taken of it before was compared, and is there
        unchanged.
        """
        ...
