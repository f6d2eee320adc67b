"""The feed of a drop folder. inotify is the fast path; full scans guarantee that every file is found.

A restart loses nothing, because the folder and the ledger contain all of the state.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, BinaryIO

from sensorflow.adapters.feeds.folder.drop import DropFolder
from sensorflow.adapters.feeds.folder.gates import Registrations
from sensorflow.adapters.feeds.folder.gating import Gating
from sensorflow.adapters.feeds.folder.stability import StabilityWindow
from sensorflow.adapters.feeds.folder.tree import Readable, stat_of
from sensorflow.core.arrival import printable
from sensorflow.core.gates.announced import Announcement
from sensorflow.core.stability import Stat
from sensorflow.ports.feed import (
    Busy,
    Candidate,
    Feed,
    FeedHost,
    Gone,
    Permit,
)
from sensorflow.telemetry import Event, emit

if TYPE_CHECKING:
    from sensorflow.adapters.feeds.folder.watch import InotifyWatcher

TICK = 0.25
"""Seconds between checks of files in their stability window."""
WATCH_EVERY = 1.0
"""Seconds between checks that inotify still watches the drop folder."""
MAX_UNSTABLE = 5_000
"""Maximum number of files of a folder that are in their stability window at the same time. A further file
waits until half of these files are complete, or until inotify reports that the further file was closed."""


@dataclass(frozen=True)
class File(Candidate):
    """A file found in the folder. doubtful: whether the file was reported by inotify. Such a file may
    already have been taken in and disposed."""

    stat: Stat
    doubtful: bool = field(default=False, compare=False)


def file_of(source: str, key: bytes, stat: Stat, doubtful: bool = False) -> File:
    times = (stat.mtime_ns, stat.ctime_ns)
    return File(source, key, stat.fingerprint, stat.size, *times, stat, doubtful)


class OpenFile(Readable):
    """Implements `ports.feed.Opened` for a file in any folder of this host."""

    def __init__(
        self,
        source: str,
        key: bytes,
        stream: BinaryIO,
        stat_of_stream: Callable[[BinaryIO], Stat] = stat_of,
    ) -> None:
        super().__init__(stream)
        self._source, self._key, self._open, self._stat_of = source, key, stream, stat_of_stream

    def state(self) -> File:
        return file_of(self._source, self._key, self._stat_of(self._open))


class FolderFeed(Feed):
    """The feed of a drop folder; see `ports.feed.Feed`.

    registrations: the ledger's operations for a source with gates; see `gates.Registrations`. rescan:
    seconds between scans. watch: the inotify watcher that all folders of a process share; if None, files
    are found only by scans.
    """

    def __init__(
        self,
        folder: DropFolder,
        registrations: Registrations,
        rescan: float = math.inf,
        watch: InotifyWatcher | None = None,
    ) -> None:
        self.name, self.folder, rules = folder.name, folder, folder.source
        self.keeps = rules.after == "keep"
        self.delay = rules.stability_window
        self._rescan, self._watch = rescan, watch
        self._gating = Gating(folder, registrations)
        self._settling = StabilityWindow(rules.stability_window)
        self._more = False
        self._reported: deque[bytes] = deque()
        """Keys that inotify has reported."""
        self._rescan_needed = threading.Event()
        self._next_scan = self._next_look = self._next_watch = -math.inf
        self._running: set[str] = set()
        """The kinds of iterators that `poll` has returned and that are not exhausted yet."""
        self._scan_twice = False
        """Whether to scan the folder again after the current scan."""
        self._unrecovered = False
        """Whether files in staging are not yet recovered, because the folder was unavailable when this
        process took over."""
        self._not_disposed: dict[bytes, Stat] = {}
        """Gates that could not be disposed."""
        self._taker: FeedHost | None = None
        self._permit = Permit()

    # --- start and polling ---

    def start(self, host: FeedHost) -> None:
        """Start to watch the folder by inotify. If this fails, files are found only by the rescan."""
        self._taker = host
        if self._watch is None or self.folder.source.polling:
            self._watch = None
            return
        try:
            with host.long_call():
                self._watch.add(self.folder, self._on_file, self._rescan_for)
        except OSError as error:
            emit(Event.WATCH_DEGRADED, reason=str(error), rescan=self._rescan)
            self._watch = None

    def stop(self) -> None:
        if self._watch is not None:
            self._watch.stop()

    def _on_file(self, key: bytes) -> None:
        self._reported.append(key)
        self._waker.wake()

    def _rescan_for(self, reason: str) -> None:
        if reason:
            emit(Event.WATCH_DEGRADED, reason=reason)
        self._rescan_needed.set()
        self._waker.wake()

    @property
    def _waker(self) -> FeedHost:
        assert self._taker is not None, "not started"
        return self._taker

    def activate(self, permit: Permit) -> None:
        self._permit = permit
        self._rescan_needed.set()
        self._gating.forget()
        self._unrecovered = True
        self._recover()

    def _recover(self) -> None:
        """Recover files that a killed daemon left in a staging folder."""
        taker = self._waker

        def registered(key: bytes, stream: BinaryIO) -> bool:
            if self.folder.is_gate(key):
                return True  # a gate is disposed only after its file is registered
            return taker.is_registered(self.name, key, stream)

        with taker.long_call():
            for key in self.folder.recover(registered, today()):
                reason = "left in a staging folder by a killed daemon, and cannot be read"
                emit(Event.FILE_NOT_DISPOSED, source=self.name, file=printable(key), why=reason)
        self._unrecovered = False

    def stand_by(self) -> None:
        self._reported.clear()

    def rewind(self) -> None:
        self._running.clear()
        self._scan_twice = False
        self._rescan_needed.set()

    def poll(self, now: float) -> Iterable[Iterator[Candidate | None]]:
        must_look = now >= self._next_look
        if must_look and self._more and len(self._settling) < MAX_UNSTABLE / 2:
            self._more = False
            self._rescan_needed.set()
        if now >= self._next_scan or self._rescan_needed.is_set():
            self._rescan_needed.clear()
            self._next_scan = now + self._rescan
            if "scan" in self._running:
                self._scan_twice = True
            else:
                yield self._turn("scan", self._scanned())
        if must_look:
            self._next_look = now + TICK
            self._reported.extend(self._gating.released())
            if len(self._settling) and "settled" not in self._running:
                yield self._turn("settled", self._stable())
        if self._watch is not None and now >= self._next_watch:
            self._next_watch = now + WATCH_EVERY
            with self._waker.long_call():
                self._watch.renew(self.folder)
        if self._reported and "reported" not in self._running:
            yield self._turn("reported", self._next_reported())

    def _turn(self, kind: str, files: Iterator[File | None]) -> Iterator[File | None]:
        self._running.add(kind)
        return self._until_exhausted(kind, files)

    def _until_exhausted(self, kind: str, files: Iterator[File | None]) -> Iterator[File | None]:
        try:
            yield from files
        finally:
            self._running.discard(kind)

    def _scanned(self) -> Iterator[File | None]:
        if self._unrecovered and self.folder.readable():
            self._recover()
        while True:
            self._gating.reload()
            for key, stat in self.folder.scan():
                yield file_of(self.name, key, stat) if self._is_new(key, stat) else None
            for key, reason in self._gating.scanned():
                self._waker.file_vanished(self.name, key, reason)
            self._waker.scan_finished()
            self._dispose_gates((), self._permit)
            if not self._scan_twice:
                return
            self._scan_twice = False

    def _is_new(self, key: bytes, stat: Stat) -> bool:
        if (is_admitted := self._gating.admits(key, stat)) is not None:
            return is_admitted
        if len(self._settling) >= MAX_UNSTABLE and key not in self._settling:
            self._more = True
            return False
        known = self._waker.is_known(file_of(self.name, key, stat))
        return not known and self._complete(key, stat)

    def _complete(self, key: bytes, stat: Stat) -> bool:
        return self._settling.is_complete(key, stat, time.monotonic())

    def _stable(self) -> Iterator[File | None]:
        for key in self._settling.waiting:
            try:
                is_complete = key in self._settling and self._complete(
                    key, stat := self.folder.stat(key)
                )
                yield file_of(self.name, key, stat) if is_complete else None
            except Gone as error:
                self._vanished(key, error)

    def _next_reported(self) -> Iterator[File | None]:
        """Yield the files that inotify has reported. For a reported gate, yield the files that wait for
        that gate."""
        while self._reported:
            key = self._reported.popleft()
            if not self.folder.is_gate(key):
                yield self._doubtful(key)
                continue
            for file, same in self._gating.gate_arrived(key):
                if same:
                    yield self._doubtful(file)
                else:
                    self._restart_stability(file)

    def _doubtful(self, key: bytes) -> File | None:
        try:
            return file_of(self.name, key, self.folder.stat(key), doubtful=True)
        except Gone as error:
            self._skip_vanished(key, error)
            return None

    def _restart_stability(self, key: bytes) -> None:
        with suppress(Gone):
            self._settling.restart(key, self.folder.stat(key), time.monotonic())

    def _skip_vanished(self, key: bytes, error: Gone) -> None:
        """Handle a reported file that no longer exists, most likely because it was already taken in."""
        if key in self._settling:
            self._vanished(key, error)
            return
        emit(Event.FILE_SKIPPED, source=self.name, file=printable(key), why=str(error))

    def _vanished(self, key: bytes, error: Gone) -> None:
        self._settling.forget(key)
        self._waker.file_vanished(self.name, key, str(error))

    # --- one file ---

    def scan(self) -> Iterator[Candidate]:
        for key, stat in self.folder.scan():
            yield file_of(self.name, key, stat)

    @contextmanager
    def open(self, candidate: Candidate) -> Iterator[OpenFile]:
        with self.folder.open(candidate.key) as stream:
            yield OpenFile(self.name, candidate.key, stream, self.folder.stat_of)

    def is_unchanged(self, candidate: Candidate) -> bool:
        return not self.folder.busy(candidate.key, stat_in(candidate))

    def admit(self, candidate: Candidate) -> None:
        self._gating.admit(candidate.key, stat_in(candidate))

    def treat_all_as_complete(self) -> None:
        self._gating.survey()

    def announcement(self, candidate: Candidate) -> Announcement | None:
        return self._gating.announcement(candidate.key)

    def ack(self, candidates: Sequence[Candidate], permit: Permit) -> Mapping[Candidate, str]:
        self._dispose_gates([c.key for c in candidates], permit)
        for candidate in candidates:
            self._settling.forget(candidate.key)
        stats = [(c.key, stat_in(c)) for c in candidates]
        not_disposed = self.folder.dispose(stats, today(), permit)
        return {c: not_disposed[c.key] for c in candidates if c.key in not_disposed}

    def _dispose_gates(self, keys: Sequence[bytes], permit: Permit) -> None:
        """Archive or delete the gates that no file needs after these files are registered. Call this before
        the files are disposed, because a remaining gate would admit the next file of the same name."""
        unneeded = dict(self._gating.unneeded(keys))
        unneeded = {k: stat for k, stat in unneeded.items() if self._not_disposed.get(k) != stat}
        for key, reason in self.folder.dispose(unneeded.items(), today(), permit).items():
            self._not_disposed[key] = unneeded[key]
            emit(Event.FILE_NOT_DISPOSED, source=self.name, file=printable(key), why=reason)

    def nack(self, candidate: Candidate, error: Exception) -> None:
        key = candidate.key
        if isinstance(error, Busy):
            self._settling.restart(key, self._stat_now(candidate), time.monotonic())
        elif not isinstance(error, Gone):
            self._settling.forget(key)
        elif isinstance(candidate, File) and candidate.doubtful:
            self._skip_vanished(key, error)
        else:
            self._vanished(key, error)

    def _stat_now(self, candidate: Candidate) -> Stat:
        try:
            return self.folder.stat(candidate.key)
        except Gone:  # the next check reports that the file is gone
            return stat_in(candidate)

    # --- the folder ---

    def is_reachable(self) -> bool:
        return self.folder.readable()

    def has_other(self, key: bytes, than: Candidate) -> bool:
        return self.folder.has_other(key, stat_in(than))

    def state(self) -> Mapping[str, Any] | None:
        return self._gating.state()


def stat_in(candidate: Candidate) -> Stat:
    assert isinstance(candidate, File), "of another feed"
    return candidate.stat


def today() -> date:
    return datetime.now(UTC).date()
