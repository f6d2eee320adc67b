"""The ingest daemon: watches drop folders, lands and registers files, and publishes them.

One thread takes files in, one publishes, so that a broker that is away never keeps a file from being
landed. Nothing is held in memory that a restart would lose: the folders and the ledger are the truth.
"""

from __future__ import annotations

import hashlib
import math
import queue
import secrets
import signal
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, islice
from types import FrameType
from typing import BinaryIO

from sensorflow import bootstrap, crash
from sensorflow.adapters.feeds.folder import (
    Folder,
    NotAFile,
    Putting,
    Readable,
    StillOpen,
    Unreadable,
)
from sensorflow.adapters.feeds.spelling import Spellings, log_refused
from sensorflow.adapters.feeds.watch import Watch
from sensorflow.adapters.host import has_ended, process
from sensorflow.core.arrival import Landed, printable
from sensorflow.core.retry import backoff
from sensorflow.core.stability import Stat
from sensorflow.errors import REMEDY, Code, IntakeLost, Transient
from sensorflow.flow.detect import Settling
from sensorflow.flow.intake import Intake
from sensorflow.flow.land import land
from sensorflow.flow.publish import publish
from sensorflow.flow.register import Found, register_many
from sensorflow.flow.sweep import sweep
from sensorflow.growing import Growing
from sensorflow.ports import IntakeLease, Landing, LandingGroup, Ledger, Queue
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
PUBLISH_EVERY = 1.0
"""Seconds between looks for retries that are due, when no new file wakes the publisher."""


@dataclass(frozen=True)
class _Seen:
    """A file that seems complete. doubtful: inotify told of it; by now it may long be taken."""

    folder: Folder
    key: bytes
    doubtful: bool = False


class _TooLarge(Exception):
    """A file for a group of its own: the others are not to wait for it."""


class Daemon:
    def __init__(
        self,
        settings: Settings,
        folders: list[Folder],
        landing: Landing,
        ledger: Ledger,
        queue_: Queue,
    ) -> None:
        self._settings = settings
        self._folders = folders
        self._landing = landing
        self._ledger = ledger
        self._queue = queue_
        self._intake = _intake(settings, folders, ledger)
        self._leases: dict[str, IntakeLease] = {}
        """Of the sources that are taken in here, by this thread's knowledge."""
        self._growing = [Growing(settings, f, landing, ledger) for f in folders if f.source.growing]
        self._settling = {f.name: Settling(f.source.settle) for f in folders}
        self._known: set[bytes] = set()
        self._more = False
        self._refused: dict[tuple[str, bytes], Stat] = {}
        self._spellings = Spellings(ledger)
        self._closed: queue.SimpleQueue[_Seen] = queue.SimpleQueue()
        self._doubt = threading.Event()
        self._fresh = threading.Event()
        self._stop = threading.Event()
        self._troubles = 0
        self._watch: Watch | None = None

    def stop(self) -> None:
        """Finish the files in hand, and end."""
        self._stop.set()
        self._fresh.set()

    def run(self) -> None:
        """Until `stop`."""
        self._intake.start()
        self._watch = self._watched()
        publisher = threading.Thread(target=self._publish, name="publisher")
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
            log().info(Event.DAEMON_STOPPED)

    def _watched(self) -> Watch | None:
        """Start the fast path; without it the rescan alone does the work."""
        watched = [f for f in self._folders if not (f.source.polling or f.source.growing)]
        if not watched:
            return None
        try:
            watch = Watch(lambda f, key: self._closed.put(_Seen(f, key, True)), self._rescan)
            watch.start(watched)
        except OSError as error:
            log().warning(Event.WATCH_DEGRADED, reason=str(error), rescan=self._settings.rescan)
            return None
        return watch

    def _rescan(self, reason: str) -> None:
        if reason:
            log().warning(Event.WATCH_DEGRADED, reason=reason)
        self._doubt.set()

    # --- taking in ---

    def _take_in(self) -> None:
        next_scan = time.monotonic()
        next_look = next_room = next_watch = next_scan
        while not self._stop.is_set():
            now = time.monotonic()
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
                    self._watch.renew()
                self._drain(min(next_scan, next_look))
                self._troubles = 0
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
                self._recover(folder)
                self._leases[folder.name] = lease
                self._doubt.set()

    def _recover(self, folder: Folder) -> None:
        """What a killed daemon left half put away."""

        def registered(key: bytes, stream: BinaryIO) -> bool:
            sha256 = self._landing.put(stream).sha256
            return self._ledger.has_content(folder.name, key, sha256)

        with self._sources_apart(folder):
            for key in folder.recover(registered, datetime.now(UTC).date()):
                why = "left half put away, and not readable now"
                name = printable(key)
                log().error(Event.FILE_STUCK, source=folder.name, file=name, why=why)

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
        self._doubt.set()
        self._stop.wait(delay)

    def _drain(self, until: float) -> None:
        """Take the files that inotify told of, until the next look is due."""
        while not self._stop.is_set() and not self._doubt.is_set():
            timeout = until - time.monotonic()
            try:
                first = self._closed.get(timeout=max(timeout, 0.001))
            except queue.Empty:
                return
            self._take(dict.fromkeys((first, *self._told())))
            if timeout <= 0:
                return

    def _told(self) -> Iterator[_Seen]:
        """What else inotify has told of by now: nothing is waited for."""
        with suppress(queue.Empty):
            for _ in range(GROUP - 1):
                yield self._closed.get_nowait()

    @property
    def _ours(self) -> list[Folder]:
        """Folders that are taken in here, of which the files are taken when they are whole."""
        mine = (folder for folder in self._folders if folder.name in self._leases)
        return [folder for folder in mine if not folder.source.growing]

    def _grow(self) -> None:
        for growing in self._growing:
            lease = self._leases.get(growing.folder.name)
            if lease is None or not growing.is_due:
                continue
            try:
                with self._sources_apart(growing.folder):
                    if growing.look(self._stop.is_set, lease):
                        self._fresh.set()
            except IntakeLost:
                self._lose(lease)

    def _lose(self, lease: IntakeLease) -> None:
        """Another daemon has taken a source over."""
        self._leases.pop(lease.source, None)
        self._intake.lost(lease)

    def _scan(self) -> None:
        for folder in self._ours:
            with self._sources_apart(folder):
                found = (key for key, stat in folder.scan() if self._is_new(folder, key, stat))
                self._take_all(folder, found)

    def _is_new(self, folder: Folder, key: bytes, stat: Stat) -> bool:
        settling = self._settling[folder.name]
        if len(settling) >= SETTLING and key not in settling:
            self._more = True
            return False
        return not self._is_known(folder, key, stat) and self._complete(folder, key, stat)

    def _look_again(self) -> None:
        for folder in self._ours:
            self._take_all(folder, self._settled(folder))
        if self._more and all(len(s) < SETTLING / 2 for s in self._settling.values()):
            self._more = False
            self._doubt.set()

    def _settled(self, folder: Folder) -> Iterator[bytes]:
        for key in self._settling[folder.name].waiting:
            try:
                if self._complete(folder, key, folder.stat(key)):
                    yield key
            except NotAFile as error:
                self._vanished(folder, key, error)

    def _complete(self, folder: Folder, key: bytes, stat: Stat) -> bool:
        return self._settling[folder.name].complete(key, stat, time.monotonic())

    def _take_all(self, folder: Folder, keys: Iterator[bytes]) -> None:
        while not self._stop.is_set() and (some := list(islice(keys, GROUP))):
            self._take([_Seen(folder, key) for key in some])

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
        """Land, register and put away, in groups; a file that is not ready is looked at again.

        What was read by one lease is registered by that one: it may have been lost and taken again.
        """
        waiting = deque(files)
        while waiting and not self._stop.is_set():
            leases = dict(self._leases)
            for folder, found in self._land_some(waiting).items():
                lease = leases[folder.name]
                try:
                    self._enter(folder, found, lease)
                except IntakeLost:
                    self._lose(lease)

    def _land_some(self, waiting: deque[_Seen]) -> dict[Folder, list[Found]]:
        """Land the first of the waiting files together, and take them off."""
        landed: dict[Folder, list[Found]] = {}
        room = GROUP_BYTES
        with self._landing.group() as group:
            with suppress(_TooLarge):
                while waiting:
                    crash.point(crash.Point.FOUND)
                    found = self._land_seen(group, waiting[0], room if landed else math.inf)
                    seen = waiting.popleft()
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
        return None if landed is None else Found(key, *landed, discovered, datetime.now(UTC))

    def _enter(self, folder: Folder, files: list[Found], lease: IntakeLease) -> None:
        """Register landed files of a folder, and put them away. Raises IntakeLost."""
        files = self._apart(folder, files)
        if not files:
            return
        try:
            entered = register_many(self._ledger, self._settings, folder.name, files, lease)
        except Transient:
            raise
        except Exception:
            if len(files) == 1:
                raise
            self._enter_each(folder, files, lease)
            return
        for file in files:
            self._keep_landed(folder, file)
        for _ in files:
            crash.point(crash.Point.REGISTERED)
        self._fresh.set()
        self._put_away(folder, files, lease)
        for _ in files:
            crash.point(crash.Point.PUT_AWAY)
        told = log()
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
        ours = Putting(lease.token, lambda: self._intake.is_certain(lease))
        stuck = folder.put_away(stats.items(), datetime.now(UTC).date(), ours)
        for key, why in stuck.items():
            self._refused[folder.name, key] = stats[key]
            log().error(Event.FILE_STUCK, source=folder.name, file=printable(key), why=why)

    def _land(
        self, group: LandingGroup, folder: Folder, key: bytes, room: float
    ) -> tuple[Landed, Stat] | None:
        """The landed file, or None when it is known, still being written, or not readable.

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
                landed = land(group, Readable(stream), lambda: folder.stat_of(stream))
                if landed is None:
                    settling.again(key, folder.stat_of(stream), time.monotonic())
        except StillOpen:
            settling.again(key, folder.stat(key), time.monotonic())
            return None
        except (PermissionError, Unreadable) as error:
            self._refuse(folder, key, error)
            return None
        if landed is not None:
            settling.forget(key)
        return landed

    def _refuse(self, folder: Folder, key: bytes, error: Exception) -> None:
        """Not readable: said once for each state of the file, and tried when that changes."""
        self._settling[folder.name].forget(key)
        self._refused[folder.name, key] = folder.stat(key)
        log().error(Event.FILE_UNREADABLE, source=folder.name, file=printable(key), why=str(error))

    # --- publishing ---

    def _publish(self) -> None:
        troubles, swept = 0, False
        s = self._settings
        while not self._stop.is_set():
            self._fresh.wait(PUBLISH_EVERY)
            self._fresh.clear()
            try:
                if not swept:
                    sweep(self._ledger, self._queue, s.sweep, s.lease, s.limits)
                    swept = True
                sent = publish(self._ledger, self._queue, s.limits)
            except Exception as error:  # noqa: BLE001 - this thread must outlive any defect
                troubles += 1
                delay = backoff(troubles, 0.5, cap=15.0)
                if isinstance(error, Transient):
                    facts = {"code": error.code, "reason": error.message}
                    log().error(Event.PUBLISH_PAUSED, **facts, seconds=delay)
                else:
                    log().exception(Event.DEFECT)
                self._stop.wait(delay)
                continue
            troubles = 0
            if sent:
                log().info(Event.FILES_PUBLISHED, files=sent)


def _intake(settings: Settings, folders: list[Folder], ledger: Ledger) -> Intake:
    mine = f"{process()} {secrets.token_hex(4)}"
    names, owner = [folder.name for folder in folders], bootstrap.who("daemon")
    return Intake(ledger, names, owner, mine, settings.lease, has_ended)


def _mark(folder: Folder, key: bytes, stat: Stat) -> bytes:
    """A state of a file in sixteen bytes: a folder may keep a million of them."""
    whole = b"\0".join((folder.name.encode(), key, stat.fingerprint.encode()))
    return hashlib.blake2b(whole, digest_size=16).digest()


def run(settings: Settings) -> None:
    """The process: until SIGTERM or SIGINT."""
    ledger = bootstrap.ledger(settings, "daemon")
    queue_ = bootstrap.queue(settings)
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
