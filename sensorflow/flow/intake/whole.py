"""Files that are complete when they are taken in. Each state of a file is taken in once, as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from sensorflow.core.arrival import printable
from sensorflow.flow.intake.known import Known
from sensorflow.flow.intake.spelling import Spellings, log_refused
from sensorflow.flow.intake.strategy import TooLarge, Unit
from sensorflow.flow.land import land
from sensorflow.flow.landing import Landing, LandingBatch
from sensorflow.flow.register import Found
from sensorflow.ports.feed import Busy, Candidate, Feed, FeedError, Withheld
from sensorflow.telemetry import Event, emit


class WholeFiles:
    """The `Strategy` for complete files. touch: called repeatedly while a file is read. require_room:
    called before a file is landed, with the source and the size in bytes; see `Room.require_for`."""

    def __init__(
        self,
        feed: Feed,
        known: Known,
        spellings: Spellings,
        touch: Callable[[], object],
        require_room: Callable[[str, int], object],
    ) -> None:
        self.feed, self._known, self._spellings, self._touch = feed, known, spellings, touch
        self._require_room = require_room
        self._reported: dict[bytes, str] = {}
        """The last reported states of files that wait for their gates."""

    def poll(self, now: float) -> Iterable[Iterator[Candidate | None]]:
        return self.feed.poll(now)

    def rewind(self) -> None:
        self.feed.rewind()

    def forget(self, key: bytes) -> None:
        self._reported.pop(key, None)

    def expect(self, candidates: Sequence[Candidate]) -> None:
        return

    def land(self, batch: LandingBatch, candidate: Candidate, room: float) -> Unit:
        discovered = datetime.now(UTC)
        with self.feed.open(candidate) as opened:
            state = opened.state()
            if self._known.has(self.feed, state):
                return []
            if state.size > room:
                raise TooLarge
            self._admit(state)
            self._require_room(state.source, state.size)
            landed = land(batch, opened, self._touch)
            if landed is None:
                self.feed.nack(opened.state(), Busy("the file changed while it was read"))
                return []
        bytes_, state = landed
        return [Found(state, bytes_, discovered, datetime.now(UTC))]

    def _admit(self, state: Candidate) -> None:
        try:
            self.feed.admit(state)
        except Withheld as error:
            self._log_waiting(state, error)
            raise
        self._reported.pop(state.key, None)

    def _log_waiting(self, candidate: Candidate, error: Withheld) -> None:
        """Log once per state of a file that the file waits for its gate."""
        if self._reported.get(candidate.key) != candidate.revision:
            self._reported[candidate.key] = candidate.revision
            name = printable(candidate.key)
            emit(Event.GATE_WAITING, source=candidate.source, file=name, why=str(error))

    def sort(self, units: Sequence[Unit]) -> list[Unit]:
        """Returns the units to register, without files whose name belongs to another file of the
        source in a different spelling."""
        feed, done = self.feed, self._spellings.sort_out(self.feed, [f for u in units for f in u])
        for file in done.later:
            feed.nack(file.candidate, Busy("after the other file with the same name"))
        for file, other in done.refused:
            feed.nack(file.candidate, FeedError("another file has the same name"))
            log_refused(feed.name, file.key, other)
        return [[self._announced(file)] for file in done.accepted]

    def _announced(self, file: Found) -> Found:
        return replace(file, announcement=self.feed.announcement(file.candidate))

    def land_again(self, landing: Landing, file: Found) -> None:
        with self.feed.open(file.candidate) as opened:
            landing.put(opened)

    def entered(self, files: Sequence[Found]) -> None:
        if self.feed.keeps:
            for file in files:
                self._known.add(file.candidate)
