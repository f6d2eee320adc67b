"""Takes in the files of a source that grow: only what is new, up to the end of the last whole line.

What was taken of each file is in the ledger. In memory is only which files had nothing new when they were
last looked at; a restart looks at all of them once.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from sensorflow import crash
from sensorflow.core.arrival import printable
from sensorflow.core.growth import Growth, Lines, Taken
from sensorflow.core.names import canonical
from sensorflow.flow.intake.look import Look, Rest
from sensorflow.flow.intake.spelling import log_refused
from sensorflow.flow.landing import Landing, LandingBatch
from sensorflow.ports.feed import Candidate, Gone, Grower, GrowingFeed, Unreadable
from sensorflow.ports.intake import IntakeLease
from sensorflow.ports.ledger import Ledger
from sensorflow.settings import Settings
from sensorflow.telemetry import Event, emit

GROUP = 100
"""Files that are looked up in the ledger, landed and registered together."""
GROUP_BYTES = 8 << 20
"""Bytes of growths that are landed together: a large one keeps no small one waiting."""
NEWEST = 100
"""Files that a file with a new name may be a copy of."""
SOONEST = 0.25
"""Seconds between two looks at a folder."""


class Growing(Grower):
    """The growing files of one source. Not safe between threads."""

    def __init__(
        self, settings: Settings, feed: GrowingFeed, landing: Landing, ledger: Ledger
    ) -> None:
        self._settings, self.feed, self.name = settings, feed, feed.name
        self._landing, self._ledger = landing, ledger
        self.name_matters = settings.profile_of(settings.sources[feed.name]).name_matters
        self._rest: dict[bytes, Rest] = {}
        self._next = 0.0
        self._hurry = False
        self._newest: list[Taken] | None = None
        self._lease: IntakeLease | None = None
        self._refused: dict[bytes, bytes] = {}
        """Files whose name another one in the folder has -> the key of that, as reported last."""

    @property
    def is_due(self) -> bool:
        return time.monotonic() >= self._next

    def look(self, stopped: Callable[[], bool], lease: IntakeLease | None = None) -> bool:
        """Take what is new in the folder; returns whether there was anything.

        lease: see `Ledger.register_many`. Raises Transient, and IntakeLost.
        """
        grew = False
        for more in self.steps(stopped, lease):
            grew = grew or more
        return grew

    def steps(
        self, stopped: Callable[[], bool], lease: IntakeLease | None = None
    ) -> Iterator[bool]:
        """A look, some files at a time: others have their turn in between. Yields whether there was
        anything in these."""
        self._lease = lease
        began, spent, grew, self._hurry = time.monotonic(), 0.0, False, False
        known: dict[bytes, Rest] = {}
        files = self._restless(known)
        while not stopped() and (some := list(islice(files, GROUP))):
            for more in self._take(some, known):
                grew = grew or more
                spent += time.monotonic() - began
                yield more
                began = time.monotonic()
        if not stopped():
            self._rest = known
        now = time.monotonic()
        every = max(SOONEST, min(self.feed.delay / 4, self._settings.rescan))
        spent += now - began
        self._next = now + (0.0 if self._hurry else max(every, 0.0 if grew else 10 * spent))

    def _restless(self, known: dict[bytes, Rest]) -> Iterator[Candidate]:
        """The files that may have something new; the others are noted as known."""
        spelt: dict[bytes, bytes] = {}
        for file in self.feed.scan():
            key = file.key
            if not key.isascii() and (other := self._other_spelling(file, spelt)):
                if self._refused.get(key) != other:
                    log_refused(self.name, key, other)
                self._refused[key] = other
                continue
            rest = self._rest.get(key)
            same = rest is not None and rest.state in (None, file.revision)
            if rest is not None and same and time.monotonic() < rest.until:
                known[key] = rest
            else:
                yield file

    def _other_spelling(self, file: Candidate, spelt: dict[bytes, bytes]) -> bytes | None:
        """The key of another file in the folder that has this name, and counts: it was known before.

        spelt: of the files seen so far, name -> key.
        """
        known = self._ledger.spelt_otherwise(self.name, file.key, b"")
        if known is not None and self.feed.has_other(known, file):
            return known
        first = spelt.setdefault(canonical(file.key), file.key)
        return first if first != file.key else None

    def _take(self, files: Sequence[Candidate], known: dict[bytes, Rest]) -> Iterator[bool]:
        inodes = [self.feed.place(file) for file in files]
        taken = self._ledger.grown(self.name, [file.key for file in files], inodes)
        by_key = {t.key: t for t in taken}
        by_inode = {t.inode: t for t in taken}
        self._newest = None
        queue = list(zip(files, inodes, strict=True))
        while queue:
            growths: list[Growth] = []
            room = GROUP_BYTES
            with self._landing.batch() as batch:
                while queue and room > 0:
                    crash.point(crash.Point.FOUND)
                    file, inode = queue.pop(0)
                    ours = [by_inode.get(inode), by_key.get(file.key)]
                    found = self._look_at(batch, file, ours, known)
                    growths += found
                    room -= sum(g.arrival.landed.size for g in found)
            if growths:
                crash.point(crash.Point.LANDED)
                self._enter(growths)
            yield bool(growths)

    def _look_at(
        self,
        batch: LandingBatch,
        file: Candidate,
        ours: Sequence[Taken | None],
        known: dict[bytes, Rest],
    ) -> list[Growth]:
        """What is new in one file. ours: what may have been taken of it, by its inode and by its name."""
        try:
            with self.feed.open(file) as opened:
                return Look(self, batch, opened, known).growths(ours)
        except Gone as error:
            facts = {"source": self.name, "file": printable(file.key)}
            emit(Event.FILE_VANISHED, **facts, why=str(error))
        except Unreadable as error:
            self._set_aside(file, known, Event.FILE_UNREADABLE, str(error))
        return []

    def newest(self) -> list[Taken]:
        """What was taken of the newest files of all, the last first; asked for once for each group."""
        if self._newest is None:
            found = self._ledger.grown(self.name, [], [], NEWEST)
            self._newest = found[::-1]
        return self._newest

    def _set_aside(self, file: Candidate, known: dict[bytes, Rest], event: Event, why: str) -> None:
        """Said once for each state of a file."""
        known[file.key] = Rest(file.revision, math.inf)
        emit(event, "error", source=self.name, file=printable(file.key), why=why)

    def _enter(self, growths: list[Growth]) -> None:
        done = self._ledger.grow(growths, self._lease)
        for growth in growths:
            self._keep_landed(growth)
        for growth, registration in zip(growths, done, strict=True):
            crash.point(crash.Point.REGISTERED)
            if registration is None:  # it was taken by somebody else meanwhile
                continue
            emit(
                Event.FILE_REGISTERED,
                source=self.name,
                file=printable(growth.arrival.key),
                file_id=registration.file_id,
                version=registration.version,
                kind="growth" if growth.follows else registration.kind,
                size=growth.arrival.landed.size,
                offset=growth.byte_offset,
            )

    def _keep_landed(self, growth: Growth) -> None:
        """Retention may have taken the same bytes, of an older file, before these were registered."""
        if not self._landing.has(growth.arrival.landed.name):
            arrival = growth.arrival
            state = (arrival.fingerprint, growth.size, arrival.mtime_ns, 0)
            with self.feed.open(Candidate(self.name, arrival.key, *state)) as opened:
                self._landing.put(Lines(opened, growth.byte_offset, growth.size))
