"""Gates in a drop folder. A gate is a marker file by which a sender declares other files complete.

A restart loses nothing: the folder contains the files and gates, and the ledger records which files each
gate has admitted. A gate admits only one file of each name. If the sender sends a gate again, it counts as
a new gate, because its inode or modification time differs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeAlias

from sensorflow.adapters.feeds.folder.drop import DropFolder
from sensorflow.adapters.feeds.folder.stability import StabilityWindow
from sensorflow.adapters.feeds.folder.tree import Readable
from sensorflow.core.arrival import printable
from sensorflow.core.gates.announced import Announced, Announcement, GateUnreadable, differs
from sensorflow.core.gates.patterns import NamePattern
from sensorflow.core.gates.sums import digest_for, text_of
from sensorflow.core.names import canonical
from sensorflow.core.stability import Stat
from sensorflow.flow.clock import now
from sensorflow.ports.feed import Busy, FeedError, Gone, Unreadable

MAX_GATE_BYTES = 32 << 20
"""Maximum size in bytes of a gate that is read."""


class Registrations(Protocol):
    """The operations of a ledger that gates need."""

    def seen(self, source: str, key: bytes, fingerprint: str) -> bool: ...
    def announced_by(self, source: str, gate: bytes, mark: str) -> frozenset[bytes]: ...


class NoRegistrations:
    """Used in place of the ledger if the ledger is unavailable. Reports that no file is registered."""

    def seen(self, source: str, key: bytes, fingerprint: str) -> bool:
        return False

    def announced_by(self, source: str, gate: bytes, mark: str) -> frozenset[bytes]:
        return frozenset()


@dataclass(frozen=True)
class AdmittedFile:
    """A file that may be taken in. announcement: the announcement in its gate. gate: key and state of the
    gate. Both are None if the file is already registered but not yet disposed."""

    announcement: Announcement | None = None
    gate: tuple[bytes, Stat] | None = None


@dataclass(frozen=True)
class WithheldFile:
    """A file that waits for its gate. stat: the state of the file. gate: key of the gate whose arrival or
    change may admit the file; b"" if unknown. reason: a message that says what the file waits for."""

    stat: Stat
    gate: bytes
    reason: str


Verdict: TypeAlias = "AdmittedFile | WithheldFile"


class BeingWritten(GateUnreadable):
    """Raised if another process has the gate open for writing. The gate must then be read again even if its
    size and times stay the same."""

    def __init__(self) -> None:
        super().__init__("it is being written")


class Gates:
    """The gates of one source. The two subclasses are for sources with one gate per file and for sources
    with manifests; see `make_gates`."""

    def __init__(
        self, folder: DropFolder, registrations: Registrations, stability_window: float = 0.0
    ) -> None:
        self.folder, self.registrations, self.stability_window = (
            folder,
            registrations,
            stability_window,
        )
        self.withheld: dict[bytes, WithheldFile] = {}
        self._admitted: dict[bytes, tuple[Stat, AdmittedFile]] = {}
        """Key of an admitted file -> its state, and the gate that admitted the file."""

    def admit(self, key: bytes, stat: Stat) -> Verdict:
        """Decide whether a complete file may be taken in or must wait for its gate. Raises Transient if the
        folder or the ledger is unavailable."""
        found = self._judge(key, stat)
        if isinstance(found, WithheldFile):
            self.withheld[key] = found
        else:
            self.withheld.pop(key, None)
            self._admitted[key] = (stat, found)
        return found

    def _judge(self, key: bytes, stat: Stat) -> Verdict:
        raise NotImplementedError

    def renew(self, key: bytes) -> Announcement | None:
        """Return the announcement under which an admitted file is registered.

        If the gate's state has changed since the file was admitted, but the gate still announces the same,
        the announcement refers to the new state. This happens because `scp -p` sets the modification time
        after it has closed the file.
        """
        if key not in self._admitted:
            return None
        stat, known = self._admitted[key]
        if known.gate is not None and self._is_touched(key, stat, *known.gate):
            self._reread(known.gate[0])
            again = self._judge(key, stat)
            if isinstance(again, AdmittedFile) and _agree(known.announcement, again.announcement):
                self._admitted[key] = (stat, again)
        return self._admitted[key][1].announcement

    def _is_touched(self, key: bytes, stat: Stat, gate: bytes, before: Stat) -> bool:
        state = self.state(gate)
        return state is not None and state != before and self.state(key) == stat

    def _renewed(self, key: bytes) -> AdmittedFile:
        """Renew the announcement of an admitted file and forget the file. Returns the file's announcement
        and gate."""
        self.renew(key)
        return self._admitted.pop(key, (None, AdmittedFile()))[1]

    def present(self, files: Iterable[tuple[bytes, Stat]]) -> None:
        """Treat these files as complete. Used by commands that run once and therefore get no
        notifications."""

    def reload(self) -> None:
        """Read the gates of the folder. Raises Transient STORAGE."""

    def recheck(self) -> list[bytes]:
        """Reread the gates that were incomplete when last read. Returns the files that wait for these
        gates, and the files of manifests whose files are now all present."""
        return []

    def _reread(self, gate: bytes) -> bool:
        """Reread a gate whose content is cached. Returns whether the gate was read."""
        return False

    def gate_arrived(self, gate: bytes) -> list[bytes]:
        """Handle a gate that was written and closed, or moved into the folder. Returns the files that wait
        for this gate."""
        return [key for key, file in self.withheld.items() if file.gate == gate]

    def unneeded(self, keys: Iterable[bytes]) -> list[tuple[bytes, Stat]]:
        """Return the gates that no file needs any more after these files are registered."""
        raise NotImplementedError

    def unmet(self) -> Iterator[tuple[bytes, Stat, str]]:
        """Yield the gates whose files are missing: key, state, and a message that says which files are
        missing. Raises Transient."""
        raise NotImplementedError

    def prune(self) -> list[bytes]:
        """Forget waiting files that no longer exist. Returns their keys."""
        gone = [key for key in self.withheld if not self.exists(key)]
        for key in gone:
            del self.withheld[key]
        return gone

    def exists(self, key: bytes) -> bool:
        with suppress(Gone):
            self.folder.stat(key)
            return True
        return False

    def state(self, key: bytes) -> Stat | None:
        with suppress(Gone):
            return self.folder.stat(key)
        return None

    def read(self, gate: bytes) -> bytes:
        """Return the content of a gate. Raises BeingWritten if a process has the gate open for writing, and
        GateUnreadable if the gate cannot be read for another reason."""
        try:
            with self.folder.open(gate) as stream:
                data = Readable(stream).read(MAX_GATE_BYTES + 1)
        except Busy:
            raise BeingWritten from None
        except (Gone, Unreadable) as error:
            raise GateUnreadable(f"the gate cannot be read: {error}") from None
        if len(data) > MAX_GATE_BYTES:
            raise GateUnreadable(f"the gate has more than {MAX_GATE_BYTES:,} bytes")
        return data

    def differs(self, key: bytes, announced: Announced) -> str | None:
        """Return a message that says how a file in the folder differs from its announcement, or None if it
        does not differ."""
        try:
            with self.folder.open(key) as stream:
                size = self.folder.stat_of(stream).size

                def digest(algorithm: str) -> str:
                    stream.seek(0)
                    return hashlib.file_digest(stream, algorithm).hexdigest()  # type: ignore[arg-type]

                return differs(announced, size, digest)
        except (FeedError, OSError) as error:
            return f"the gate cannot be read: {error}"

    def seen(self, key: bytes, stat: Stat) -> bool:
        return self.registrations.seen(self.folder.name, key, stat.fingerprint)

    def opened(self, gate: bytes, stat: Stat) -> frozenset[bytes]:
        """Return the names, in composed Unicode form, of the files that the ledger records as admitted by
        this gate in this state."""
        return frozenset(
            map(
                canonical,
                self.registrations.announced_by(self.folder.name, gate, stat.content_fingerprint),
            )
        )


class FileGates(Gates):
    """The gates of a source that has one gate per file."""

    def __init__(
        self,
        folder: DropFolder,
        registrations: Registrations,
        pattern: NamePattern,
        stability_window: float = 0.0,
    ) -> None:
        super().__init__(folder, registrations, stability_window)
        self._pattern = pattern
        self._settling = StabilityWindow(stability_window)
        self._settled: dict[bytes, Stat] = {}
        """For a network share: key of a gate that was unchanged for the stability window -> its state."""
        self._agreeing: dict[bytes, tuple[Stat, Stat, bool]] = {}

    def _judge(self, key: bytes, stat: Stat) -> Verdict:
        gate = self._pattern.gate_of(key)
        name, withhold = printable(gate), partial(WithheldFile, stat, gate)
        state = self.state(gate)
        if state is None:
            if self.seen(key, stat):
                return AdmittedFile()
            return withhold(f"waits for its gate {name}")
        if self.folder.busy(gate, state):
            return withhold(f"its gate {name}: {BeingWritten()}")
        if self.folder.source.polling and not self._has_settled(gate, state):
            return withhold(f"its gate {name}: it changed a moment ago")
        try:
            what = self._announced(gate, key)
        except GateUnreadable as error:
            return withhold(f"its gate {name}: {error}")
        if canonical(key) in self.opened(gate, state) and not self._admits_again(
            key, stat, state, what
        ):
            return withhold(f"waits for a new gate: {name} belongs to another version")
        return AdmittedFile(Announcement(gate, state.content_fingerprint, what), (gate, state))

    def _has_settled(self, gate: bytes, state: Stat) -> bool:
        """Whether a gate was unchanged for the stability window and is therefore complete. Used for a
        network share, which sends no notification when a file is closed."""
        if self._settled.get(gate) != state and self._settling.is_complete(gate, state, now()):
            self._settled[gate] = state
        return self._settled.get(gate) == state

    def recheck(self) -> list[bytes]:
        files = []
        for gate in self._settling.waiting:
            if (state := self.state(gate)) is None:
                self._settling.forget(gate)
            elif self._has_settled(gate, state):
                files += self.gate_arrived(gate)
        return files

    def prune(self) -> list[bytes]:
        gone = super().prune()
        wanted = {file.gate for file in self.withheld.values()}
        self._settled = {gate: state for gate, state in self._settled.items() if gate in wanted}
        return gone

    def _announced(self, gate: bytes, key: bytes) -> Announced:
        algorithm, name = self._pattern.algorithm, printable(gate)
        if algorithm is None:
            return Announced(name)
        file = key.rpartition(b"/")[2].decode("utf-8", "surrogateescape")
        return Announced(
            name, sums=((algorithm, digest_for(text_of(self.read(gate)), file, algorithm)),)
        )

    def _admits_again(self, key: bytes, stat: Stat, state: Stat, announced: Announced) -> bool:
        """Whether a gate that has already admitted a file of this name also admits the present file. It
        does if the file is registered or the file's bytes match the gate's checksum."""
        if self.seen(key, stat):
            return True
        known = self._agreeing.get(key)
        if known is None or known[:2] != (stat, state):
            agrees = bool(announced.sums) and self.differs(key, announced) is None
            known = self._agreeing[key] = (stat, state, agrees)
        return known[2]

    def unneeded(self, keys: Iterable[bytes]) -> list[tuple[bytes, Stat]]:
        done = {key: self._renewed(key) for key in keys}
        gates = {admitted.gate[0]: admitted.gate for admitted in done.values() if admitted.gate}
        shared = set(self._shared(gates, set(done)))
        return [gate for key, gate in gates.items() if key not in shared]

    def _shared(self, gates: Collection[bytes], done: set[bytes]) -> Iterator[bytes]:
        """Yield each gate in `gates` that files other than `done` still need. Files of the same {stem}
        share a gate."""
        if self._pattern.hole != "stem" or not gates:
            return
        for prefix in {key[: key.rfind(b"/") + 1] for key in done}:
            for other in self.folder.names(prefix):
                gate = self._pattern.gate_of(other)
                if gate in gates and other not in done and self.folder.takes(other):
                    yield gate

    def unmet(self) -> Iterator[tuple[bytes, Stat, str]]:
        wanted = {self._pattern.gate_of(key) for key, _ in self.folder.scan()}
        for gate, state in self.folder.all_files(self._pattern.is_gate):
            if gate not in wanted and not self.opened(gate, state):
                yield gate, state, "is there without its file"


def _agree(one: Announcement | None, other: Announcement | None) -> bool:
    return one is not None and other is not None and one.announced == other.announced


def make_gates(
    folder: DropFolder, registrations: Registrations, stability_window: float = 0.0
) -> Gates | None:
    """Return the gates of a source, or None if the source has no gates. stability_window: stability
    window in seconds for gates whose closing is not reported by a notification."""
    from sensorflow.adapters.feeds.folder.manifests import SetGates

    gate = folder.source.gate
    if gate is None:
        return None
    pattern = gate.pattern
    if isinstance(pattern, NamePattern):
        return FileGates(folder, registrations, pattern, stability_window)
    return SetGates(folder, registrations, pattern, stability_window)
