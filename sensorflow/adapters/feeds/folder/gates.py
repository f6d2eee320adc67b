"""Gates in a drop folder: which files their senders declare complete, and which files wait.

No state is kept in memory that a restart would lose: the folder contains the files and gates, and the
ledger records which files each gate let in. A gate opens once for each name: if it is sent again, it has
another inode or modification time.
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

MOST = 32 << 20
"""Maximum bytes read of a gate."""


class Registrations(Protocol):
    """The operations of a ledger that gates need."""

    def seen(self, source: str, key: bytes, fingerprint: str) -> bool: ...
    def announced_by(self, source: str, gate: bytes, mark: str) -> frozenset[bytes]: ...


class NoRegistrations:
    """Stands in for a ledger that is not available: nothing is registered yet."""

    def seen(self, source: str, key: bytes, fingerprint: str) -> bool:
        return False

    def announced_by(self, source: str, gate: bytes, mark: str) -> frozenset[bytes]:
        return frozenset()


@dataclass(frozen=True)
class AdmittedFile:
    """A file may be taken in. announcement: None if it was taken in before but not yet disposed."""

    announcement: Announcement | None = None
    gate: tuple[bytes, Stat] | None = None


@dataclass(frozen=True)
class WithheldFile:
    """A file that waits, in this state. gate: the gate that may let it in when it changes, b"" if
    unknown."""

    stat: Stat
    gate: bytes
    reason: str


Verdict: TypeAlias = "AdmittedFile | WithheldFile"


class BeingWritten(GateUnreadable):
    """Another process has the gate open for writing. Closing it may change nothing that can be observed."""

    def __init__(self) -> None:
        super().__init__("it is being written")


class Gates:
    """The gates of one source. Each gate pattern kind has its own class; see `make_gates`."""

    def __init__(
        self, folder: DropFolder, registrations: Registrations, settle: float = 0.0
    ) -> None:
        self.folder, self.registrations, self.settle = folder, registrations, settle
        self.held: dict[bytes, WithheldFile] = {}
        self._admitted: dict[bytes, tuple[Stat, AdmittedFile]] = {}
        """Admitted files, with the state of each."""

    def admit(self, key: bytes, stat: Stat) -> Verdict:
        """Return whether a file that is complete by itself may be taken in. Raises Transient."""
        found = self._judge(key, stat)
        if isinstance(found, WithheldFile):
            self.held[key] = found
        else:
            self.held.pop(key, None)
            self._admitted[key] = (stat, found)
        return found

    def _judge(self, key: bytes, stat: Stat) -> Verdict:
        raise NotImplementedError

    def renew(self, key: bytes) -> Announcement | None:
        """Return the announcement under which an admitted file is registered.

        A gate that was touched meanwhile while its file did not change counts as the same gate: `scp -p`
        sets the modification time after it has closed the file. The gate has then opened in its new state
        too.
        """
        if key not in self._admitted:
            return None
        stat, known = self._admitted[key]
        if known.gate is not None and self._is_touched(key, stat, *known.gate):
            self._look_at(known.gate[0])
            again = self._judge(key, stat)
            if isinstance(again, AdmittedFile) and _agree(known.announcement, again.announcement):
                self._admitted[key] = (stat, again)
        return self._admitted[key][1].announcement

    def _is_touched(self, key: bytes, stat: Stat, gate: bytes, before: Stat) -> bool:
        state = self.state(gate)
        return state is not None and state != before and self.state(key) == stat

    def _renewed(self, key: bytes) -> AdmittedFile:
        """Applies once to each admitted file."""
        self.renew(key)
        return self._admitted.pop(key, (None, AdmittedFile()))[1]

    def present(self, files: Iterable[tuple[bytes, Stat]]) -> None:
        """Mark these files as complete, for a single run without notifications."""

    def look(self) -> None:
        """Read the gates of the folder. Raises Transient STORAGE."""

    def look_again(self) -> list[bytes]:
        """Read again the gates that were being written. Returns the files that wait for them, and those
        of sets that have become complete."""
        return []

    def _look_at(self, gate: bytes) -> bool:
        """Read a gate again if its content is cached. Returns whether it was read."""
        return False

    def heard(self, gate: bytes) -> list[bytes]:
        """Handle a gate that was closed or renamed in. Returns the files that wait for it."""
        return [key for key, held in self.held.items() if held.gate == gate]

    def spent(self, keys: Iterable[bytes]) -> list[tuple[bytes, Stat]]:
        """Return the gates that no file needs any more after these files are registered."""
        raise NotImplementedError

    def unmet(self) -> Iterator[tuple[bytes, Stat, str]]:
        """Yield the gates that wait for files, and the files they wait for. Raises Transient."""
        raise NotImplementedError

    def prune(self) -> list[bytes]:
        """Forget files that are gone. Returns their names."""
        gone = [key for key in self.held if not self.is_there(key)]
        for key in gone:
            del self.held[key]
        return gone

    def is_there(self, key: bytes) -> bool:
        with suppress(Gone):
            self.folder.stat(key)
            return True
        return False

    def state(self, key: bytes) -> Stat | None:
        with suppress(Gone):
            return self.folder.stat(key)
        return None

    def read(self, gate: bytes) -> bytes:
        """Return the content of a gate. Raises GateUnreadable, or BeingWritten."""
        try:
            with self.folder.open(gate) as stream:
                data = Readable(stream).read(MOST + 1)
        except Busy:
            raise BeingWritten from None
        except (Gone, Unreadable) as error:
            raise GateUnreadable(f"the gate cannot be read: {error}") from None
        if len(data) > MOST:
            raise GateUnreadable(f"the gate has more than {MOST:,} bytes")
        return data

    def differs(self, key: bytes, what: Announced) -> str | None:
        """Return how a file in the folder differs from its announcement, or None."""
        try:
            with self.folder.open(key) as stream:
                size = self.folder.stat_of(stream).size

                def digest(algorithm: str) -> str:
                    stream.seek(0)
                    return hashlib.file_digest(stream, algorithm).hexdigest()  # type: ignore[arg-type]

                return differs(what, size, digest)
        except (FeedError, OSError) as error:
            return f"the gate cannot be read: {error}"

    def seen(self, key: bytes, stat: Stat) -> bool:
        return self.registrations.seen(self.folder.name, key, stat.fingerprint)

    def opened(self, gate: bytes, stat: Stat) -> frozenset[bytes]:
        """Return the names for which a gate in this state has opened, composed."""
        return frozenset(
            map(
                canonical,
                self.registrations.announced_by(self.folder.name, gate, stat.content_fingerprint),
            )
        )


class FileGates(Gates):
    """One gate for each file."""

    def __init__(
        self,
        folder: DropFolder,
        registrations: Registrations,
        pattern: NamePattern,
        settle: float = 0.0,
    ) -> None:
        super().__init__(folder, registrations, settle)
        self._pattern = pattern
        self._settling = StabilityWindow(settle)
        self._settled: dict[bytes, Stat] = {}
        """Gates on a share, in the state that was stable for the stability window."""
        self._agreeing: dict[bytes, tuple[Stat, Stat, bool]] = {}

    def _judge(self, key: bytes, stat: Stat) -> Verdict:
        gate = self._pattern.gate_of(key)
        name, held = printable(gate), partial(WithheldFile, stat, gate)
        state = self.state(gate)
        if state is None:
            if self.seen(key, stat):
                return AdmittedFile()
            return held(f"waits for its gate {name}")
        if self.folder.busy(gate, state):
            return held(f"its gate {name}: {BeingWritten()}")
        if self.folder.source.polling and not self._has_settled(gate, state):
            return held(f"its gate {name}: it changed a moment ago")
        try:
            what = self._said(gate, key)
        except GateUnreadable as error:
            return held(f"its gate {name}: {error}")
        if canonical(key) in self.opened(gate, state) and not self._again(key, stat, state, what):
            return held(f"waits for a new gate: {name} was that of another version")
        return AdmittedFile(Announcement(gate, state.content_fingerprint, what), (gate, state))

    def _has_settled(self, gate: bytes, state: Stat) -> bool:
        """Whether a gate is stable: on a share no notification reports that it was closed."""
        if self._settled.get(gate) != state and self._settling.is_complete(gate, state, now()):
            self._settled[gate] = state
        return self._settled.get(gate) == state

    def look_again(self) -> list[bytes]:
        done = []
        for gate in self._settling.waiting:
            if (state := self.state(gate)) is None:
                self._settling.forget(gate)
            elif self._has_settled(gate, state):
                done += self.heard(gate)
        return done

    def prune(self) -> list[bytes]:
        gone = super().prune()
        wanted = {held.gate for held in self.held.values()}
        self._settled = {gate: state for gate, state in self._settled.items() if gate in wanted}
        return gone

    def _said(self, gate: bytes, key: bytes) -> Announced:
        algorithm, name = self._pattern.algorithm, printable(gate)
        if algorithm is None:
            return Announced(name)
        file = key.rpartition(b"/")[2].decode("utf-8", "surrogateescape")
        return Announced(
            name, sums=((algorithm, digest_for(text_of(self.read(gate)), file, algorithm)),)
        )

    def _again(self, key: bytes, stat: Stat, state: Stat, what: Announced) -> bool:
        """Whether a gate that has opened for a name also applies to the file that is there now."""
        if self.seen(key, stat):
            return True
        known = self._agreeing.get(key)
        if known is None or known[:2] != (stat, state):
            agrees = bool(what.sums) and self.differs(key, what) is None
            known = self._agreeing[key] = (stat, state, agrees)
        return known[2]

    def spent(self, keys: Iterable[bytes]) -> list[tuple[bytes, Stat]]:
        done = {key: self._renewed(key) for key in keys}
        gates = {admitted.gate[0]: admitted.gate for admitted in done.values() if admitted.gate}
        shared = set(self._shared(gates, set(done)))
        return [gate for key, gate in gates.items() if key not in shared]

    def _shared(self, gates: Collection[bytes], done: set[bytes]) -> Iterator[bytes]:
        """Yield the gates that other files still need: several files may share a {stem}."""
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
    return one is not None and other is not None and one.what == other.what


def make_gates(
    folder: DropFolder, registrations: Registrations, settle: float = 0.0
) -> Gates | None:
    """Return the gates of a source, or None if it has none. settle: stability window in seconds for
    gates without a notification that they were closed."""
    from sensorflow.adapters.feeds.folder.manifests import SetGates

    gate = folder.source.gate
    if gate is None:
        return None
    pattern = gate.pattern
    if isinstance(pattern, NamePattern):
        return FileGates(folder, registrations, pattern, settle)
    return SetGates(folder, registrations, pattern, settle)
