"""Growing files: take in only the new bytes, up to the end of the last complete line.

The ledger records which bytes were taken in from each file. Only the states in which files had no new bytes
are in memory. After a restart, each file is therefore inspected once.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from sensorflow.core.arrival import printable
from sensorflow.core.growth import Ingested, Lines
from sensorflow.flow.intake.known import Known
from sensorflow.flow.intake.look import InspectedState, Inspection
from sensorflow.flow.intake.renamed import Renamed
from sensorflow.flow.intake.spelling import Spellings
from sensorflow.flow.intake.strategy import TooLarge, Unit
from sensorflow.flow.landing import Landing, LandingBatch
from sensorflow.flow.register import Found
from sensorflow.ports.feed import Candidate, GrowingFeed
from sensorflow.ports.ledger import Ledger
from sensorflow.settings import Settings
from sensorflow.telemetry import Event, emit

NEWEST = 100
"""Number of recent files with which a file of an unknown name is compared, because it may be a copy."""
SOONEST = 0.25
"""Minimum seconds between two scans of a feed."""
SHARE = 10
"""Scans and inspections use at most 1/`SHARE` of the time while no file grows."""


class Parts:
    """The `Strategy` for growing files. A candidate is a file that may have new bytes. touch: called
    repeatedly while a file is read."""

    def __init__(
        self,
        settings: Settings,
        feed: GrowingFeed,
        landing: Landing,
        ledger: Ledger,
        known: Known,
        spellings: Spellings,
        touch: Callable[[], object],
    ) -> None:
        self.feed, self.landing, self.ledger, self.touch = feed, landing, ledger, touch
        self.name_matters = settings.profile_of(settings.sources[feed.name]).name_matters
        self._known, self._spellings = known, spellings
        self._every = max(SOONEST, min(feed.delay / 4, settings.rescan))
        self.inspected: dict[bytes, InspectedState] = {}
        self.renamed = Renamed(feed, ledger, NEWEST)
        self._by_key: dict[bytes, Ingested] = {}
        self._by_inode: dict[str, Ingested] = {}
        self._newest: list[Ingested] | None = None
        self._scanning = False
        self.rewind()

    def rewind(self) -> None:
        self.feed.rewind()
        self._scanning = self.scan_at_once = self._has_grown = False
        self._ended, self._scan_seconds = -math.inf, 0.0

    def forget(self, key: bytes) -> None:
        self.inspected.pop(key, None)

    # --- candidates ---

    def poll(self, now: float) -> Iterable[Iterator[Candidate | None]]:
        """Start a scan if the last one has finished and the next is due."""
        wait = max(self._every, 0.0 if self._has_grown else SHARE * self._scan_seconds)
        if self._scanning or now < self._ended + (0.0 if self.scan_at_once else wait):
            return []
        self._scanning, self.scan_at_once, self._has_grown, self._scan_seconds = (
            True,
            False,
            False,
            0.0,
        )
        return [self._changed_files()]

    def _changed_files(self) -> Iterator[Candidate | None]:
        """Yield the files that may have new bytes."""
        seen: set[bytes] = set()
        spelt: dict[bytes, bytes] = {}
        try:
            for file in self._timed(self.feed.scan()):
                seen.add(file.key)
                yield file if self._may_have_changed(file, spelt) else None
            for file in self._timed(self.renamed.scanned(seen)):
                yield file if self._may_have_changed(file, spelt) else None
            remaining = (key for key in self.inspected if key in seen or key in self.renamed)
            self.inspected = {key: self.inspected[key] for key in remaining}
            self._ended = time.monotonic()
        finally:
            self._scanning = False

    def _timed(self, files: Iterator[Candidate]) -> Iterator[Candidate]:
        began = time.monotonic()
        for file in files:
            self._scan_seconds += time.monotonic() - began
            yield file
            began = time.monotonic()
        self._scan_seconds += time.monotonic() - began

    def _may_have_changed(self, file: Candidate, spelt: dict[bytes, bytes]) -> bool:
        if self._spellings.refuses(self.feed, file, spelt) or self._known.is_refused(file):
            return False
        inspected = self.inspected.get(file.key)
        if inspected is None or time.monotonic() >= inspected.until:
            return True
        if inspected.state is not None:
            return inspected.state != file.revision
        return inspected.place != self.feed.place(file)

    # --- new bytes ---

    def expect(self, candidates: Sequence[Candidate]) -> None:
        """Query the ledger for the bytes that were taken in from these files."""
        keys, inodes = [c.key for c in candidates], [self.feed.place(c) for c in candidates]
        ingested = self.ledger.find_ingested(self.feed.name, keys, inodes)
        self._by_key = {t.key: t for t in ingested}
        self._by_inode = {t.inode: t for t in ingested}
        self._newest = None

    def land(self, batch: LandingBatch, candidate: Candidate, room: float) -> Unit:
        if room <= 0:
            raise TooLarge
        began = time.monotonic()
        ours = self._by_inode.get(self.feed.place(candidate)), self._by_key.get(candidate.key)
        with self.feed.open(candidate) as opened:
            inspection = Inspection(self, batch, opened)
            is_left = candidate.key in self.renamed
            found = inspection.left(ours[0]) if is_left else inspection.found(*ours)
        if is_left and not found:
            self.inspected[candidate.key] = InspectedState(candidate.revision, math.inf)
        self._scan_seconds += time.monotonic() - began
        self._has_grown |= bool(found)
        return found

    def newest(self) -> list[Ingested]:
        """Returns descriptions of the bytes that were taken in from the newest files, newest first. Queries
        the ledger once per group."""
        if self._newest is None:
            self._newest = self.ledger.find_ingested(self.feed.name, [], [], NEWEST)[::-1]
        return self._newest

    def set_aside(self, file: Candidate, event: Event, reason: str) -> None:
        """Ignore a file until it changes, and report this once."""
        if self._known.refuse(file):
            emit(event, "error", source=self.feed.name, file=printable(file.key), why=reason)

    def sort(self, units: Sequence[Unit]) -> list[Unit]:
        return list(units)

    def land_again(self, landing: Landing, file: Found) -> None:
        assert file.increment is not None, "an increment"
        with self.feed.open(file.candidate) as opened:
            landing.put(Lines(opened, file.increment.start, file.increment.end))

    def entered(self, files: Sequence[Found]) -> None:
        return
