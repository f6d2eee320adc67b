"""Measures the fleet for its metrics. All values are computed from the ledger, so they survive a restart.

At the start, all events and all files are counted, a page at a time. After that, each measurement reads
only the new events, and counts only the chunks that contain the files of these events.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from sensorflow.core.controls import Mode
from sensorflow.core.event_totals import EventFollower
from sensorflow.core.file_totals import CHUNK, FileTotals
from sensorflow.core.heartbeat import Heartbeat, Role
from sensorflow.core.metrics import Metric, Sample
from sensorflow.core.scaling import Scaler
from sensorflow.errors import Code, SensorflowError, Transient
from sensorflow.flow.fleet_samples import (
    FleetWork,
    Surroundings,
    event_samples,
    file_samples,
    pause_samples,
    process_samples,
    room_samples,
    surrounding_samples,
    work_samples,
)
from sensorflow.flow.scaling import WorkMeter
from sensorflow.ports.measurements import LedgerEnds, Measurements, Sizes
from sensorflow.telemetry import Event, emit

LOOK_SECONDS = 5.0
"""Seconds between two measurements."""
SIZES_SECONDS = 60.0
"""Seconds between two measurements of the database's size. They are rare, because each lists all files of
the database."""
RECOUNT_SECONDS = 6 * 3600.0
"""Seconds after which all files are counted again, even if there are no new events of them."""
CHUNKS = 25
"""Maximum number of chunks that are counted by one statement."""
BUDGET_SECONDS = 2.0
"""Seconds after which one measurement stops counting. The next measurements count the remaining events and
files."""
ANSWER_SECONDS = 15.0
"""Seconds of one measurement after which the database counts as unavailable."""
STUCK_SECONDS = 60.0
"""Seconds without a measurement after which the loop counts as stuck."""


@dataclass
class _Ledger:
    """The counts of one database. recount_at: monotonic time at which all files are counted again.
    events_counted, files_counted: whether all events, and all files, were counted at least once."""

    follower: EventFollower
    files: FileTotals = field(default_factory=FileTotals)
    recount_at: float = 0.0
    events_counted: bool = False
    files_counted: bool = False


class FleetMeter:
    """Measures a fleet repeatedly, and returns the values of its metrics. Only one thread may call `look`;
    any thread may call the other methods.

    large_bytes, quotas: see `flow.scaling.FleetScaler`. schema: the schema revision that the database must
    have. surroundings: returns the measurements that do not come from the ledger. sources: names of the
    sources in the settings.
    """

    def __init__(
        self,
        ledger: Measurements,
        large_bytes: int,
        schema: str,
        surroundings: Callable[[], Surroundings],
        sources: Collection[str] = (),
        quotas: Mapping[str, int] | None = None,
    ) -> None:
        self._sources = sources
        self._source, self._schema = ledger, schema
        self._meter = WorkMeter(ledger, large_bytes, quotas or {}, rates_seconds=0.0)
        self._surroundings = surroundings
        self._scaler = Scaler()
        self._ledger: _Ledger | None = None
        self._ends: LedgerEnds | None = None
        self._ends_at = 0.0
        self._work: FleetWork | None = None
        self._beats: list[Heartbeat] = []
        self._paused: set[str] = set()
        self._gold_lag: float | None = None
        self._sizes: Sizes | None = None
        self._sizes_at = -SIZES_SECONDS
        self._samples: list[Sample] = []
        self._looked_at = time.monotonic()
        self._asked_at: float | None = None
        self._error: str | None = "the ledger has not been read yet"

    @property
    def error(self) -> str | None:
        """The reason why the values from the ledger are not current; None if they are current."""
        silence = 0.0 if (asked := self._asked_at) is None else time.monotonic() - asked
        if silence > ANSWER_SECONDS:
            return f"{Code.DATABASE}: the database has not answered for {silence:.0f} s"
        return self._error

    @property
    def is_complete(self) -> bool:
        """Whether all files and events have been counted at least once."""
        known = self._ledger
        return known is not None and known.events_counted and known.files_counted

    @property
    def is_stuck(self) -> bool:
        """Whether the loop makes no progress, although it does not wait for the database."""
        return self._asked_at is None and time.monotonic() - self._looked_at > STUCK_SECONDS

    def run(self, stop: threading.Event) -> None:
        """Measure repeatedly until `stop` is set. Continues after outages and defects."""
        while not stop.is_set():
            try:
                self.look()
            except Exception:  # noqa: BLE001 - this loop must outlive any defect
                emit(Event.DEFECT, exc_info=True)
            stop.wait(LOOK_SECONDS if self.is_complete or self._error else 0.1)

    def look(self) -> None:
        """Measure once. If this fails, `error` contains the reason, and the previous values remain.
        Counting may need several calls, see `is_complete`."""
        self._asked_at = time.monotonic()
        try:
            self._read()
            self._error = None
        except SensorflowError as error:
            self._error = str(error)
        finally:
            self._asked_at = None
        self._samples = list(self._current())
        self._looked_at = time.monotonic()

    def samples(self) -> list[Sample]:
        """Returns the values of all metrics, as of the latest measurement."""
        there = self._surroundings()
        age = [] if not self._ends_at else [time.monotonic() - self._ends_at]
        return [
            *self._samples,
            *surrounding_samples(there, self._sizes),
            Sample(Metric.DATABASE_UP, (), float(self.error is None)),
            Sample(Metric.BROKER_UP, (), float(there.queues is not None)),
            *(Sample(Metric.LEDGER_AGE, (), seconds) for seconds in age),
        ]

    def _read(self) -> None:
        now = time.monotonic()
        ends = self._source.ends()
        if ends.schema != self._schema:
            raise _outdated(ends.schema, self._schema)
        known = self._ledger
        if known is None or ends.newest_event < known.follower.top:
            known = self._ledger = _Ledger(EventFollower(ends.newest_event))
        if now >= known.recount_at:  # also the first time
            known.files.mark(range(ends.newest_file // CHUNK + 1))
            known.recount_at = now + RECOUNT_SECONDS
        self._count(known, now + BUDGET_SECONDS)
        self._beats = self._source.heartbeats()
        self._work = self._measure_work(now)
        controls = self._source.controls()
        self._paused = {source for source, c in controls.items() if c.mode is Mode.PAUSED}
        self._gold_lag = self._source.lag_seconds()
        if now - self._sizes_at >= SIZES_SECONDS:
            self._sizes, self._sizes_at = self._source.sizes(), now
        self._ends, self._ends_at = ends, now

    def _count(self, known: _Ledger, until: float) -> None:
        """Count new events, and then the files that these events have changed. Stops at the monotonic time
        `until`, even if not everything is counted."""
        more = True
        while more and time.monotonic() < until:
            page = self._source.events_in(known.follower.wanted())
            more = known.follower.add(page, time.monotonic())
            known.files.mark(page.chunks)
        known.events_counted = known.events_counted or not more
        while chunks := known.files.due(CHUNKS):
            try:
                known.files.put(self._source.files_in(chunks))
            except BaseException:
                known.files.mark(chunks)
                raise
            if time.monotonic() >= until:
                break
        known.files_counted = known.files_counted or known.files.complete

    def _measure_work(self, now: float) -> FleetWork:
        waiting = self._meter.measure(now)
        workers = [b.report for b in self._beats if b.is_alive and b.report.role is Role.WORKER]
        present = sum(int(report.state.get("children", 0)) for report in workers)
        return FleetWork(
            waiting.parts, waiting.rates, self._scaler.fleet(now, waiting.load, present)
        )

    def _current(self) -> list[Sample]:
        """Returns the metrics that come from the ledger. Totals are included only after everything was
        counted once, because totals that are still growing would look like a burst."""
        if self._ends is None or self._ledger is None:
            return []
        now = self._ends.now + time.monotonic() - self._ends_at
        found = [
            *process_samples(self._beats),
            *pause_samples(self._paused, self._sources),
            *room_samples(self._beats, self._sources),
        ]
        if self._gold_lag is not None:
            found.append(Sample(Metric.GOLD_LAG, (), self._gold_lag))
        if self._work is not None:
            found += work_samples(self._work, self._ledger.files)
        if self._ledger.files_counted:
            found += file_samples(self._ledger.files, now, self._sources)
        if self._ledger.events_counted:
            found += event_samples(self._ledger.follower.totals, self._sources)
        return found


def _outdated(found: str, wanted: str) -> Transient:
    return Transient(Code.SCHEMA, f"schema {found or 'empty'}, expected {wanted}")
