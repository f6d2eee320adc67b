"""A group of files that are landed, registered and acknowledged together."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from typing import Any, Protocol

from sensorflow import failpoints
from sensorflow.core.arrival import printable
from sensorflow.core.gates.announced import differs
from sensorflow.errors import IntakeLost, Transient
from sensorflow.flow.intake.known import Known
from sensorflow.flow.intake.strategy import Strategy, TooLarge, Unit
from sensorflow.flow.landing import Landing, LandingBatch
from sensorflow.flow.register import Found, register_many
from sensorflow.ports.feed import Candidate, FeedError, Permit, Unreadable
from sensorflow.ports.intake import IntakeLease, Kind, Registration
from sensorflow.ports.ledger import Ledger
from sensorflow.settings import Settings
from sensorflow.telemetry import Event, emit

GROUP_BYTES = 8 << 20
"""Maximum bytes of a group, so that small files do not wait for a large one."""


class Round(Protocol):
    """The methods of the intake that a group calls."""

    @property
    def is_stopped(self) -> bool: ...
    def strategy(self, source: str) -> Strategy: ...
    def lease(self, source: str) -> IntakeLease | None: ...
    def permit(self, lease: IntakeLease) -> Permit: ...
    def lose(self, lease: IntakeLease) -> None: ...
    def isolate(self, source: str) -> AbstractContextManager[None]: ...
    def long_call(self) -> AbstractContextManager[None]: ...
    def touch(self) -> None: ...
    def landed(self, size: int) -> None: ...
    def entered(self) -> None: ...
    def files_registered(self) -> None: ...


class Group:
    def __init__(
        self,
        settings: Settings,
        landing: Landing,
        ledger: Ledger,
        known: Known,
        round_: Round,
    ) -> None:
        self._settings, self._landing, self._ledger = settings, landing, ledger
        self._known, self._round = known, round_

    def take(self, candidates: Iterable[Candidate]) -> tuple[set[str], dict[str, list[Candidate]]]:
        """Land, register and acknowledge the first of these files. Returns the sources of these files, and
        the remaining files by source. The feed offers a file again if it was not ready.

        A file is registered under the lease under which it was read. If this daemon has lost that lease and
        acquired a newer lease since, the ledger rejects the file.
        """
        entry = deque(candidates)
        leases = {c.source: self._round.lease(c.source) for c in entry}
        for source, candidates in _by_source(entry).items():
            if leases[source] is not None and not self._expect(source, candidates):
                entry = deque(c for c in entry if c.source != source)
        landed = self._land_some(entry)
        for source, units in landed.items():
            lease = leases[source]
            assert lease is not None, "nothing is landed without"
            strategy = self._round.strategy(source)
            try:
                with self._round.isolate(source):
                    self._enter(strategy, strategy.sort(units), lease)
            except IntakeLost:
                self._round.lose(lease)
        return set(landed), _by_source(entry)

    def _expect(self, source: str, candidates: Sequence[Candidate]) -> bool:
        """Prepare for landing the files of a source. Returns False if the source failed and is skipped; its
        files are then not landed."""
        with self._round.isolate(source):
            self._round.strategy(source).expect(candidates)
            return True
        return False

    def _land_some(self, entry: deque[Candidate]) -> dict[str, list[Unit]]:
        """Land the first files of the queue as a batch, and remove them from the queue."""
        landed: dict[str, list[Unit]] = {}
        room: float = GROUP_BYTES
        with self._landing.batch() as batch, suppress(TooLarge):
            while entry and not self._round.is_stopped:
                self._round.touch()
                failpoints.hit(failpoints.Failpoint.FOUND)
                candidate, unit = entry[0], Unit()
                with self._round.isolate(candidate.source):
                    unit = self._land_one(batch, candidate, room if landed else math.inf)
                entry.popleft()
                if unit:
                    landed.setdefault(candidate.source, []).append(unit)
                    size = sum(file.landed.size for file in unit)
                    self._round.landed(size)
                    room -= size
        for _ in _files(unit for units in landed.values() for unit in units):
            failpoints.hit(failpoints.Failpoint.LANDED)
        return landed

    def _land_one(self, batch: LandingBatch, candidate: Candidate, room: float) -> Unit:
        """Land the new bytes of a file. Returns an empty list if the file has nothing new, no longer
        exists, is being written, is unreadable, or waits for a gate.

        Raises TooLarge if more than `room` bytes would be landed.
        """
        if self._round.lease(candidate.source) is None:
            return []  # another daemon has the source; `activate` offers all files
        strategy = self._round.strategy(candidate.source)
        try:
            return strategy.land(batch, candidate, room)
        except Unreadable as error:
            self._refuse(strategy, candidate, error)
        except FeedError as error:
            strategy.feed.nack(candidate, error)
        return []

    def _refuse(self, strategy: Strategy, candidate: Candidate, error: Unreadable) -> None:
        """Report an unreadable file once per state. The file is tried again when its state changes."""
        strategy.feed.nack(candidate, error)
        if self._known.refuse(candidate):
            name = printable(candidate.key)
            emit(Event.FILE_UNREADABLE, source=candidate.source, file=name, why=str(error))

    def _enter(self, strategy: Strategy, units: Sequence[Unit], lease: IntakeLease) -> None:
        """Register and acknowledge the landed files of a feed. Raises IntakeLost."""
        files, source = list(_files(units)), strategy.feed.name
        if not files:
            return
        try:
            with self._round.long_call():
                entered = register_many(self._ledger, self._settings, source, files, lease)
        except Transient:
            raise
        except Exception:
            if len(units) == 1:
                raise
            self._enter_each(strategy, units, lease)
            return
        self._round.entered()
        self._keep_landed(strategy, files)
        for _ in files:
            failpoints.hit(failpoints.Failpoint.REGISTERED)
        self._round.files_registered()
        self._acknowledge(strategy, files, entered, lease)
        for _ in files:
            failpoints.hit(failpoints.Failpoint.DISPOSED)
        for file, done in zip(files, entered, strict=True):
            if done is not None:  # otherwise another process took it in
                _log_gate_mismatch(file, done)
                _log_registered(file, done)

    def _enter_each(self, strategy: Strategy, units: Sequence[Unit], lease: IntakeLease) -> None:
        """Register files one by one after a defect, so that the file that causes the defect does not delay
        the others."""
        defects = []
        for unit in units:
            try:
                self._enter(strategy, [unit], lease)
            except Transient:
                raise
            except Exception as error:  # noqa: BLE001 - raised below
                defects.append(error)
        for defect in defects:
            raise defect

    def _keep_landed(self, strategy: Strategy, files: Sequence[Found]) -> None:
        """Land the bytes of files again if the landing zone no longer contains them. This happens if an
        older file had the same bytes, and retention removed them before the new file was registered."""
        missing = self._landing.missing([file.landed.name for file in files])
        for file in files:
            if file.landed.name in missing:
                strategy.land_again(self._landing, file)

    def _acknowledge(
        self,
        strategy: Strategy,
        files: list[Found],
        entered: Sequence[Registration | None],
        lease: IntakeLease,
    ) -> None:
        """Acknowledge registered files. A file that cannot be acknowledged stays registered, and is ignored
        until it changes.

        If another daemon may have taken over, the feed leaves the files unchanged, and the other daemon
        finds them.
        """
        strategy.entered(files)
        done = [file.candidate for file in files]
        refused = strategy.feed.ack(done, self._round.permit(lease))
        known = dict(zip(done, entered, strict=True)) if refused else {}
        for candidate, reason in refused.items():
            self._known.refuse(candidate)
            facts = {"source": candidate.source, "file": printable(candidate.key)}
            emit(Event.FILE_NOT_DISPOSED, **facts, **_log_ids(known.get(candidate)), why=reason)


def _log_gate_mismatch(file: Found, done: Registration) -> None:
    """Report an alias whose gate announces other bytes, because the announced bytes have not arrived. For a
    file with new bytes, the worker reports the mismatch."""
    if done.kind is not Kind.ALIAS or file.announcement is None:
        return
    landed = file.landed
    known = {"sha256": landed.sha256.hex(), "md5": landed.md5.hex()}
    what = file.announcement.announced
    what = replace(what, sums=tuple(pair for pair in what.sums if pair[0] in known))
    if reason := differs(what, landed.size, known.__getitem__):
        facts = {"source": file.candidate.source, "file": printable(file.key)}
        emit(Event.GATE_MISMATCH, **facts, **_log_ids(done), why=reason)


def _log_registered(file: Found, done: Registration) -> None:
    new = file.increment
    more = {} if new is None else {"offset": new.start}
    emit(
        Event.FILE_REGISTERED,
        source=file.candidate.source,
        file=printable(file.key),
        **_log_ids(done),
        version=done.version,
        kind=done.kind if new is None or new.follows is None else "growth",
        size=file.landed.size,
        **more,
    )


def _log_ids(done: Registration | None) -> dict[str, Any]:
    """Returns the fields that identify a registered file in a log event."""
    if done is None:
        return {}
    trace = {} if done.trace_id is None else {"trace_id": done.trace_id.hex()}
    return {"file_id": done.file_id, **trace}


def _files(units: Iterable[Unit]) -> Iterator[Found]:
    return (file for unit in units for file in unit)


def _by_source(candidates: Iterable[Candidate]) -> dict[str, list[Candidate]]:
    found: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        found.setdefault(candidate.source, []).append(candidate)
    return found
