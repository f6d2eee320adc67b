"""Counts the events of all file histories. Each event is read and counted exactly once.

An event gets its id before its transaction commits, so it may become visible later than events with higher
ids. A missing id is therefore queried again, until every transaction that may have used it has ended. The
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
"""At the start, missing ids are queried again only if they are among this number of newest ids."""
GRACE_SECONDS = 60.0
"""Minimum time in seconds for which a missing id is queried again, even if all transactions that may have
used it have ended. A process may be suspended within a statement, before its transaction is visible to
others."""
MAX_GAPS = 10_000
"""Maximum number of ranges of missing ids that are queried again."""
FAILURES = (FileEvent.RETRIED, FileEvent.CONDEMNED, FileEvent.QUARANTINED)
"""Events with an error code."""


@dataclass(frozen=True)
class Ids:
    """A range of event ids. It includes both `low` and `high`."""

    low: int
    high: int


@dataclass(frozen=True)
class EventGroup:
    """The number of events with the same properties, and sums over these events.

    code: the error code without its name, such as "F104"; "" if there is none. bucket: the index of the
    duration's bucket in `metrics.STAGE_BUCKETS`; None if the events have no duration. late_bucket: the
    index in `metrics.LATENCY_BUCKETS` of the time from the discovery of the file to its first load; None
    for other events and for backfilled files. events: the number of events. seconds: the sum of the
    durations. rows: the sum of the readings. late: the sum of the times from discovery to first load, in
    seconds.
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

    top: the end of the last queried range, but at most the highest id that exists. missing: the ranges of
    queried ids up to `top` that have no visible event. chunks: the chunks (see `core.file_totals`) that
    contain the files of these events. oldest: all transactions with a lower number have ended. newest: no
    transaction with this or a higher number has begun.
    """

    top: int
    missing: Sequence[Ids]
    groups: Sequence[EventGroup]
    chunks: Sequence[int]
    oldest: int
    newest: int


class EventTotals:
    """Counters of events, for metrics. They never decrease."""

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
    """A range of missing ids. since: when the ids were first found missing, in seconds of a monotonic
    clock. newest: `Page.newest` at that time."""

    ids: Ids
    newest: int
    since: float


class EventFollower:
    """Follows the event log: counts all events from the first one on, and then each new event. newest: the
    highest id at the start."""

    def __init__(self, newest: int) -> None:
        self.totals = EventTotals()
        self._top = 0
        self._settled = newest - RECENT
        self._gaps: list[_Gap] = []

    @property
    def top(self) -> int:
        """The id up to which the events were queried."""
        return self._top

    def wanted(self) -> list[Ids]:
        """Return the ranges of ids to query next: the missing ids, and the ids after `top`."""
        return [*(gap.ids for gap in self._gaps), Ids(self._top + 1, self._top + SPAN)]

    def add(self, page: Page, now: float) -> bool:
        """Count the events of a page. page: the result of the query for the ranges that `wanted` returned.
        now: seconds of a monotonic clock. Returns whether more events may exist already."""
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
