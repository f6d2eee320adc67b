"""The intake: takes in the files of all feeds, each source in its turn.

Nothing is held in memory that a restart would lose: the feeds and the ledger are the truth.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from sensorflow.core.arrival import printable
from sensorflow.core.retry import backoff
from sensorflow.errors import REMEDY, Code, IntakeLost, Transient, unexpected
from sensorflow.flow.intake.known import Known
from sensorflow.flow.intake.leases import Leases
from sensorflow.flow.intake.spelling import Spellings
from sensorflow.flow.intake.take import Group
from sensorflow.flow.intake.turns import Turns
from sensorflow.flow.landing import Landing
from sensorflow.flow.pulse import Loop
from sensorflow.ports.feed import Candidate, Feed, Grower, Permit
from sensorflow.ports.intake import IntakeLease
from sensorflow.ports.ledger import Ledger
from sensorflow.ports.objects import Reader
from sensorflow.settings import Settings
from sensorflow.telemetry import Event, emit

TICK = 0.25
"""Seconds between polls of feeds that have not called."""
FULL_EVERY = 2.0
"""Seconds between questions whether the database's disk is full, while files come in."""
FULL_FOR = 120.0
"""Seconds after which a report of that is too old to keep files out."""
GROUP = 100
"""Files that are landed, registered and acknowledged together when so many are waiting."""
LOOKING = 0.25
"""Seconds in which files for a group are looked for, at most."""


class Intake:
    """growers: of those sources whose files grow; their feeds are not polled. registered: called when files
    were. loop: its heartbeat.

    It is the `ports.feed.Taker` of its feeds.
    """

    def __init__(
        self,
        settings: Settings,
        feeds: Sequence[Feed],
        growers: Sequence[Grower],
        landing: Landing,
        ledger: Ledger,
        leases: Leases,
        loop: Loop,
        registered: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings, self._landing, self._ledger = settings, landing, ledger
        self._feeds = {feed.name: feed for feed in feeds}
        self._growers = {grower.name: grower for grower in growers}
        self._keeper, self._loop, self._registered = leases, loop, registered
        self._leases: dict[str, IntakeLease] = {}
        """Of the sources that are taken in here, by this thread's knowledge."""
        spellings = Spellings(ledger)
        self._known = Known(ledger, spellings)
        self._group = Group(settings, landing, ledger, self._known, spellings, self)
        self._turns: Turns[Candidate] = Turns(lambda c: (c.source, c.key))
        self._looks: dict[str, tuple[IntakeLease, Iterator[bool]]] = {}
        """Growing sources that are being looked at, with the lease since the begin."""
        self._news = threading.Event()
        self._stop = threading.Event()
        self._troubles = 0

    # --- what feeds ask ---

    def wake(self) -> None:
        self._news.set()

    def is_known(self, candidate: Candidate) -> bool:
        return self._known.has(self._feeds[candidate.source], candidate)

    def is_registered(self, source: str, key: bytes, stream: Reader) -> bool:
        return self._ledger.has_content(source, key, self._landing.put(stream).sha256)

    def vanished(self, source: str, key: bytes, why: str) -> None:
        self._group.told.pop((source, key), None)
        emit(Event.FILE_VANISHED, source=source, file=printable(key), why=why)

    def scanned(self) -> None:
        states = {name: feed.state() for name, feed in self._feeds.items()}
        self._loop.note(gates={n: s for n, s in states.items() if s is not None} or None)

    def held(self) -> AbstractContextManager[None]:
        return self._loop.held()

    # --- what a group asks ---

    def touch(self) -> None:
        self._loop.touch()

    @property
    def is_stopped(self) -> bool:
        return self._stop.is_set()

    def feed(self, source: str) -> Feed:
        return self._feeds[source]

    def lease(self, source: str) -> IntakeLease | None:
        return self._leases.get(source)

    def permit(self, lease: IntakeLease) -> Permit:
        def allowed() -> bool:
            self._loop.touch()
            return self._keeper.is_certain(lease)

        return Permit(lease.token, allowed)

    def entered(self) -> None:
        """Files were registered: what it waited for is there."""
        self._loop.resume()

    def fresh(self) -> None:
        """There is something to publish."""
        self._registered()

    @contextmanager
    def apart(self, source: str) -> Iterator[None]:
        """A source that is away is no reason to leave the others."""
        try:
            yield
        except Transient as error:
            if error.code is not Code.STORAGE or self._feeds[source].reachable():
                raise
            emit(Event.SOURCE_AWAY, source=source, reason=error.message)

    def lose(self, lease: IntakeLease) -> None:
        """Another daemon has taken a source over."""
        self._leases.pop(lease.source, None)
        self._keeper.lost(lease)

    # --- the loop ---

    def stop(self) -> None:
        """Finish the files in hand, and end."""
        self._stop.set()
        self._news.set()

    def start(self) -> None:
        """Before `run`."""
        for feed in self._feeds.values():
            feed.start(self)

    def run(self) -> None:
        """Until `stop`."""
        try:
            self._run()
        finally:
            for feed in self._feeds.values():
                feed.stop()

    def _run(self) -> None:
        next_poll = next_room = time.monotonic()
        while not self._stop.is_set():
            now = time.monotonic()
            self._loop.touch()
            try:
                self._heed_leases()
                if now >= next_room:
                    self._require_room()
                    next_room = now + FULL_EVERY
                if now >= next_poll:
                    next_poll = now + TICK
                self._poll(now)
                self._grow()
                self._take_turn(next_poll)
                self._troubles = 0
                self._loop.resume(sure=False)
            except Transient as error:
                self._pause(error)
            except Exception as error:  # noqa: BLE001 - a defect must not end the intake
                emit(Event.DEFECT, exc_info=True)
                self._pause(unexpected(error))

    def _heed_leases(self) -> None:
        """Begin with the sources that this process has just taken over, and leave others alone."""
        for source, feed in self._feeds.items():
            lease = self._keeper.held(source)
            if lease == self._leases.get(source):
                continue
            self._leases.pop(source, None)
            if lease is not None:
                with self.apart(source):
                    feed.begin(self.permit(lease))
                self._leases[source] = lease

    def _require_room(self) -> None:
        """Transient DATABASE_FULL while workers say so: what is taken in now could not be loaded."""
        if self._ledger.given_back_lately(Code.DATABASE_FULL, FULL_FOR):
            raise Transient(Code.DATABASE_FULL, "the database has no room for the files' readings")

    def _pause(self, error: Transient) -> None:
        """The disk or the database is away or full: wait, then look at everything again."""
        self._troubles += 1
        delay = backoff(self._troubles, 0.5, cap=15.0)
        facts = {"code": error.code, "reason": error.message, "seconds": delay}
        emit(Event.INTAKE_PAUSED, **facts, do=REMEDY.get(error.code, ""))
        self._loop.pause(error)
        self._turns.clear()
        self._looks.clear()
        for feed in self._feeds.values():
            feed.rewind()
        self._loop.wait(delay, self._stop)

    def _poll(self, now: float) -> None:
        for name, feed in self._feeds.items():
            if name not in self._leases:
                feed.stand_by()
            elif name not in self._growers:
                with self.apart(name):
                    for files in feed.poll(now):
                        self._turns.add(name, "polled", files)

    def _take_turn(self, until: float) -> None:
        """Take a group of files, some of each source; where there is none, wait for one, not for long."""
        if not (self._turns or self._looks):
            self._news.wait(max(until - time.monotonic(), 0.001))
        self._news.clear()
        if candidates := self._turns.gather(GROUP, LOOKING, self._apart_by_name):
            taken, left = self._group.take(candidates)
            for source, some in left.items():
                self._turns.put_back(source, some, first=source not in taken)

    def _apart_by_name(self, source: str) -> AbstractContextManager[None]:
        self._loop.touch()
        return self.apart(source)

    def _grow(self) -> None:
        """A group of each growing source that is being looked at, or is to be."""
        for name, grower in self._growers.items():
            lease = self._leases.get(name)
            if lease is None or (name not in self._looks and not grower.is_due):
                self._looks.pop(name, None)
                continue
            try:
                with self.apart(name):
                    self._look_on(grower, lease)
                    continue
                self._looks.pop(name, None)  # its folder is away
            except IntakeLost:
                self._looks.pop(name, None)
                self.lose(lease)

    def _look_on(self, grower: Grower, lease: IntakeLease) -> None:
        begun, steps = self._looks.get(grower.name, (None, None))
        if steps is None or begun != lease:
            steps = grower.steps(self._stopped, lease)
            self._looks[grower.name] = (lease, steps)
        grew = next(steps, None)
        if grew is None:
            del self._looks[grower.name]
        elif grew:
            self._registered()

    def _stopped(self) -> bool:
        self._loop.touch()
        return self._stop.is_set()
