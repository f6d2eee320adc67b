"""Turns measurements of the fleet into the values of its metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sensorflow.core.event_totals import EventTotals
from sensorflow.core.events import FileEvent
from sensorflow.core.file_totals import FileTotals, account_of
from sensorflow.core.heartbeat import Heartbeat, Role
from sensorflow.core.metrics import LATENCY_BUCKETS, STAGE_BUCKETS, Histogram, Metric, Sample
from sensorflow.core.scaling import work_of
from sensorflow.core.states import Stage, State
from sensorflow.ports.measurements import Sizes
from sensorflow.ports.workload import MAX_FILES, OpenWork, Rates

UNFINISHED = (State.PENDING, State.RUNNING)
OUTCOMES = ("loaded", "rejected", "duplicate", "not_loaded")
"""The outcomes of readings, see `core.account.Account`."""


@dataclass(frozen=True)
class FleetWork:
    """The waiting work of the fleet. parts, rates: see `flow.scaling.Waiting`. wanted: number of processes
    that the fleet needs."""

    parts: Sequence[OpenWork]
    rates: Rates
    wanted: int


@dataclass(frozen=True)
class Surroundings:
    """The measurements that do not come from the ledger. A value is None if it is unknown. free: free bytes
    on the disk of the data folder. full: forecast of the seconds until this disk is full. queues: name of a
    queue -> number of messages. zones: name of a folder of stored files -> its size in bytes."""

    free: int | None = None
    full: float | None = None
    queues: Mapping[str, int] | None = None
    zones: Mapping[str, int] = field(default_factory=dict)


def file_samples(totals: FileTotals, now: float, sources: Collection[str] = ()) -> Iterator[Sample]:
    """Yield the metrics of all files. now: the database's time, in seconds since 1970. sources: the sources
    in the settings, which are included even if they have no files."""
    files: Counter[tuple[str, State]] = Counter()
    sizes: Counter[tuple[str, State]] = Counter()
    rows: Counter[tuple[str, str]] = Counter()
    landed = 0
    for group in totals.groups():
        files[group.source, group.state] += group.files
        sizes[group.source, group.state] += group.bytes
        landed += group.landed
        found = account_of(group)
        for outcome in OUTCOMES:
            rows[group.source, outcome] += getattr(found, outcome)
        if group.state is State.QUARANTINED:
            yield Sample(Metric.QUARANTINED_FILES, (group.source, group.code), group.files)
    times = {**dict.fromkeys(sources, (None, None, None)), **totals.times()}
    for source, (reading, file, oldest) in sorted(times.items()):
        for state in State:
            yield Sample(Metric.FILES, (source, state), files[source, state])
        waiting = sum(files[source, state] for state in UNFINISHED)
        yield Sample(Metric.BACKLOG_FILES, (source,), waiting)
        size = sum(sizes[source, state] for state in UNFINISHED)
        yield Sample(Metric.BACKLOG_BYTES, (source,), size)
        yield Sample(Metric.BACKLOG_OLDEST, (source,), max(0.0, now - oldest) if oldest else 0.0)
        for outcome in OUTCOMES:
            yield Sample(Metric.ROWS, (source, outcome), rows[source, outcome])
        if reading is not None:
            yield Sample(Metric.EVENT_TIME_BEHIND, (source,), now - reading)
        if file is not None:
            yield Sample(Metric.LAST_FILE_AGE, (source,), max(0.0, now - file))
    yield Sample(Metric.STORED_BYTES, ("landing",), landed)


def pause_samples(paused: Collection[str], sources: Collection[str]) -> Iterator[Sample]:
    """Yield which sources are paused. sources: the sources in the settings."""
    for source in sorted({*sources, *paused}):
        yield Sample(Metric.SOURCE_PAUSED, (source,), float(source in paused))


def room_samples(beats: Iterable[Heartbeat], sources: Collection[str]) -> Iterator[Sample]:
    """Yield for which sources a disk has no room. sources: the sources in the settings."""
    short = {s for beat in beats if beat.is_alive for s in beat.report.sources_without_room}
    for source in sorted({*sources, *short}):
        yield Sample(Metric.SOURCE_WITHOUT_ROOM, (source,), float(source in short))


def event_samples(totals: EventTotals, sources: Collection[str] = ()) -> Iterator[Sample]:
    """Yield the metrics of all events. sources: the sources in the settings, which are included even if
    they have no files. An event that has not happened yet has the value 0, so that its first occurrence is
    an increase."""
    for source in sorted({*sources, *(source for source, _ in totals.events)}):
        for event in FileEvent:
            yield Sample(Metric.FILE_EVENTS, (source, event), totals.events[source, event])
        yield Sample(Metric.ROWS_LOADED, (source,), totals.rows_loaded[source])
        counts = tuple(totals.latencies[source, n] for n in range(len(LATENCY_BUCKETS) + 1))
        found = Histogram(LATENCY_BUCKETS, counts, totals.latency_seconds.get(source, 0.0))
        yield Sample(Metric.LATENCY, (source,), found)
    failures = {FileEvent.RETRIED: Metric.RETRIES, FileEvent.QUARANTINED: Metric.QUARANTINES}
    for (what, source, code), count in totals.codes.items():
        if (metric := failures.get(FileEvent(what))) is not None:
            yield Sample(metric, (source, code), count)
    for stage in Stage:
        counts = tuple(totals.stages[stage, n] for n in range(len(STAGE_BUCKETS) + 1))
        found = Histogram(STAGE_BUCKETS, counts, totals.stage_seconds.get(stage, 0.0))
        yield Sample(Metric.STAGE_SECONDS, (stage,), found)


def work_samples(work: FleetWork, totals: FileTotals) -> Iterator[Sample]:
    """Yield the metrics of the waiting work."""
    waiting: dict[str, tuple[int, int]] = {}
    for part in work.parts:
        files, size = waiting.get(part.source, (0, 0))
        waiting[part.source] = files + part.files, size + part.bytes
    if sum(files for files, _ in waiting.values()) >= MAX_FILES:  # it may not have examined all
        waiting = _unfinished(totals)
    for source in totals.times().keys() | waiting.keys():
        seconds = work_of({source: waiting.get(source, (0, 0))}, work.rates.cost)
        yield Sample(Metric.SOURCE_BACKLOG_SECONDS, (source,), seconds)
    yield Sample(Metric.BACKLOG_SECONDS, (), work_of(waiting, work.rates.cost))
    yield Sample(Metric.WORKERS_WANTED, (), work.wanted)


def _unfinished(totals: FileTotals) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for group in totals.groups():
        if group.state in UNFINISHED:
            files, size = found.get(group.source, (0, 0))
            found[group.source] = files + group.files, size + group.bytes
    return found


def process_samples(beats: Iterable[Heartbeat]) -> Iterator[Sample]:
    """Yield the metrics of processes, which come from their heartbeats."""
    children: Counter[str] = Counter()
    loops: Counter[tuple[str, str]] = Counter()
    for beat in beats:
        report = beat.report
        status = "silent" if not beat.is_alive else "paused" if report.paused else "working"
        loops[report.role, status] += 1
        if beat.is_alive and report.role is Role.WORKER:
            children[report.host] += int(report.state.get("children", 0))
    for role in Role:
        for status in ("working", "paused", "silent"):
            yield Sample(Metric.PROCESSES, (role, status), loops[role, status])
    for host, count in children.items():
        yield Sample(Metric.WORKERS_PRESENT, (host,), count)


def surrounding_samples(there: Surroundings, sizes: Sizes | None) -> Iterator[Sample]:
    """Yield the metrics of disks, database and broker."""
    if sizes is not None:
        yield Sample(Metric.DATABASE_BYTES, (), sizes.database)
        yield Sample(Metric.READINGS_BYTES, (), sizes.readings)
    if there.free is not None:
        yield Sample(Metric.DISK_FREE, (), there.free)
    if there.full is not None:
        yield Sample(Metric.DISK_FULL_SECONDS, (), there.full)
    for queue, messages in (there.queues or {}).items():
        yield Sample(Metric.BROKER_MESSAGES, (queue,), messages)
    for zone, size in there.zones.items():
        yield Sample(Metric.STORED_BYTES, (zone,), size)
