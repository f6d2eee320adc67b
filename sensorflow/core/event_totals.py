"""Counts the events of all histories, each exactly once, without reading any of them twice.

Ids of events are given before the commit, so an event may become visible after others with higher ids.
Ids that are missing are therefore asked for again, until every transaction that may hold one has ended. The
ids of rolled back transactions stay missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sensorflow.core.events import FileEvent

SPAN = 100_000
"""Number of ids that are read at once."""
RECENT = 100_000
"""Number of newest ids at the first look among which one may become visible later."""
GRACE_SECONDS = 60.0
"""Seconds after which a missing id is given up, if its transaction must have ended. A process may be
suspended between two steps of a statement, before its transaction is visible to others."""
MAX_GAPS = 10_000
"""Number of ranges of missing ids that are remembered."""
FAILURES = (FileEvent.RETRIED, FileEvent.CONDEMNED, FileEvent.QUARANTINED)
"""Events with an error code."""


@dataclass(frozen=True)
class Ids:
    """A range of ids, with both ends."""

    low: int
    high: int


@dataclass(frozen=True)
class EventGroup:
    """Events that are alike.

    code: number of the error, "" without one. bucket: of the stage's duration, and None for an event
    without a duration. late_bucket: of the time from arrival to commit; None if it does not apply. seconds,
    rows, late: sums over the events.
    """

    source: str
    event: str
    stage: str = ""
    code: str = ""
    bucket: int | None = None
    late_bucket: int | None = None
    events: int = 1
    seconds: float = 0.0
    rows: int = 0
    late: float = 0.0


@dataclass(frozen=True)
class Page:
    """The events in some ranges of ids, all from one snapshot of the database.

    top: the last id that was looked at. missing: the ranges of ids up to it without an event. chunks: the
    chunks of the files whose events these are (`core.file_totals`). oldest: transactions below this number
    have ended. newest: transactions from this number on have not begun.
    """

    top: int
    missing: Sequence[Ids]
    groups: Sequence[EventGroup]
    chunks: Sequence[int]
    oldest: int
    newest: int


class EventTotals:
    """Sums of events. All of them only grow."""

    def __init__(self) -> None:
        self.events: Counter[tuple[str, str]] = Counter()
        self.codes: Counter[tuple[str, str, str]] = Counter()
        self.rows_loaded: Counter[str] = Counter()
        self.stages: Counter[tuple[str, int]] = Counter()
        self.stage_seconds: dict[str, float] = {}
        self.latencies: Counter[tuple[str, int]] = Counter()
        self.latency_seconds: dict[str, float] = {}

    def add(self, groups: Iterable[EventGroup]) -> None:
        for g in groups:
            self.events[g.source, g.event] += g.events
            if g.event in FAILURES:
                self.codes[g.event, g.source, g.code] += g.events
            if g.event == FileEvent.LOADED:
                self.rows_loaded[g.source] += g.rows
            if g.bucket is not None:
                self.stages[g.stage, g.bucket] += g.events
                self.stage_seconds[g.stage] = self.stage_seconds.get(g.stage, 0.0) + g.seconds
            if g.late_bucket is not None:
                self.latencies[g.source, g.late_bucket] += g.events
                late = self.latency_seconds.get(g.source, 0.0)
                self.latency_seconds[g.source] = late + g.late


@dataclass(frozen=True)
class _Gap:
    """Missing ids. newest: see `Page`, when they were found missing. since: when that was, in seconds."""

    ids: Ids
    newest: int
    since: float


class EventFollower:
    """Reads the events from the first one on, and then those that are new. newest: highest id at the
    start."""

    def __init__(self, newest: int) -> None:
        self.totals = EventTotals()
        self._top = 0
        self._settled = newest - RECENT
        self._gaps: list[_Gap] = []

    @property
    def top(self) -> int:
        """The last id that was looked at."""
        return self._top

    def wanted(self) -> list[Ids]:
        """Returns the ranges of ids to read next."""
        return [*(gap.ids for gap in self._gaps), Ids(self._top + 1, self._top + SPAN)]

    def add(self, page: Page, now: float) -> bool:
        """Count the events of the page that was asked for by `wanted`. now: seconds of a monotonic clock.
        Returns whether more events may be there already."""
        self.totals.add(page.groups)
        older = iter(self._gaps)
        within = next(older, None)
        gaps: list[_Gap] = []
        for ids in sorted(page.missing, key=lambda ids: ids.low):
            while within is not None and within.ids.high < ids.low:
                within = next(older, None)
            if within is not None and within.ids.low <= ids.low:
                if page.oldest < within.newest or now - within.since < GRACE_SECONDS:
                    gaps.append(_Gap(ids, within.newest, within.since))
            elif ids.high > self._settled:
                gaps.append(_Gap(ids, page.newest, now))
        self._gaps = gaps[-MAX_GAPS:]
        full = page.top - self._top >= SPAN
        self._top = max(self._top, page.top)
        return full
