"""Manifests in a drop folder. The files that a manifest lists are taken in when all of them are present."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain

from sensorflow.adapters.feeds.folder.drop import DropFolder
from sensorflow.adapters.feeds.folder.gates import (
    AdmittedFile,
    BeingWritten,
    Gates,
    Registrations,
    Verdict,
    WithheldFile,
)
from sensorflow.adapters.feeds.folder.stability import StabilityWindow
from sensorflow.core.arrival import printable
from sensorflow.core.gates.announced import Announced, Announcement, GateUnreadable
from sensorflow.core.gates.manifests import manifest
from sensorflow.core.gates.patterns import ManifestPattern
from sensorflow.core.names import canonical
from sensorflow.core.stability import Stat
from sensorflow.flow.clock import now

MAX_SHOWN = 3


@dataclass
class _Set:
    """A manifest file in one state, and the files that it lists. files: name of each listed file that the
    source accepts, in composed Unicode form -> announcement. done: names of the listed files that are
    registered. is_complete: whether all files were once present at the same time; from then on, each
    file may be taken in. names: the keys of `files`. at: index in `names` of the file that was last
    found missing. fault: the reason why the manifest cannot be used, or "". is_open: whether the
    manifest was being written when it was read."""

    key: bytes
    stat: Stat
    files: dict[bytes, Announced] = field(default_factory=dict)
    done: set[bytes] = field(default_factory=set)
    is_complete: bool = False
    names: list[bytes] = field(default_factory=list)
    at: int = 0
    fault: str = ""
    is_open: bool = False

    @property
    def name(self) -> str:
        return printable(self.key)

    @property
    def finished(self) -> bool:
        return bool(self.files) and self.files.keys() <= self.done


class SetGates(Gates):
    """The gates of a source whose gates are manifests; each manifest lists many files."""

    def __init__(
        self,
        folder: DropFolder,
        registrations: Registrations,
        pattern: ManifestPattern,
        stability_window: float = 0.0,
    ) -> None:
        super().__init__(folder, registrations, stability_window)
        self._pattern = pattern
        self._sets: dict[bytes, _Set] = {}
        self._naming: dict[bytes, _Set] = {}
        """Name of a file -> the newest manifest that lists the file."""
        self._ready: dict[bytes, tuple[bytes, Stat]] = {}
        """Name in composed Unicode form -> key of the file, and the state in which the file was
        complete."""
        self._settling = StabilityWindow(stability_window)
        self._closed: set[bytes] = set()
        self._released: list[bytes] = []
        """Files that may be taken in because the last file of their manifest has arrived."""

    def present(self, files: Iterable[tuple[bytes, Stat]]) -> None:
        self._ready |= {canonical(key): (key, stat) for key, stat in files}

    def reload(self) -> None:
        manifests = dict(self.folder.all_files(self._pattern.is_gate))
        changed = [self._sets.pop(key) for key in set(self._sets) - set(manifests)]
        read = [self._read(key, stat) for key, stat in manifests.items()]
        if changed or any(read):
            self._index()

    def recheck(self) -> list[bytes]:
        read = [key for key in self._settling.waiting if self._reread(key)]
        released, self._released = self._released, []
        return [file for key in read for file in self._waiting_for(key)] + released

    def gate_arrived(self, gate: bytes) -> list[bytes]:
        self._closed.add(gate)
        self._reread(gate)
        return self._waiting_for(gate)

    def _reread(self, gate: bytes) -> bool:
        stat = self.state(gate)
        if stat is None:
            self._settling.forget(gate)
            return False
        if changed := self._read(gate, stat):
            self._index()
        return changed

    def _waiting_for(self, gate: bytes) -> list[bytes]:
        found = self._sets.get(gate)
        return [key for key in self.withheld if found and canonical(key) in found.files]

    def _read(self, key: bytes, stat: Stat) -> bool:
        """Read a manifest unless it was already read in this state. Returns whether the manifest was
        read."""
        known = self._sets.get(key)
        if known is not None and known.stat == stat and not known.is_open:
            return False
        same = known if known is not None and _is_touched(known.stat, stat) else None
        if (
            not same
            and key not in self._closed
            and not self._settling.is_complete(key, stat, now())
        ):
            return False
        self._settling.forget(key)
        self._closed.discard(key)
        new = _Set(key, stat)
        try:
            named = manifest(self.read(key), key)
            new.files = {n: what for n, what in named.items() if self.folder.takes(n)}
            new.names = list(new.files)
            if not new.files:
                new.fault = "it lists no file that the source accepts"
        except GateUnreadable as error:
            new.fault, new.is_open = str(error), isinstance(error, BeingWritten)
        new.done = set(self.opened(key, stat))
        if same is not None and same.files == new.files:
            new.done, new.is_complete = new.done | same.done, same.is_complete
        self._sets[key] = new
        return True

    def _index(self) -> None:
        oldest_first = sorted(self._sets.values(), key=lambda s: (s.stat.mtime_ns, s.key))
        self._naming = {name: found for found in oldest_first for name in found.files}

    def _judge(self, key: bytes, stat: Stat) -> Verdict:
        name = canonical(key)
        self._ready[name] = (key, stat)
        found = self._naming.get(name)
        if found is None:
            if self.seen(key, stat):
                return AdmittedFile()
            faults = [f"{s.name}: {s.fault}" for s in self._sets.values() if s.fault]
            return WithheldFile(stat, b"", "waits for a manifest that names it" + _listed(faults))
        withhold, what = partial(WithheldFile, stat, found.key), found.files[name]
        if name in found.done and not self.seen(key, stat) and not self._agrees(key, what):
            return withhold(f"waits for a new manifest: {found.name} belongs to another version")
        if reason := _short(stat, what):
            return withhold(reason)
        was_complete, missing = found.is_complete, self._missing(found)
        if missing is not None:
            return withhold(f"waits for {missing}, of {found.name}")
        if not was_complete:
            self._released += (other for other in self._waiting_for(found.key) if other != key)
        announcement = Announcement(found.key, found.stat.content_fingerprint, what)
        return AdmittedFile(announcement, (found.key, found.stat))

    def _agrees(self, key: bytes, announced: Announced) -> bool:
        return bool(announced.sums) and self.differs(key, announced) is None

    def _missing(self, found: _Set) -> str | None:
        """Return a text that names a missing or incomplete file of a manifest, or None if all files are
        present."""
        if found.is_complete:
            return None
        for place in chain(range(found.at, len(found.names)), range(found.at)):
            if (lack := self._missing_file(found, found.names[place])) is not None:
                found.at = place
                return lack
        found.is_complete = True
        return None

    def _missing_file(self, found: _Set, name: bytes) -> str | None:
        if name in found.done:
            return None
        key, ready = self._ready.get(name, (name, None))
        stat = self.state(key)
        if stat is None:
            return printable(name)
        if ready != stat and not (self.folder.source.after == "keep" and self.seen(key, stat)):
            return f"{printable(name)}, which is not complete yet"
        if _short(stat, found.files[name]):
            return f"the rest of {printable(name)}"
        return None

    def unneeded(self, keys: Iterable[bytes]) -> list[tuple[bytes, Stat]]:
        for key in keys:
            admitted = self._renewed(key)
            if admitted.gate is not None:
                found = self._sets.get(admitted.gate[0])
                if found is not None and found.stat == admitted.gate[1]:
                    found.done.add(canonical(key))
            self._ready.pop(canonical(key), None)
        return [(s.key, s.stat) for s in self._sets.values() if s.finished]

    def prune(self) -> list[bytes]:
        self._ready = {n: pair for n, pair in self._ready.items() if self.exists(pair[0])}
        return super().prune()

    def unmet(self) -> Iterator[tuple[bytes, Stat, str]]:
        for found in self._sets.values():
            lacks = [n for n in found.files if self._missing_file(found, n) is not None]
            if found.fault:
                yield found.key, found.stat, found.fault
            elif lacks:
                names = ", ".join(printable(n) for n in lacks[:MAX_SHOWN])
                more = ", ..." if len(lacks) > MAX_SHOWN else ""
                count = f"{len(lacks):,} of {len(found.files):,} files"
                yield found.key, found.stat, f"waits for {count}: {names}{more}"


def _is_touched(before: Stat, stat: Stat) -> bool:
    """Whether a manifest is unchanged, except perhaps for an earlier modification time. Writing never sets
    an earlier time, but `scp -p` sets the time of the original file after it has closed the copy."""
    return stat.mtime_ns <= before.mtime_ns and stat.same_content(
        replace(before, mtime_ns=stat.mtime_ns)
    )


def _short(stat: Stat, announced: Announced) -> str:
    """Return a message if a file is smaller than announced and therefore incomplete, else "". A file that
    is larger than announced is handled as a different file."""
    if announced.size is None or stat.size >= announced.size:
        return ""
    return f"has {stat.size:,} of the {announced.size:,} bytes that {announced.gate} announces"


def _listed(faults: list[str]) -> str:
    return f" ({'; '.join(faults[:MAX_SHOWN])})" if faults else ""
