"""The ingest daemon: watches drop folders, lands and registers files, and publishes them.

One thread takes files in, one publishes, so that a broker that is away never keeps a file from being
landed. Nothing is held in memory that a restart would lose: the folders and the ledger are the truth.
"""

from __future__ import annotations

import hashlib
import queue
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import FrameType
from typing import BinaryIO

from sensorflow import bootstrap, crash
from sensorflow.adapters.feeds.folder import (
    Folder,
    NotAFile,
    Readable,
    StillOpen,
    Unreadable,
    stat_of,
)
from sensorflow.adapters.feeds.watch import Watch
from sensorflow.core.arrival import Landed, printable
from sensorflow.core.retry import backoff
from sensorflow.core.stability import Stat
from sensorflow.errors import REMEDY, Code, Transient
from sensorflow.flow.detect import Settling
from sensorflow.flow.land import land
from sensorflow.flow.publish import publish
from sensorflow.flow.register import register
from sensorflow.flow.sweep import sweep
from sensorflow.ports import Landing, Ledger, Queue
from sensorflow.settings import Settings
from sensorflow.telemetry import Event, log

TICK = 0.25
"""Seconds between looks at files that are settling."""
FULL_EVERY = 2.0
"""Seconds between questions whether the database's disk is full, while files come in."""
FULL_FOR = 120.0
"""Seconds after which a report of that is too old to keep files out."""
SETTLING = 5_000
"""Files of a folder that are settling at a time. A folder may hold any number: the others' turn comes when
half of these are through, or what closes them announces them."""
PUBLISH_EVERY = 1.0
"""Seconds between looks for retries that are due, when no new file wakes the publisher."""


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
        self._settling = {f.name: Settling(f.source.settle) for f in folders}
        self._known: set[bytes] = set()
        self._more = False
        self._refused: dict[tuple[str, bytes], Stat] = {}
        self._closed: queue.SimpleQueue[tuple[Folder, bytes]] = queue.SimpleQueue()
        self._doubt = threading.Event()
        self._fresh = threading.Event()
        self._stop = threading.Event()
        self._troubles = 0

    def stop(self) -> None:
        """Finish the file in hand, and end."""
        self._stop.set()
        self._fresh.set()

    def run(self) -> None:
        """Until `stop`."""
        watch = self._watch()
        publisher = threading.Thread(target=self._publish, name="publisher")
        publisher.start()
        log().info(Event.DAEMON_STARTED, sources=[f.name for f in self._folders])
        try:
            self._take_in()
        finally:
            self.stop()
            if watch is not None:
                watch.stop()
            publisher.join()
            log().info(Event.DAEMON_STOPPED)

    def _watch(self) -> Watch | None:
        """Start the fast path; without it the rescan alone does the work."""
        watched = [f for f in self._folders if not f.source.polling]
        if not watched:
            return None
        try:
            watch = Watch(lambda folder, key: self._closed.put((folder, key)), self._rescan)
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
        next_look = next_room = next_scan
        recovered = False
        while not self._stop.is_set():
            now = time.monotonic()
            try:
                if not recovered:
                    self._recover()
                    recovered = True
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
                self._drain(min(next_scan, next_look))
                self._troubles = 0
            except Transient as error:
                self._pause(error)
            except Exception as error:  # noqa: BLE001 - a defect must not end the intake
                log().exception(Event.DEFECT)
                self._pause(Transient(Code.UNEXPECTED, f"{type(error).__name__}: {error}"))

    def _recover(self) -> None:
        """What a killed daemon left half put away."""
        for folder in self._folders:

            def registered(key: bytes, stream: BinaryIO, name: str = folder.name) -> bool:
                sha256 = self._landing.put(stream).sha256
                return self._ledger.has_content(name, key, sha256)

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
                folder, key = self._closed.get(timeout=max(timeout, 0.001))
            except queue.Empty:
                return
            self._take(folder, key)
            if timeout <= 0:
                return

    def _scan(self) -> None:
        for folder in self._folders:
            with self._sources_apart(folder):
                settling = self._settling[folder.name]
                for key, stat in folder.scan():
                    if self._stop.is_set():
                        return
                    if settling.count >= SETTLING and not settling.has(key):
                        self._more = True
                    elif not self._is_known(folder, key, stat):
                        self._consider(folder, key, stat)

    def _look_again(self) -> None:
        for folder in self._folders:
            settling = self._settling[folder.name]
            for key in settling.waiting:
                if self._stop.is_set():
                    return
                try:
                    self._consider(folder, key, folder.stat(key))
                except NotAFile as error:
                    self._vanished(folder, key, error)
        if self._more and all(s.count < SETTLING / 2 for s in self._settling.values()):
            self._more = False
            self._doubt.set()

    def _consider(self, folder: Folder, key: bytes, stat: Stat) -> None:
        if self._settling[folder.name].complete(key, stat, time.monotonic()):
            self._take(folder, key, seen=True)

    def _vanished(self, folder: Folder, key: bytes, error: NotAFile) -> None:
        self._settling[folder.name].forget(key)
        log().warning(Event.FILE_VANISHED, source=folder.name, file=printable(key), why=str(error))

    def _is_known(self, folder: Folder, key: bytes, stat: Stat) -> bool:
        """Whether a file that stays in its folder was registered in this very state."""
        if self._refused.get((folder.name, key)) == stat:
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

    def _take(self, folder: Folder, key: bytes, seen: bool = False) -> None:
        """Land, register, put away. A file that is not ready is looked at again.

        seen: it was there a moment ago. What inotify tells of may long be taken.
        """
        discovered = datetime.now(UTC)
        crash.point(crash.Point.FOUND)
        try:
            landed = self._land(folder, key)
        except NotAFile as error:
            if seen or key in self._settling[folder.name].waiting:
                self._vanished(folder, key, error)
                return
            log().debug(Event.FILE_SKIPPED, source=folder.name, file=printable(key), why=str(error))
            return
        if landed is None:
            return
        content, stat = landed
        crash.point(crash.Point.LANDED)
        now = datetime.now(UTC)
        done = register(
            self._ledger, self._settings, folder.name, key, content, stat, discovered, now
        )
        if not self._landing.has(content.name):  # retention took the same bytes of an older file
            with folder.open(key) as stream:
                self._landing.put(Readable(stream))
        crash.point(crash.Point.REGISTERED)
        self._fresh.set()
        if folder.source.after == "keep":
            self._known.add(_mark(folder, key, stat))
        self._put_away(folder, key, stat)
        crash.point(crash.Point.PUT_AWAY)
        log().info(
            Event.FILE_REGISTERED,
            source=folder.name,
            file=printable(key),
            file_id=done.file_id,
            version=done.version,
            kind=done.kind,
            size=content.size,
        )

    def _put_away(self, folder: Folder, key: bytes, stat: Stat) -> None:
        """A file that cannot be moved is registered all the same, and left until it changes."""
        try:
            folder.put_away(key, stat, datetime.now(UTC).date())
        except Transient as error:
            self._refused[folder.name, key] = stat
            log().error(
                Event.FILE_STUCK, source=folder.name, file=printable(key), why=error.message
            )

    def _land(self, folder: Folder, key: bytes) -> tuple[Landed, Stat] | None:
        """The landed file, or None when it is known, still being written, or not readable."""
        settling = self._settling[folder.name]
        try:
            with folder.open(key) as stream:
                if self._is_known(folder, key, stat_of(stream)):
                    return None
                landed = land(self._landing, Readable(stream), lambda: stat_of(stream))
                if landed is None:
                    settling.again(key, stat_of(stream), time.monotonic())
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
                    sweep(self._ledger, self._queue, s.sweep, s.limits)
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
