"""The ingest daemon: watches drop folders, lands and registers files, and publishes them.

One thread takes files in, one publishes, so that a broker that is away never keeps a file from being
landed. Nothing is held in memory that a restart would lose: the folders and the ledger are the truth.
"""

from __future__ import annotations

import hashlib
import math
import os
import secrets
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import chain
from types import FrameType
from typing import BinaryIO

from sensorflow import bootstrap, crash
from sensorflow.adapters.feeds.folder.drop import Folder, Putting
from sensorflow.adapters.feeds.folder.gates import Admitted
from sensorflow.adapters.feeds.folder.gating import Gating
from sensorflow.adapters.feeds.folder.growing import Growing
from sensorflow.adapters.feeds.folder.settling import Settling
from sensorflow.adapters.feeds.folder.spelling import Spellings, log_refused
from sensorflow.adapters.feeds.folder.tree import NotAFile, Readable, StillOpen, Unreadable
from sensorflow.adapters.feeds.folder.watch import Watch
from sensorflow.adapters.host import has_ended, process
from sensorflow.core.arrival import Landed, printable
from sensorflow.core.heartbeat import Role
from sensorflow.core.retry import backoff
from sensorflow.core.stability import Stat
from sensorflow.errors import REMEDY, Code, IntakeLost, Transient
from sensorflow.flow.intake.leases import Intake
from sensorflow.flow.intake.turns import Turns
from sensorflow.flow.land import land
from sensorflow.flow.publisher import PublisherLoop
from sensorflow.flow.pulse import Heart, Loop
from sensorflow.flow.register import Found, register_many
from sensorflow.ports.intake import IntakeLease
from sensorflow.ports.landing import Landing, LandingGroup
from sensorflow.ports.ledger import Ledger
from sensorflow.ports.queue import Publisher
from sensorflow.settings import Settings
from sensorflow.telemetry import Event, log

TICK = 0.25
"""Seconds between looks at files that are settling."""
FULL_EVERY = 2.0
"""Seconds between questions whether the database's disk is full, while files come in."""
FULL_FOR = 120.0
"""Seconds after which a report of that is too old to keep files out."""
WATCH_EVERY = 1.0
"""Seconds between looks whether what inotify watches is still the drop folder."""
SETTLING = 5_000
"""Files of a folder that are settling at a time. A folder may hold any number: the others' turn comes when
half of these are through, or what closes them announces them."""
GROUP = 100
"""Files that are landed, registered and put away together when so many are waiting."""
GROUP_BYTES = 8 << 20
"""Bytes of a group: a large file keeps no small one waiting."""
LOOKING = 0.25
"""Seconds in which files for a group are looked for, at most."""


@dataclass(frozen=True)
class _Seen:
    """A file that seems complete. doubtful: inotify told of it; by now it may long be taken."""

    folder: Folder
    key: bytes
    doubtful: bool = field(default=False, compare=False)


class _TooLarge(Exception):
    """A file for a group of its own: the others are not to wait for it."""


class Daemon:
    def __init__(
        self,
        settings: Settings,
        folders: list[Folder],
        landing: Landing,
        ledger: Ledger,
        queue_: Publisher,
    ) -> None:
        self._settings = settings
        self._folders = folders
        self._landing = landing
        self._ledger = ledger
        identity = f"{process()} {secrets.token_hex(4)}"
        self._intake = _intake(settings, folders, ledger, identity)
        self._heart, self._taking, sending = _heart(settings, folders, ledger, identity)
        self._publisher = PublisherLoop(settings, ledger, queue_, sending)
        self._unrecovered: set[str] = set()
        """Folders that were away when they were taken over."""
        self._leases: dict[str, IntakeLease] = {}
        """Of the sources that are taken in here, by this thread's knowledge."""
        self._growing = [Growing(settings, f, landing, ledger) for f in folders if f.source.growing]
        self._settling = {f.name: Settling(f.source.settle) for f in folders}
        self._known: set[bytes] = set()
        self._more = False
        self._refused: dict[tuple[str, bytes], Stat] = {}
        self._spellings = Spellings(ledger)
        self._gating = Gating(folders, ledger)
        self._told: dict[str, deque[_Seen]] = {f.name: deque() for f in folders}
        """What inotify told of."""
        self._news = threading.Event()
        self._turns: Turns[_Seen] = Turns()
        self._again: set[str] = set()
        """Folders to be scanned once more when the scan of them that runs is through."""
        self._looks: dict[str, tuple[IntakeLease, Iterator[bool]]] = {}
        """Growing sources that are being looked at, with the lease since the begin."""
        self._doubt = threading.Event()
        self._stop = threading.Event()
        self._troubles = 0
        self._watch: Watch | None = None

    def stop(self) -> None:
        """Finish the files in hand, and end."""
        self._stop.set()
        self._publisher.stop()
        self._news.set()

    def run(self) -> None:
        """Until `stop`."""
        self._intake.start()
        self._heart.start()
        with self._taking.held():
            self._watch = self._watched()
        publisher = threading.Thread(target=self._publisher.run, name="publisher")
        publisher.start()
        log().info(Event.DAEMON_STARTED, sources=[f.name for f in self._folders])
        try:
            self._take_in()
        finally:
            self.stop()
            self._intake.stop()
            if self._watch is not None:
                self._watch.stop()
            publisher.join()
            self._heart.stop()
            log().info(Event.DAEMON_STOPPED)

    def _watched(self) -> Watch | None:
        """Start the fast path; without it the rescan alone does the work."""
        watched = [f for f in self._folders if not (f.source.polling or f.source.growing)]
        if not watched:
            return None
        try:
            watch = Watch(self._tell, self._rescan)
            watch.start(watched)
        except OSError as error:
            log().warning(Event.WATCH_DEGRADED, reason=str(error), rescan=self._settings.rescan)
            return None
        return watch

    def _tell(self, folder: Folder, key: bytes) -> None:
        self._told[folder.name].append(_Seen(folder, key, True))
        self._news.set()

    def _rescan(self, reason: str) -> None:
        if reason:
            log().warning(Event.WATCH_DEGRADED, reason=reason)
        self._doubt.set()
        self._news.set()

    # --- taking in ---

    def _take_in(self) -> None:
        next_scan = time.monotonic()
        next_look = next_room = next_watch = next_scan
        while not self._stop.is_set():
            now = time.monotonic()
            self._taking.touch()
            try:
                self._heed_leases()
                if now >= next_room:
                    self._require_room()
                    next_room = now + FULL_EVERY
                if now >= next_scan or self._doubt.is_set():
                    self._doubt.clear()
                    next_scan = now + self._settings.rescan
                    self._scan()
                if now >= next_look:
                    next_look = now + TICK
                    self._look_again()
                self._grow()
                if self._watch is not None and now >= next_watch:
                    next_watch = now + WATCH_EVERY
                    with self._taking.held():
                        self._watch.renew()
                self._take_turn(min(next_scan, next_look))
                self._troubles = 0
                self._taking.resume(sure=False)
            except Transient as error:
                self._pause(error)
            except Exception as error:  # noqa: BLE001 - a defect must not end the intake
                log().exception(Event.DEFECT)
                self._pause(Transient(Code.UNEXPECTED, f"{type(error).__name__}: {error}"))

    def _heed_leases(self) -> None:
        """Begin with the folders that this daemon has just taken over, and leave others alone."""
        for folder in self._folders:
            lease = self._intake.held(folder.name)
            if lease == self._leases.get(folder.name):
                continue
            self._leases.pop(folder.name, None)
            if lease is not None:
                self._gating.forget(folder)
                self._recover(folder)
                self._leases[folder.name] = lease
                self._doubt.set()

    def _recover(self, folder: Folder) -> None:
        """What a killed daemon left half put away."""

        def registered(key: bytes, stream: BinaryIO) -> bool:
            if folder.is_gate(key):
                return True  # it was put away after the file that it is of was registered
            sha256 = self._landing.put(stream).sha256
            return self._ledger.has_content(folder.name, key, sha256)

        self._unrecovered.add(folder.name)
        with self._sources_apart(folder), self._taking.held():
            for key in folder.recover(registered, datetime.now(UTC).date()):
                why = "left half put away, and not readable now"
                name = printable(key)
                log().error(Event.FILE_STUCK, source=folder.name, file=name, why=why)
            self._unrecovered.discard(folder.name)

    @contextmanager
    def _sources_apart(self, folder: Folder) -> Iterator[None]:
        """A drop folder that is away is no reason to leave the others."""
        try:
            yield
        except Transient as error:
            if error.code is not Code.STORAGE or folder.readable():
                raise
            log().error(Event.SOURCE_AWAY, source=folder.name, reason=error.message)

    def _require_room(self) -> None:
        """Transient DATABASE_FULL while workers say so: what is taken in now could not be loaded."""
        if self._ledger.given_back_lately(Code.DATABASE_FULL, FULL_FOR):
            raise Transient(Code.DATABASE_FULL, "the database has no room for the files' readings")

    def _pause(self, error: Transient) -> None:
        """The disk or the database is away or full: wait, then look at everything again."""
        self._troubles += 1
        delay = backoff(self._troubles, 0.5, cap=15.0)
        facts = {"code": error.code, "reason": error.message, "seconds": delay}
        log().error(Event.INTAKE_PAUSED, **facts, do=REMEDY.get(error.code, ""))
        self._taking.pause(error)
        self._turns.clear()
        self._again.clear()
        self._looks.clear()
        self._doubt.set()
        self._taking.wait(delay, self._stop)

    def _take_turn(self, until: float) -> None:
        """Take a group of files, some of each source; where there is none, wait for one, not for long."""
        if not (self._turns or self._looks or self._doubt.is_set()):
            self._news.wait(max(until - time.monotonic(), 0.001))
        self._news.clear()
        for name, told in self._told.items():
            if told and not self._turns.has(name, "told"):
                self._turns.add(name, "told", self._popped(told))
        if group := self._turns.gather(GROUP, LOOKING, self._apart_by_name):
            self._take(group)

    def _apart_by_name(self, name: str) -> AbstractContextManager[None]:
        self._taking.touch()
        return next(
            (self._sources_apart(f) for f in self._folders if f.name == name), nullcontext()
        )

    @property
    def _ours(self) -> list[Folder]:
        """Folders that are taken in here, of which the files are taken when they are whole."""
        mine = (folder for folder in self._folders if folder.name in self._leases)
        return [folder for folder in mine if not folder.source.growing]

    def _grow(self) -> None:
        """A group of each growing source that is being looked at, or is to be."""
        for growing in self._growing:
            name = growing.folder.name
            lease = self._leases.get(name)
            if lease is None or (name not in self._looks and not growing.is_due):
                self._looks.pop(name, None)
                continue
            try:
                with self._sources_apart(growing.folder):
                    self._look_on(growing, lease)
                    continue
                self._looks.pop(name, None)  # its folder is away
            except IntakeLost:
                self._looks.pop(name, None)
                self._lose(lease)

    def _look_on(self, growing: Growing, lease: IntakeLease) -> None:
        name = growing.folder.name
        begun, steps = self._looks.get(name, (None, None))
        if steps is None or begun != lease:
            steps = growing.steps(self._stopped, lease)
            self._looks[name] = (lease, steps)
        grew = next(steps, None)
        if grew is None:
            del self._looks[name]
        elif grew:
            self._publisher.wake()

    def _stopped(self) -> bool:
        self._taking.touch()
        return self._stop.is_set()

    def _lose(self, lease: IntakeLease) -> None:
        """Another daemon has taken a source over."""
        self._leases.pop(lease.source, None)
        self._intake.lost(lease)

    def _scan(self) -> None:
        for folder in self._ours:
            if self._turns.has(folder.name, "scan"):
                self._again.add(folder.name)
            else:
                self._turns.add(folder.name, "scan", self._scanned(folder))

    def _scanned(self, folder: Folder) -> Iterator[_Seen | None]:
        if folder.name in self._unrecovered and folder.readable():
            self._recover(folder)
        while True:
            self._gating.scanned(folder, whole=False)
            for key, stat in folder.scan():
                yield _Seen(folder, key) if self._is_new(folder, key, stat) else None
            self._gating.scanned(folder, whole=True)
            self._taking.note(gates=self._gating.state())
            self._put_gates_away(folder, ())
            if folder.name not in self._again:
                return
            self._again.discard(folder.name)

    def _popped(self, told: deque[_Seen]) -> Iterator[_Seen | None]:
        """What was told of; of a gate the files that wait for it."""
        while told:
            seen = told.popleft()
            folder = seen.folder
            if not folder.is_gate(seen.key):
                yield seen
                continue
            for key, same in self._gating.heard(folder, seen.key):
                if same:
                    yield _Seen(folder, key, True)
                else:
                    with suppress(NotAFile):
                        self._settling[folder.name].again(key, folder.stat(key), time.monotonic())

    def _is_new(self, folder: Folder, key: bytes, stat: Stat) -> bool:
        if (let_in := self._gating.lets_in(folder, key, stat)) is not None:
            return let_in
        settling = self._settling[folder.name]
        if len(settling) >= SETTLING and key not in settling:
            self._more = True
            return False
        return not self._is_known(folder, key, stat) and self._complete(folder, key, stat)

    def _look_again(self) -> None:
        for folder in self._ours:
            for key in self._gating.again(folder):
                self._tell(folder, key)
            if len(self._settling[folder.name]) and not self._turns.has(folder.name, "settled"):
                self._turns.add(folder.name, "settled", self._settled(folder))
        if self._more and all(len(s) < SETTLING / 2 for s in self._settling.values()):
            self._more = False
            self._doubt.set()

    def _settled(self, folder: Folder) -> Iterator[_Seen | None]:
        settling = self._settling[folder.name]
        for key in settling.waiting:
            try:
                whole = key in settling and self._complete(folder, key, folder.stat(key))
                yield _Seen(folder, key) if whole else None
            except NotAFile as error:
                self._vanished(folder, key, error)

    def _complete(self, folder: Folder, key: bytes, stat: Stat) -> bool:
        return self._settling[folder.name].complete(key, stat, time.monotonic())

    def _vanished(self, folder: Folder, key: bytes, error: NotAFile) -> None:
        self._settling[folder.name].forget(key)
        log().warning(Event.FILE_VANISHED, source=folder.name, file=printable(key), why=str(error))

    def _is_known(self, folder: Folder, key: bytes, stat: Stat) -> bool:
        """Whether a file that stays in its folder was registered in this very state."""
        if self._refused.get((folder.name, key)) == stat:
            return True
        if self._spellings.is_refused(folder, key, stat):
            return True
        if folder.source.after != "keep":
            return False
        mark = _mark(folder, key, stat)
        if mark in self._known:
            return True
        if self._ledger.seen(folder.name, key, stat.fingerprint):
            self._known.add(mark)
            return True
        return False

    def _take(self, files: Iterable[_Seen]) -> None:
        """Land, register and put away the first of some files, and put the others back; a file that is not
        ready is looked at again.

        What was read by one lease is registered by that one: it may have been lost and taken again.
        """
        waiting = deque(files)
        leases = dict(self._leases)
        landed = self._land_some(waiting)
        for folder, found in landed.items():
            lease = leases[folder.name]
            try:
                with self._sources_apart(folder):
                    self._enter(folder, found, lease)
            except IntakeLost:
                self._lose(lease)
        left: dict[Folder, list[_Seen]] = {}
        for seen in waiting:
            left.setdefault(seen.folder, []).append(seen)
        for folder, some in left.items():
            self._turns.put_back(folder.name, some, first=folder not in landed)

    def _land_some(self, waiting: deque[_Seen]) -> dict[Folder, list[Found]]:
        """Land the first of the waiting files together, and take them off."""
        landed: dict[Folder, list[Found]] = {}
        room = GROUP_BYTES
        with self._landing.group() as group:
            with suppress(_TooLarge):
                while waiting and not self._stop.is_set():
                    self._taking.touch()
                    crash.point(crash.Point.FOUND)
                    seen, found = waiting[0], None
                    with self._sources_apart(seen.folder):
                        found = self._land_seen(group, seen, room if landed else math.inf)
                    waiting.popleft()
                    if found is not None:
                        landed.setdefault(seen.folder, []).append(found)
                        room -= found.landed.size
            group.settle()
        for _ in chain.from_iterable(landed.values()):
            crash.point(crash.Point.LANDED)
        return landed

    def _land_seen(self, group: LandingGroup, seen: _Seen, room: float) -> Found | None:
        discovered, folder, key = datetime.now(UTC), seen.folder, seen.key
        if folder.name not in self._leases:
            return None  # another daemon's; all files are looked at when this one takes over
        try:
            landed = self._land(group, folder, key, room)
        except NotAFile as error:
            if not seen.doubtful or key in self._settling[folder.name]:
                self._vanished(folder, key, error)
                return None
            log().debug(Event.FILE_SKIPPED, source=folder.name, file=printable(key), why=str(error))
            return None
        if landed is None:
            return None
        (bytes_, stat), admitted = landed
        found = Found(key, bytes_, stat, discovered, datetime.now(UTC))
        return replace(found, announcement=admitted.announcement)

    def _enter(self, folder: Folder, files: list[Found], lease: IntakeLease) -> None:
        """Register landed files of a folder, and put them away. Raises IntakeLost."""
        files = self._gating.renewed(folder, self._apart(folder, files))
        if not files:
            return
        try:
            with self._taking.held():
                entered = register_many(self._ledger, self._settings, folder.name, files, lease)
        except Transient:
            raise
        except Exception:
            if len(files) == 1:
                raise
            self._enter_each(folder, files, lease)
            return
        self._taking.resume()
        for file in files:
            self._keep_landed(folder, file)
        for _ in files:
            crash.point(crash.Point.REGISTERED)
        self._publisher.wake()
        self._put_gates_away(folder, [file.key for file in files])
        self._put_away(folder, files, lease)
        for _ in files:
            crash.point(crash.Point.PUT_AWAY)
        told = log()
        self._gating.differing(folder, list(zip(files, entered, strict=True)))
        for file, done in zip(files, entered, strict=True):
            told.info(
                Event.FILE_REGISTERED,
                source=folder.name,
                file=printable(file.key),
                file_id=done.file_id,
                version=done.version,
                kind=done.kind,
                size=file.landed.size,
            )

    def _apart(self, folder: Folder, files: list[Found]) -> list[Found]:
        """Without those whose name, spelt otherwise, another file in the folder has."""
        done = self._spellings.sort_out(folder, files)
        for file in done.later:
            self._settling[folder.name].again(file.key, file.stat, time.monotonic())
        for file, other in done.refused:
            log_refused(folder, file.key, other)
        return done.taken

    def _enter_each(self, folder: Folder, files: list[Found], lease: IntakeLease) -> None:
        """One of them cannot be registered, which is a defect: the others do not wait for it."""
        defects = []
        for file in files:
            try:
                self._enter(folder, [file], lease)
            except Transient:
                raise
            except Exception as error:  # noqa: BLE001 - raised below
                defects.append(error)
        for defect in defects:
            raise defect

    def _keep_landed(self, folder: Folder, file: Found) -> None:
        """Retention may have taken the same bytes, of an older file, before these were registered."""
        if not self._landing.has(file.landed.name):
            with folder.open(file.key) as stream:
                self._landing.put(Readable(stream))

    def _put_away(self, folder: Folder, files: list[Found], lease: IntakeLease) -> None:
        """A file that cannot be moved is registered all the same, and left until it changes.

        Where another daemon may have taken over, nothing is touched any more: it finds the files there.
        """
        stats = {file.key: file.stat for file in files}
        if folder.source.after == "keep":
            for key, stat in stats.items():
                self._known.add(_mark(folder, key, stat))
        self._put_all_away(folder, stats, lease)

    def _put_all_away(self, folder: Folder, stats: dict[bytes, Stat], lease: IntakeLease) -> None:
        def allowed() -> bool:
            self._taking.touch()
            return self._intake.is_certain(lease)

        ours = Putting(lease.token, allowed)
        stuck = folder.put_away(stats.items(), datetime.now(UTC).date(), ours)
        for key, why in stuck.items():
            self._refused[folder.name, key] = stats[key]
            log().error(Event.FILE_STUCK, source=folder.name, file=printable(key), why=why)

    def _put_gates_away(self, folder: Folder, keys: Sequence[bytes]) -> None:
        """Those that are spent now that these files are registered: before the files themselves, so that
        none is left to open for what comes next under their names."""
        lease = self._leases.get(folder.name)
        spent = dict(self._gating.spent(folder, keys))
        spent = {
            k: stat for k, stat in spent.items() if self._refused.get((folder.name, k)) != stat
        }
        if lease is not None and spent:
            self._put_all_away(folder, spent, lease)

    def _land(
        self, group: LandingGroup, folder: Folder, key: bytes, room: float
    ) -> tuple[tuple[Landed, Stat], Admitted] | None:
        """The landed file, or None when it is known, being written, not readable, or waits for a gate.

        Raises _TooLarge when it has more than `room` bytes.
        """
        settling = self._settling[folder.name]
        try:
            with folder.open(key) as stream:
                stat = folder.stat_of(stream)
                if self._is_known(folder, key, stat):
                    return None
                if stat.size > room:
                    raise _TooLarge
                if (admitted := self._gating.admit(folder, key, stat)) is None:
                    settling.forget(key)
                    return None
                reader = Readable(stream, self._taking.touch)
                landed = land(group, reader, lambda: folder.stat_of(stream))
                if landed is None:
                    settling.again(key, folder.stat_of(stream), time.monotonic())
        except StillOpen:
            settling.again(key, folder.stat(key), time.monotonic())
            return None
        except (PermissionError, Unreadable) as error:
            self._refuse(folder, key, error)
            return None
        if landed is None:
            return None
        settling.forget(key)
        return landed, admitted

    def _refuse(self, folder: Folder, key: bytes, error: Exception) -> None:
        """Not readable: said once for each state of the file, and tried when that changes."""
        self._settling[folder.name].forget(key)
        self._refused[folder.name, key] = folder.stat(key)
        log().error(Event.FILE_UNREADABLE, source=folder.name, file=printable(key), why=str(error))


def _heart(
    settings: Settings, folders: list[Folder], ledger: Ledger, mine: str
) -> tuple[Heart, Loop, Loop]:
    """With the loops of the intake and of the publisher."""
    heart = Heart(
        ledger, socket.gethostname(), os.getpid(), mine, bootstrap.shared_digest(settings)
    )
    sources = [folder.name for folder in folders]
    return heart, heart.loop(Role.INTAKE, sources=sources), heart.loop(Role.PUBLISHER)


def _intake(settings: Settings, folders: list[Folder], ledger: Ledger, mine: str) -> Intake:
    names, owner = [folder.name for folder in folders], bootstrap.who("daemon")
    return Intake(ledger, names, owner, mine, settings.lease, has_ended)


def _mark(folder: Folder, key: bytes, stat: Stat) -> bytes:
    """A state of a file in sixteen bytes: a folder may keep a million of them."""
    whole = b"\0".join((folder.name.encode(), key, stat.fingerprint.encode()))
    return hashlib.blake2b(whole, digest_size=16).digest()


def run(settings: Settings) -> None:
    """The process: until SIGTERM or SIGINT."""
    ledger = bootstrap.ledger(settings, "daemon")
    queue_ = bootstrap.publisher(settings)
    daemon = Daemon(
        settings, bootstrap.folders(settings), bootstrap.landing(settings), ledger, queue_
    )

    def end(_number: int, _frame: FrameType | None) -> None:
        daemon.stop()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    # a writer that opens a file while its lease is tried makes the kernel send this; it would kill us
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    try:
        daemon.run()
    finally:
        queue_.close()
        ledger.close()
