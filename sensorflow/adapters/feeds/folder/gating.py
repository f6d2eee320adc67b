"""The gates of a folder while files are taken in: which files wait, and what is said of them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sensorflow.adapters.feeds.folder.drop import Folder
from sensorflow.adapters.feeds.folder.gates import Book, Gates, Held, of
from sensorflow.core.arrival import printable
from sensorflow.core.gates.announced import Announcement
from sensorflow.core.stability import Stat
from sensorflow.ports.feed import Withheld
from sensorflow.telemetry import Event, emit


class Gating:
    """A source without gates costs nothing here. What it holds is only to save work: `forget` loses
    nothing."""

    def __init__(self, folder: Folder, book: Book) -> None:
        self._folder, self._book = folder, book
        self._gates: Gates | None = None
        self._overdue: set[tuple[bytes, Stat]] = set()
        """As reported."""
        self.forget()

    def forget(self) -> None:
        """Another process may have taken files in."""
        self._gates = of(self._folder, self._book, self._folder.source.settle)

    def admit(self, key: bytes, stat: Stat) -> None:
        """A complete file. Raises Withheld where it waits for a gate; Transient."""
        if self._gates is None:
            return
        found = self._gates.admit(key, stat)
        if isinstance(found, Held):
            raise Withheld(found.why)

    def lets_in(self, key: bytes, stat: Stat) -> bool | None:
        """Whether a file that waits in this state waits no longer; None of one that does not wait."""
        held = self._gates.held.get(key) if self._gates is not None else None
        if held is None or held.stat != stat:
            return None
        try:
            self.admit(key, stat)
        except Withheld:
            return False
        return True

    def heard(self, gate: bytes) -> Iterator[tuple[bytes, bool]]:
        """A gate came: the files that may wait for it, and whether each is as it was. Files are taken in
        between two of them, or are gone."""
        gates = self._gates
        assert gates is not None, "a source without gates"
        for key in gates.heard(gate):
            held, state = gates.held.get(key), gates.state(key)
            if held is not None and state is not None:
                yield key, state == held.stat

    def survey(self) -> None:
        """All files of the folder are complete, its gates too: for who looks once."""
        self._gates = of(self._folder, self._book)
        if self._gates is not None:
            self._gates.look()
            self._gates.present(self._folder.scan())

    def look(self) -> None:
        """Before the folder is scanned. Raises Transient STORAGE."""
        if self._gates is not None:
            self._gates.look()

    def scanned(self) -> list[tuple[bytes, str]]:
        """After it was scanned; returns files that are gone, and why that is worth a line."""
        if self._gates is None:
            return []
        gone = self._gates.prune()
        self._tell_overdue(self._gates)
        return [(key, "it was gone before its gate came") for key in gone]

    def _tell_overdue(self, gates: Gates) -> None:
        late = {(k, h.stat): h for k, h in gates.held.items() if is_overdue(self._folder, h.stat)}
        for (key, stat), held in late.items():
            if (key, stat) not in self._overdue:
                facts = {"source": self._folder.name, "file": printable(key), "why": held.why}
                emit(Event.GATE_OVERDUE, **facts, do="see `sensorflow doctor`")
        self._overdue = set(late)

    def again(self) -> list[bytes]:
        """Files that may wait no longer for a manifest that was being written."""
        return self._gates.look_again() if self._gates is not None else []

    def announcement(self, key: bytes) -> Announcement | None:
        """See `Gates.renew`."""
        return self._gates.renew(key) if self._gates is not None else None

    def spent(self, keys: Iterable[bytes]) -> list[tuple[bytes, Stat]]:
        """Gates to be put away, now that these files are registered."""
        return self._gates.spent(keys) if self._gates is not None else []

    def state(self) -> Mapping[str, Any] | None:
        """For people: how many files wait, and how many for too long; None without gates."""
        if self._gates is None:
            return None
        return {"waiting": len(self._gates.held), "overdue": len(self._overdue)}


def age(stat: Stat) -> float:
    """Seconds since a file was written or renamed in."""
    return time.time() - max(stat.mtime_ns, stat.ctime_ns) / 1e9


def is_overdue(folder: Folder, stat: Stat) -> bool:
    after = folder.source.overdue_after
    return after is not None and age(stat) > after.total_seconds()
