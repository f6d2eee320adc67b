"""Applies the gates of a folder during the intake, and reports the files that wait for their gates."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sensorflow.adapters.feeds.folder.drop import DropFolder
from sensorflow.adapters.feeds.folder.gates import Gates, Registrations, WithheldFile, make_gates
from sensorflow.core.arrival import printable
from sensorflow.core.gates.announced import Announcement
from sensorflow.core.stability import Stat
from sensorflow.ports.feed import Withheld
from sensorflow.telemetry import Event, emit


class Gating:
    """Decides which files of a source wait for their gates. Admits all files of a source without gates. The
    attributes are only a cache; the folder and the ledger contain all of the state."""

    def __init__(self, folder: DropFolder, registrations: Registrations) -> None:
        self._folder, self._registrations = folder, registrations
        self._gates: Gates | None = None
        self._overdue: set[tuple[bytes, Stat]] = set()
        """Overdue files that were already reported."""
        self.forget()

    def forget(self) -> None:
        """Clear the cache, because another process may have taken in files."""
        self._gates = make_gates(
            self._folder, self._registrations, self._folder.source.stability_window
        )

    def admit(self, key: bytes, stat: Stat) -> None:
        """Admit a complete file. Raises Withheld if the file waits for a gate; Transient if the folder or
        the ledger is unavailable."""
        if self._gates is None:
            return
        found = self._gates.admit(key, stat)
        if isinstance(found, WithheldFile):
            raise Withheld(found.reason)

    def admits(self, key: bytes, stat: Stat) -> bool | None:
        """Whether a waiting file may now be taken in; None if no file with this key and state was
        waiting."""
        withheld = self._gates.withheld.get(key) if self._gates is not None else None
        if withheld is None or withheld.stat != stat:
            return None
        try:
            self.admit(key, stat)
        except Withheld:
            return False
        return True

    def gate_arrived(self, gate: bytes) -> Iterator[tuple[bytes, bool]]:
        """Handle the arrival of a gate: yield each file that waits for this gate, and whether the file is
        unchanged. The caller may take in files during the iteration."""
        gates = self._gates
        assert gates is not None, "a source without gates"
        for key in gates.gate_arrived(gate):
            withheld, state = gates.withheld.get(key), gates.state(key)
            if withheld is not None and state is not None:
                yield key, state == withheld.stat

    def survey(self) -> None:
        """Treat all files and gates of the folder as complete. Used by commands that run once and therefore
        get no notifications."""
        self._gates = make_gates(self._folder, self._registrations)
        if self._gates is not None:
            self._gates.reload()
            self._gates.present(self._folder.scan())

    def reload(self) -> None:
        """Read the gates before a scan of the folder. Raises Transient STORAGE."""
        if self._gates is not None:
            self._gates.reload()

    def scanned(self) -> list[tuple[bytes, str]]:
        """Update the cache after a scan. Returns the waiting files that no longer exist, with a reason to
        log."""
        if self._gates is None:
            return []
        gone = self._gates.prune()
        self._log_overdue(self._gates)
        return [(key, "it was removed before its gate arrived") for key in gone]

    def _log_overdue(self, gates: Gates) -> None:
        late = {
            (k, h.stat): h for k, h in gates.withheld.items() if is_overdue(self._folder, h.stat)
        }
        for (key, stat), withheld in late.items():
            if (key, stat) not in self._overdue:
                facts = {
                    "source": self._folder.name,
                    "file": printable(key),
                    "why": withheld.reason,
                }
                emit(Event.GATE_OVERDUE, **facts, do="see `sensorflow doctor`")
        self._overdue = set(late)

    def released(self) -> list[bytes]:
        """Return files that may no longer need to wait, because a manifest that was being written is now
        complete."""
        return self._gates.recheck() if self._gates is not None else []

    def announcement(self, key: bytes) -> Announcement | None:
        """See `Gates.renew`."""
        return self._gates.renew(key) if self._gates is not None else None

    def unneeded(self, keys: Iterable[bytes]) -> list[tuple[bytes, Stat]]:
        """Return the gates to dispose after these files are registered."""
        return self._gates.unneeded(keys) if self._gates is not None else []

    def state(self) -> Mapping[str, Any] | None:
        """Return the number of waiting files and the number of overdue files, for display. Return None for
        a source without gates."""
        if self._gates is None:
            return None
        return {"waiting": len(self._gates.withheld), "overdue": len(self._overdue)}


def age(stat: Stat) -> float:
    """Return the number of seconds since a file was written or was moved into the folder."""
    return time.time() - max(stat.mtime_ns, stat.ctime_ns) / 1e9


def is_overdue(folder: DropFolder, stat: Stat) -> bool:
    after = folder.source.overdue_after
    return after is not None and age(stat) > after.total_seconds()
