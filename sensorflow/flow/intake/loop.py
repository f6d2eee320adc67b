"""The intake loop: takes in the files of all feeds, alternating between the feeds.

A restart loses nothing, because all state that matters is in the feeds and in the ledger.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from sensorflow.core.arrival import printable
from sensorflow.core.retry import backoff
from sensorflow.errors import REMEDY, Code, Transient, unexpected
from sensorflow.flow.heartbeats import LoopStatus
from sensorflow.flow.intake.away import Outages
from sensorflow.flow.intake.held import HeldBack
from sensorflow.flow.intake.known import Known
from sensorflow.flow.intake.leases import Leases
from sensorflow.flow.intake.offered import offered
from sensorflow.flow.intake.parts import Parts
from sensorflow.flow.intake.room import Room
from sensorflow.flow.intake.spelling import Spellings
from sensorflow.flow.intake.strategy import Strategy, TooLarge
from sensorflow.flow.intake.take import Group
from sensorflow.flow.intake.turns import Turns
from sensorflow.flow.intake.whole import WholeFiles
from sensorflow.flow.landing import Landing
from sensorflow.ports.feed import Candidate, Feed, GrowingFeed, Permit
from sensorflow.ports.intake import IntakeLease
from sensorflow.ports.ledger import Ledger
from sensorflow.ports.objects import Reader
from sensorflow.settings import Settings
from sensorflow.telemetry import Event, emit

POLL_SECONDS = 0.25
"""Seconds between polls of feeds that have not called `wake`."""
CHECK_SECONDS = 2.0
"""Seconds between checks whether the intake, or that of a source, must pause."""
FULL_REPORT_SECONDS = 120.0
"""Seconds after which a worker's report of a full database no longer stops the intake."""
GROUP_FILES = 100
"""Maximum number of files that are landed, registered and acknowledged as a group."""
GATHER_SECONDS = 0.25
"""Maximum seconds spent on gathering files for a group."""


class Intake:
    """Takes in the files of all feeds. Implements `ports.feed.FeedHost` for the feeds.

    registered: called after files were registered. loop: the status of the loop, for its heartbeat.
    """

    def __init__(
        self,
        settings: Settings,
        feeds: Sequence[Feed],
        landing: Landing,
        ledger: Ledger,
        leases: Leases,
        loop: LoopStatus,
        registered: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings, self._landing, self._ledger = settings, landing, ledger
        self._feeds = {feed.name: feed for feed in feeds}
        self._keeper, self._loop, self._registered = leases, loop, registered
        self._leases: dict[str, IntakeLease] = {}
        """The leases of the sources from which this process takes in files, as far as this thread knows."""
        self._spellings = Spellings(ledger)
        self._known = Known(ledger, self._spellings)
        self._room = Room(settings, ledger)
        self._strategies = {name: self._strategy_of(feed) for name, feed in self._feeds.items()}
        self._group = Group(settings, landing, ledger, self._known, self)
        self._turns: Turns[Candidate] = Turns(lambda c: (c.source, c.key))
        self._outages = Outages()
        self._held_back = HeldBack(ledger, self._feeds)
        self._wakeup = threading.Event()
        self._stop = threading.Event()
        self._failures = 0

    def _strategy_of(self, feed: Feed) -> Strategy:
        if not isinstance(feed, GrowingFeed):
            fits = self._room.require_for
            return WholeFiles(feed, self._known, self._spellings, self.touch, fits)
        given = self._settings, feed, self._landing, self._ledger
        return Parts(*given, self._known, self._spellings, self.touch)

    # --- called by feeds ---

    def wake(self) -> None:
        self._wakeup.set()

    def is_known(self, candidate: Candidate) -> bool:
        return self._known.has(self._feeds[candidate.source], candidate)

    def is_registered(self, source: str, key: bytes, stream: Reader) -> bool:
        return self._ledger.has_content(source, key, self._landing.put(stream).sha256)

    def file_vanished(self, source: str, key: bytes, reason: str) -> None:
        self._strategies[source].forget(key)
        emit(Event.FILE_VANISHED, source=source, file=printable(key), why=reason)

    def scan_finished(self) -> None:
        gates = {}
        for name, feed in self._feeds.items():
            with self.isolate(name):
                gates[name] = feed.state()
        self._loop.set_facts(gates={n: s for n, s in gates.items() if s is not None} or None)

    def long_call(self) -> AbstractContextManager[None]:
        return self._loop.long_call()

    # --- called by a group ---

    def touch(self) -> None:
        self._loop.touch()

    @property
    def is_stopped(self) -> bool:
        return self._stop.is_set()

    def strategy(self, source: str) -> Strategy:
        return self._strategies[source]

    def lease(self, source: str) -> IntakeLease | None:
        return self._leases.get(source)

    def permit(self, lease: IntakeLease) -> Permit:
        def allowed() -> bool:
            self._loop.touch()
            return self._keeper.is_certain(lease)

        return Permit(lease.token, allowed)

    def landed(self, size: int) -> None:
        """Called after a file of `size` bytes was landed."""
        self._room.landed(size)

    def entered(self) -> None:
        """End a pause of the loop. Called after files were registered, because then the disk and the
        database are available again."""
        self._loop.resume()

    def files_registered(self) -> None:
        """Called when there are new files to publish."""
        self._registered()

    @contextmanager
    def isolate(self, source: str) -> Iterator[None]:
        """Returns a context manager that isolates a source. If the source's storage is unavailable
        or its feed has a defect, the source is skipped for a while, and the other sources continue.
        """
        try:
            try:
                yield
            except Transient as error:
                if not self._is_unavailable(source, error):
                    raise
        except (Transient, TooLarge, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001 - an adapter may come from another package
            self._blame(source, error)

    @contextmanager
    def _calling_feed(self, source: str) -> Iterator[None]:
        """Returns a context manager for a call in which a feed searches for files: reports progress, and
        isolates the source as `isolate` does."""
        self._loop.touch()
        with self.isolate(source):
            yield

    def _blame(self, source: str, error: Exception) -> None:
        """Report a defect in a feed. The report contains the feed's class, because the class's module is in
        the package that has the defect."""
        self._report(source, error)
        self._turns.drop(source)
        self._rewind(source)

    def _report(self, source: str, error: Exception) -> None:
        feed_class = type(self._feeds[source])
        feed, reason = (
            f"{feed_class.__module__}.{feed_class.__qualname__}",
            f"{type(error).__name__}: {error}",
        )
        if self._outages.failed(source, time.monotonic(), f"{feed}: {reason}"):
            emit(Event.DEFECT, source=source, feed=feed, reason=reason, exc_info=error)

    def _rewind(self, source: str) -> None:
        try:
            self._strategies[source].rewind()
        except Exception as error:  # noqa: BLE001 - an adapter may come from another package; the source is polled again
            self._report(source, error)

    def _is_unavailable(self, source: str, error: Transient) -> bool:
        """Whether an error concerns only this source's storage or one of its files. If so, back off
        from the source."""
        if error.code is Code.DISK_RESERVE:  # of a file that is too large for the disk
            self._wait_for_room(source, error)
            return True
        if error.code is not Code.STORAGE or self._feeds[source].is_reachable():
            return False
        if self._outages.failed(source, time.monotonic()):
            emit(Event.SOURCE_UNAVAILABLE, source=source, reason=error.message)
        return True

    def _wait_for_room(self, source: str, error: Transient) -> None:
        if self._outages.failed(source, time.monotonic()):
            facts = {"code": error.code, "reason": error.message, "source": source}
            emit(Event.INTAKE_PAUSED, **facts, do=REMEDY[error.code])
        self._rewind(source)

    def lose(self, lease: IntakeLease) -> None:
        """Give up a source that another daemon has taken over."""
        self._leases.pop(lease.source, None)
        self._keeper.lost(lease)

    # --- the loop ---

    def stop(self) -> None:
        """Finish the files in progress, then stop."""
        self._stop.set()
        self._wakeup.set()

    def start(self) -> None:
        """Start the feeds. Call this before `run`."""
        for feed in self._feeds.values():
            feed.start(self)

    def run(self) -> None:
        """Run until `stop` is called."""
        try:
            self._run()
        finally:
            for feed in self._feeds.values():
                feed.stop()

    def _run(self) -> None:
        next_poll = next_check = time.monotonic()
        while not self._stop.is_set():
            now = time.monotonic()
            self._loop.touch()
            try:
                checks = now >= next_check
                if checks:
                    self._held_back.refresh()
                self._apply_lease_changes()
                if checks:
                    self._require_room()
                    next_check = now + CHECK_SECONDS
                if now >= next_poll:
                    next_poll = now + POLL_SECONDS
                self._poll(now)
                self._take_turn(next_poll)
                self._failures = 0
                self._loop.resume(is_confirmed=False)
            except Transient as error:
                self._pause(error)
            except Exception as error:  # noqa: BLE001 - a defect must not end the intake
                emit(Event.DEFECT, exc_info=True)
                self._pause(unexpected(error))

    def _apply_lease_changes(self) -> None:
        """Activate the feeds of sources whose leases were newly acquired, and of sources that were resumed.
        All other feeds are put on standby. This includes the feeds of paused and draining sources, although
        this process keeps their leases."""
        for source, feed in self._feeds.items():
            lease = None if source in self._held_back else self._keeper.held(source)
            if lease == self._leases.get(source):
                continue
            self._leases.pop(source, None)
            if lease is not None:
                with self.isolate(source):
                    feed.activate(self.permit(lease))
                self._leases[source] = lease
        self._loop.set_facts(controls=self._held_back.modes or None)

    def _require_room(self) -> None:
        """Raises Transient DISK_RESERVE if a disk is nearly full. Raises Transient DATABASE_FULL while
        workers report a full database, because new files could not be loaded."""
        self._room.require()
        if self._ledger.recently_nacked(Code.DATABASE_FULL, FULL_REPORT_SECONDS):
            raise Transient(Code.DATABASE_FULL, "the database has no disk space for the readings")

    def _pause(self, error: Transient) -> None:
        """Wait because the disk or the database is full or unavailable. Afterwards, scan all sources
        again."""
        self._failures += 1
        delay = backoff(self._failures, 0.5, cap=15.0)
        facts = {"code": error.code, "reason": error.message, "seconds": delay}
        emit(Event.INTAKE_PAUSED, **facts, do=error.remedy)
        self._loop.pause(error)
        self._turns.clear()
        for source in self._strategies:
            self._rewind(source)
        self._loop.wait(delay, self._stop)

    def _poll(self, now: float) -> None:
        for name, feed in self._feeds.items():
            if name not in self._leases:
                with self._calling_feed(name):
                    feed.stand_by()
            elif not self._outages.is_left_alone(name, now):
                with self._calling_feed(name):
                    for files in self._strategies[name].poll(now):
                        self._turns.add(name, "polled", offered(name, files))
        facts = {"defects": self._outages.defects(now), "short": self._room.refused(now)}
        self._loop.set_facts(**{name: found or None for name, found in facts.items()})

    def _take_turn(self, until: float) -> None:
        """Take in a group of files from all sources in turn. If there are no files, wait for a short
        time."""
        if not self._turns:
            self._wakeup.wait(max(until - time.monotonic(), 0.001))
        self._wakeup.clear()
        if candidates := self._turns.gather(GROUP_FILES, GATHER_SECONDS, self._calling_feed):
            taken_count, left = self._group.take(candidates)
            for source, some in left.items():
                self._turns.put_back(source, some, first=source not in taken_count)
