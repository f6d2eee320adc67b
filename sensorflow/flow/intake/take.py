"""A group of files: landed together, registered, and acknowledged."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from typing import Protocol

from sensorflow import crash
from sensorflow.core.arrival import Landed, printable
from sensorflow.core.gates.announced import differs
from sensorflow.errors import IntakeLost, Transient
from sensorflow.flow.intake.known import Known
from sensorflow.flow.intake.spelling import Spellings, log_refused
from sensorflow.flow.land import land
from sensorflow.flow.landing import Landing, LandingBatch
from sensorflow.flow.register import Found, register_many
from sensorflow.ports.feed import Busy, Candidate, Feed, FeedError, Permit, Unreadable, Withheld
from sensorflow.ports.intake import IntakeLease, Kind, Registration
from sensorflow.ports.ledger import Ledger
from sensorflow.settings import Settings
from sensorflow.telemetry import Event, emit

GROUP_BYTES = 8 << 20
"""Bytes of a group: a large file keeps no small one waiting."""


class _TooLarge(Exception):
    """A file for a group of its own: the others are not to wait for it."""


class Round(Protocol):
    """Of the intake what a group needs."""

    @property
    def is_stopped(self) -> bool: ...
    def feed(self, source: str) -> Feed: ...
    def lease(self, source: str) -> IntakeLease | None: ...
    def permit(self, lease: IntakeLease) -> Permit: ...
    def lose(self, lease: IntakeLease) -> None: ...
    def is_known(self, candidate: Candidate) -> bool: ...
    def apart(self, source: str) -> AbstractContextManager[None]: ...
    def held(self) -> AbstractContextManager[None]: ...
    def touch(self) -> None: ...
    def entered(self) -> None: ...
    def fresh(self) -> None: ...


class Group:
    def __init__(
        self,
        settings: Settings,
        landing: Landing,
        ledger: Ledger,
        known: Known,
        spellings: Spellings,
        round_: Round,
    ) -> None:
        self._settings, self._landing, self._ledger = settings, landing, ledger
        self._known, self._spellings, self._round = known, spellings, round_
        self.told: dict[tuple[str, bytes], str] = {}
        """States of files that wait for their gates, as reported last."""

    def take(self, candidates: Iterable[Candidate]) -> tuple[set[str], dict[str, list[Candidate]]]:
        """Land, register and acknowledge the first of some files; returns the sources of those, and the
        others. A file that is not ready is polled again.

        What was read by one lease is registered by that one: it may have been lost and taken again.
        """
        waiting = deque(candidates)
        leases = {c.source: self._round.lease(c.source) for c in waiting}
        landed = self._land_some(waiting)
        for source, found in landed.items():
            lease = leases[source]
            assert lease is not None, "nothing is landed without"
            try:
                with self._round.apart(source):
                    self._enter(self._round.feed(source), found, lease)
            except IntakeLost:
                self._round.lose(lease)
        left: dict[str, list[Candidate]] = {}
        for candidate in waiting:
            left.setdefault(candidate.source, []).append(candidate)
        return set(landed), left

    def _land_some(self, waiting: deque[Candidate]) -> dict[str, list[Found]]:
        """Land the first of the waiting files together, and take them off."""
        landed: dict[str, list[Found]] = {}
        room: float = GROUP_BYTES
        with self._landing.batch() as batch, suppress(_TooLarge):
            while waiting and not self._round.is_stopped:
                self._round.touch()
                crash.point(crash.Point.FOUND)
                candidate, found = waiting[0], None
                with self._round.apart(candidate.source):
                    found = self._land_one(batch, candidate, room if landed else math.inf)
                waiting.popleft()
                if found is not None:
                    landed.setdefault(candidate.source, []).append(found)
                    room -= found.landed.size
        for _ in chain.from_iterable(landed.values()):
            crash.point(crash.Point.LANDED)
        return landed

    def _land_one(self, batch: LandingBatch, candidate: Candidate, room: float) -> Found | None:
        """The landed file; None when it is known, gone, being written, not readable, or waits for a gate.

        Raises _TooLarge when it has more than `room` bytes.
        """
        discovered = datetime.now(UTC)
        if self._round.lease(candidate.source) is None:
            return None  # another daemon's; all files are offered when this one takes over
        feed = self._round.feed(candidate.source)
        try:
            landed = self._land(feed, batch, candidate, room)
        except Unreadable as error:
            self._refuse(feed, candidate, error)
            return None
        except FeedError as error:
            feed.nack(candidate, error)
            return None
        if landed is None:
            return None
        bytes_, state = landed
        return Found(state, bytes_, discovered, datetime.now(UTC))

    def _land(
        self, feed: Feed, batch: LandingBatch, candidate: Candidate, room: float
    ) -> tuple[Landed, Candidate] | None:
        with feed.open(candidate) as opened:
            state = opened.state()
            if self._round.is_known(state):
                return None
            if state.size > room:
                raise _TooLarge
            self._admit(feed, state)
            landed = land(batch, opened, self._round.touch)
            if landed is None:
                feed.nack(opened.state(), Busy("it changed while it was read"))
            return landed

    def _admit(self, feed: Feed, state: Candidate) -> None:
        try:
            feed.admit(state)
        except Withheld as error:
            self._tell_waiting(state, error)
            raise
        self.told.pop((state.source, state.key), None)

    def _tell_waiting(self, candidate: Candidate, error: Withheld) -> None:
        """Once for each state of a file."""
        place = (candidate.source, candidate.key)
        if self.told.get(place) != candidate.revision:
            self.told[place] = candidate.revision
            name = printable(candidate.key)
            emit(Event.GATE_WAITING, source=candidate.source, file=name, why=str(error))

    def _refuse(self, feed: Feed, candidate: Candidate, error: Unreadable) -> None:
        """Reported once for each state of the file, and tried when that changes."""
        feed.nack(candidate, error)
        self._known.refuse(candidate)
        name = printable(candidate.key)
        emit(Event.FILE_UNREADABLE, source=feed.name, file=name, why=str(error))

    def _enter(self, feed: Feed, files: list[Found], lease: IntakeLease) -> None:
        """Register landed files of a feed, and acknowledge them. Raises IntakeLost."""
        files = [
            replace(file, announcement=feed.announcement(file.candidate))
            for file in self._spelt(feed, files)
        ]
        if not files:
            return
        try:
            with self._round.held():
                entered = register_many(self._ledger, self._settings, feed.name, files, lease)
        except Transient:
            raise
        except Exception:
            if len(files) == 1:
                raise
            self._enter_each(feed, files, lease)
            return
        self._round.entered()
        for file in files:
            self._keep_landed(feed, file)
        for _ in files:
            crash.point(crash.Point.REGISTERED)
        self._round.fresh()
        self._acknowledge(feed, files, lease)
        for _ in files:
            crash.point(crash.Point.PUT_AWAY)
        for file, done in zip(files, entered, strict=True):
            _tell_difference(file, done)
        _tell(files, entered)

    def _spelt(self, feed: Feed, files: list[Found]) -> list[Found]:
        """Without those whose name, spelt otherwise, another file of the source has."""
        done = self._spellings.sort_out(feed, files)
        for file in done.later:
            feed.nack(file.candidate, Busy("after the other one with its name"))
        for file, other in done.refused:
            feed.nack(file.candidate, FeedError("another one has its name"))
            log_refused(feed.name, file.key, other)
        return done.taken

    def _enter_each(self, feed: Feed, files: list[Found], lease: IntakeLease) -> None:
        """One of them cannot be registered, which is a defect: the others do not wait for it."""
        defects = []
        for file in files:
            try:
                self._enter(feed, [file], lease)
            except Transient:
                raise
            except Exception as error:  # noqa: BLE001 - raised below
                defects.append(error)
        for defect in defects:
            raise defect

    def _keep_landed(self, feed: Feed, file: Found) -> None:
        """Retention may have taken the same bytes, of an older file, before these were registered."""
        if not self._landing.has(file.landed.name):
            with feed.open(file.candidate) as opened:
                self._landing.put(opened)

    def _acknowledge(self, feed: Feed, files: list[Found], lease: IntakeLease) -> None:
        """A file that is stuck is registered all the same, and left until it changes.

        Where another daemon may have taken over, nothing is touched any more: it finds the files there.
        """
        done = [file.candidate for file in files]
        if feed.keeps:
            for candidate in done:
                self._known.add(candidate)
        for candidate, why in feed.ack(done, self._round.permit(lease)).items():
            self._known.refuse(candidate)
            name = printable(candidate.key)
            emit(Event.FILE_STUCK, source=feed.name, file=name, why=why)


def _tell_difference(file: Found, done: Registration) -> None:
    """Report bytes that are known, and came again with a gate that is of others: what the sender means has
    not arrived. New ones are left to the worker."""
    if done.kind is not Kind.ALIAS or file.announcement is None:
        return
    landed = file.landed
    known = {"sha256": landed.sha256.hex(), "md5": landed.md5.hex()}
    what = file.announcement.what
    what = replace(what, sums=tuple(pair for pair in what.sums if pair[0] in known))
    if why := differs(what, landed.size, known.__getitem__):
        facts = {"source": file.candidate.source, "file": printable(file.key)}
        emit(Event.GATE_DIFFERS, **facts, file_id=done.file_id, why=why)


def _tell(files: Sequence[Found], entered: Sequence[Registration]) -> None:
    for file, done in zip(files, entered, strict=True):
        emit(
            Event.FILE_REGISTERED,
            source=file.candidate.source,
            file=printable(file.key),
            file_id=done.file_id,
            version=done.version,
            kind=done.kind,
            size=file.landed.size,
        )
