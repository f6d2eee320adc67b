"""The gates of all sources that a daemon takes in, and what it says of files that wait for them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from sensorflow.adapters.feeds.folder.drop import Folder
from sensorflow.adapters.feeds.folder.gates import Admitted, Book, Gates, Held, of
from sensorflow.core.arrival import printable
from sensorflow.core.gates.announced import differs
from sensorflow.core.stability import Stat
from sensorflow.flow.register import Found
from sensorflow.ports.intake import Kind, Registration
from sensorflow.telemetry import Event, log


class Gating:
    """Sources without gates cost nothing here. What it holds of a folder is only to save work: `forget`
    loses nothing."""

    def __init__(self, folders: Iterable[Folder], book: Book) -> None:
        self._book = book
        self._gates: dict[str, Gates] = {}
        self._told: dict[tuple[str, bytes], Stat] = {}
        self._overdue: dict[str, set[tuple[bytes, Stat]]] = {}
        for folder in folders:
            self.forget(folder)

    def forget(self, folder: Folder) -> None:
        """Another daemon may have taken files in."""
        gates = of(folder, self._book, folder.source.settle)
        if gates is not None:
            self._gates[folder.name] = gates

    def admit(self, folder: Folder, key: bytes, stat: Stat) -> Admitted | None:
        """A complete file; None where it waits for a gate. Raises Transient."""
        gates = self._gates.get(folder.name)
        if gates is None:
            return Admitted()
        found = gates.admit(key, stat)
        if isinstance(found, Admitted):
            self._told.pop((folder.name, key), None)
            return found
        if self._told.get((folder.name, key)) != stat:
            self._told[folder.name, key] = stat
            log().info(Event.GATE_WAITING, source=folder.name, file=printable(key), why=found.why)
        return None

    def lets_in(self, folder: Folder, key: bytes, stat: Stat) -> bool | None:
        """Whether a file that waits in this state waits no longer; None of one that does not wait."""
        held = self._held(folder).get(key)
        if held is None or held.stat != stat:
            return None
        return self.admit(folder, key, stat) is not None

    def heard(self, folder: Folder, gate: bytes) -> Iterator[tuple[bytes, bool]]:
        """A gate came: the files that may wait for it, and whether each is as it was. Files are taken in
        between two of them, or are gone."""
        gates = self._gates[folder.name]
        for key in gates.heard(gate):
            held, state = gates.held.get(key), gates.state(key)
            if held is not None and state is not None:
                yield key, state == held.stat

    def scanned(self, folder: Folder, whole: bool) -> None:
        """Before a folder is scanned, and after. Raises Transient STORAGE."""
        gates = self._gates.get(folder.name)
        if gates is None:
            return
        if not whole:
            gates.look()
            return
        for key in gates.prune():
            self._told.pop((folder.name, key), None)
            why = "it was gone before its gate came"
            log().warning(Event.FILE_VANISHED, source=folder.name, file=printable(key), why=why)
        self._tell_overdue(folder, gates)

    def _tell_overdue(self, folder: Folder, gates: Gates) -> None:
        late = {(k, h.stat): h for k, h in gates.held.items() if is_overdue(folder, h.stat)}
        told = self._overdue.get(folder.name, set())
        for (key, stat), held in late.items():
            if (key, stat) not in told:
                facts = {"source": folder.name, "file": printable(key), "why": held.why}
                log().warning(Event.GATE_OVERDUE, **facts, do="see `sensorflow doctor`")
        self._overdue[folder.name] = set(late)

    def again(self, folder: Folder) -> list[bytes]:
        """Files that may wait no longer for a manifest that was being written."""
        gates = self._gates.get(folder.name)
        return gates.look_again() if gates is not None else []

    def renewed(self, folder: Folder, files: list[Found]) -> list[Found]:
        """With the announcements by which landed files are to be registered now; see `Gates.renew`."""
        gates = self._gates.get(folder.name)
        if gates is None:
            return files
        return [replace(file, announcement=gates.renew(file.key)) for file in files]

    def differing(self, folder: Folder, files: Sequence[tuple[Found, Registration]]) -> None:
        """Report bytes that are known, and came again with a gate that is of others: what the sender means
        has not arrived. New ones are left to the worker."""
        for file, done in files:
            if done.kind is not Kind.ALIAS or file.announcement is None:
                continue
            landed = file.landed
            known = {"sha256": landed.sha256.hex(), "md5": landed.md5.hex()}
            what = file.announcement.what
            what = replace(what, sums=tuple(pair for pair in what.sums if pair[0] in known))
            if why := differs(what, landed.size, known.__getitem__):
                facts = {
                    "source": folder.name,
                    "file": printable(file.key),
                    "file_id": done.file_id,
                }
                log().warning(Event.GATE_DIFFERS, **facts, why=why)

    def spent(self, folder: Folder, keys: Iterable[bytes]) -> list[tuple[bytes, Stat]]:
        """Gates to be put away, now that these files are registered."""
        gates = self._gates.get(folder.name)
        return gates.spent(keys) if gates is not None else []

    def state(self) -> dict[str, Any] | None:
        """For people: of each source with gates, how many files wait, and how many for too long."""
        counts = {
            name: {"waiting": len(gates.held), "overdue": len(self._overdue.get(name, ()))}
            for name, gates in self._gates.items()
        }
        return counts or None

    def _held(self, folder: Folder) -> dict[bytes, Held]:
        gates = self._gates.get(folder.name)
        return gates.held if gates is not None else {}


def age(stat: Stat) -> float:
    """Seconds since a file was written or renamed in."""
    return time.time() - max(stat.mtime_ns, stat.ctime_ns) / 1e9


def is_overdue(folder: Folder, stat: Stat) -> bool:
    after = folder.source.overdue_after
    return after is not None and age(stat) > after.total_seconds()
