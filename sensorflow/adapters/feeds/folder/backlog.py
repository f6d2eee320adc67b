"""Reports files that are stuck in a drop folder because they cannot be read, are overdue, were never
completed, or have no gate."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence, Set
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from sensorflow.adapters.feeds.folder.drop import DropFolder
from sensorflow.adapters.feeds.folder.gates import (
    AdmittedFile,
    Gates,
    NoRegistrations,
    Registrations,
    WithheldFile,
    make_gates,
)
from sensorflow.adapters.feeds.folder.gating import age, is_overdue
from sensorflow.adapters.feeds.folder.growing import place_of
from sensorflow.core.arrival import printable
from sensorflow.core.gates.announced import Announced
from sensorflow.core.growth import Ingested, Verdict, compare
from sensorflow.core.stability import Stat, takes
from sensorflow.errors import SensorflowError
from sensorflow.ports.audit import AuditStore
from sensorflow.ports.backlog import BacklogReport, GatedFile
from sensorflow.ports.feed import FeedError, Withheld

MAX_FILES = 200_000
"""Maximum number of files examined per folder."""
PATIENCE = 10.0
"""Maximum seconds spent on a folder."""
MOST_GATED = 20_000
"""Maximum number of files and gates examined per source."""
GATED_PATIENCE = 5.0
"""Maximum seconds spent on the files and gates of a source."""
BATCH = 500


class Records(Registrations, Protocol):
    """The operations of a ledger that this module needs."""

    def find_ingested(
        self, source: str, keys: Sequence[bytes], inodes: Sequence[str]
    ) -> list[Ingested]: ...


class FolderBacklog:
    """Implements `ports.backlog.Backlog` for a drop folder. registrations: the ledger; None if it is
    unavailable, in which case gates are not examined."""

    def __init__(self, folder: DropFolder, registrations: Records | None) -> None:
        self.name, self._folder, self._registrations = folder.name, folder, registrations

    def is_reachable(self) -> bool:
        return self._folder.readable()

    def gated_files(self, audit_store: AuditStore | None = None) -> list[GatedFile]:
        if self._registrations is None:
            return []
        gates, until = (
            make_gates(self._folder, self._registrations),
            time.monotonic() + GATED_PATIENCE,
        )
        if gates is None:
            return []
        found = [self._waiting(*withheld) for withheld in self._withheld(gates, audit_store, until)]
        for key, stat, reason in gates.unmet():
            if len(found) >= MOST_GATED or time.monotonic() > until:
                break
            found.append(self._waiting(key, stat, reason, is_gate=True))
        return found

    def _waiting(self, key: bytes, stat: Stat, reason: str, is_gate: bool = False) -> GatedFile:
        late = is_overdue(self._folder, stat)
        return GatedFile(self.name, key, reason, max(0.0, age(stat)), late, is_gate)

    def _withheld(
        self, gates: Gates, audit_store: AuditStore | None, until: float
    ) -> Iterator[tuple[bytes, Stat, str]]:
        gates.reload()
        files = list(self._folder.scan())
        gates.present(files)
        if audit_store is not None and self._folder.source.after == "keep":
            unknown = set(_unknown(audit_store, self.name, [(k, s.fingerprint) for k, s in files]))
            files = [(key, stat) for key, stat in files if key in unknown]
        for key, stat in files[:MOST_GATED]:
            found = gates.admit(key, stat)
            if isinstance(found, WithheldFile):
                yield key, stat, found.reason
            if time.monotonic() > until:
                return

    def inspect(
        self,
        audit_store: AuditStore | None,
        late: float,
        unfinished: float,
        withheld: Set[bytes] = frozenset(),
    ) -> BacklogReport:
        found, now, until = BacklogReport(), time.time(), time.monotonic() + PATIENCE
        folder, late = self._folder, max(late, 4 * self._folder.source.stability_window)
        left_in_place: list[tuple[bytes, str]] = []
        excluded: list[tuple[bytes, Stat]] = []
        for key, stat in folder.all_files():
            if found.files >= MAX_FILES or time.monotonic() > until:
                found.is_complete = False
                break
            found.files += 1
            since = now - max(stat.mtime_ns, stat.ctime_ns) / 1e9
            if folder.is_gate(key):
                continue
            if not folder.takes(key):
                excluded.append((key, stat))
            elif not self._readable(key):
                found.unreadable.append(key)
            elif since > late and not folder.source.growing and key not in withheld:
                if folder.source.after == "keep":
                    left_in_place.append((key, stat.fingerprint))
                else:
                    found.overdue.append(key)
                    found.oldest = max(found.oldest, since)
        followed = self._followed(excluded)
        for key, stat in excluded:
            if key not in followed:
                self._add_excluded(key, now - stat.mtime_ns / 1e9 > unfinished, found)
            elif followed[key] and now - max(stat.mtime_ns, stat.ctime_ns) / 1e9 > late:
                found.cut_off[key] = followed[key]
        if audit_store is not None:
            with suppress(SensorflowError):  # another check reports errors of the ledger
                found.overdue += _unknown(audit_store, self.name, left_in_place)
        return found

    def _followed(self, files: list[tuple[bytes, Stat]]) -> dict[bytes, int]:
        """Return the growing files among `files` that were renamed to names that the source does not
        accept: key -> number of bytes that are not registered yet."""
        found: dict[bytes, int] = {}
        if self._registrations is None or not self._folder.source.growing:
            return found
        for start in range(0, len(files), BATCH):
            piece = {place_of(stat): (key, stat) for key, stat in files[start : start + BATCH]}
            with suppress(SensorflowError):
                for ingested in self._registrations.find_ingested(self.name, [], list(piece)):
                    if ingested.inode in piece and self._is_same_file(
                        ingested, *piece[ingested.inode]
                    ):
                        key, stat = piece[ingested.inode]
                        found[key] = stat.size - ingested.size
        return found

    def _is_same_file(self, ingested: Ingested, key: bytes, stat: Stat) -> bool:
        with suppress(FeedError, OSError), self._folder.open(key) as stream:
            return compare(ingested, place_of(stat), stat.size, stream) is Verdict.SAME
        return False

    def _add_excluded(self, key: bytes, is_old: bool, found: BacklogReport) -> None:
        name = key.rpartition(b"/")[2]
        if name.startswith(b"."):
            return
        if takes(key, ("*",), self._folder.source.exclude):
            stem, dot, ending = name.rpartition(b".")
            pattern = f"*.{printable(ending)}" if stem and dot else "names without an ending"
            found.not_included[pattern].append(key)
        elif is_old:
            found.unfinished.append(key)

    def _readable(self, key: bytes) -> bool:
        return os.access(os.path.join(os.fsencode(self._folder.root), key), os.R_OK)  # noqa: PTH118


def _unknown(audit_store: AuditStore, source: str, asked: list[tuple[bytes, str]]) -> list[bytes]:
    pieces = (asked[start : start + BATCH] for start in range(0, len(asked), BATCH))
    return [key for piece in pieces for key, _ in audit_store.unregistered(source, piece)]


class FolderGatedPath:
    """Implements `ports.backlog.GatedPath` for a drop folder."""

    def __init__(self, folder: DropFolder, path: Path) -> None:
        self._folder = folder
        self._key = os.fsencode(path.resolve().relative_to(folder.root.resolve()))
        self._gates = make_gates(folder, NoRegistrations())
        self.keeps = folder.source.after == "keep"

    def is_gate(self) -> bool:
        return self._folder.is_gate(self._key)

    def announced(self) -> Announced | None:
        if self._gates is None:
            return None
        self._gates.reload()
        self._gates.present(self._folder.scan())
        verdict = self._gates.admit(self._key, self._folder.stat(self._key))
        if not isinstance(verdict, AdmittedFile):
            raise Withheld(verdict.reason)
        return verdict.announcement.announced if verdict.announcement is not None else None

    def differs(self, announced: Announced) -> str | None:
        return self._gates.differs(self._key, announced) if self._gates is not None else None
