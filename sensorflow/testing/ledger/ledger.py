"""An in-memory ledger, which uses a lock instead of transactions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import accumulate
from typing import Any, NoReturn

import pyarrow as pa

from sensorflow.core.account import Totals
from sensorflow.core.arrival import Lane, OutboxEntry
from sensorflow.core.checksum import MODULUS, checksum
from sensorflow.core.events import FileEvent
from sensorflow.core.months import NewMonths
from sensorflow.core.readings import Span, months_of
from sensorflow.core.states import Stage, State
from sensorflow.core.touched import Touched
from sensorflow.errors import Fenced, SensorflowError, quarantine_reason
from sensorflow.flow.file_task import spans_whole_source
from sensorflow.ports.claims import BatchLimits, Claim, Claimed, Progress, ReadSoFar
from sensorflow.ports.files import Counts, FileView, HistoryEvent, StageReport
from sensorflow.ports.intake import OnChange
from sensorflow.ports.loading import Keyed, Load, Loaded, OlderVersions
from sensorflow.ports.outbox import (
    NO_IN_FLIGHT_LIMITS,
    PUBLISHER_LEASE_SECONDS,
    InFlightLimits,
    Reconciled,
    Throughput,
    estimated_work,
)
from sensorflow.testing.ledger.file import (
    OPEN,
    File,
    claim_of,
    error_of,
    outbox_entry_of,
    quota,
    view_of,
)
from sensorflow.testing.ledger.garbage import MemoryGarbage
from sensorflow.testing.ledger.intake import unsupported


class MemoryLedger(MemoryGarbage):
    """An in-memory ledger (see `ports.ledger.Ledger`). Supports files of one source that are registered,
    published, claimed, and then loaded or quarantined once. clock: a function that returns the present
    time, used instead of the database's clock.

    A claim never adds further files to a batch. A second publisher cannot get the lease before the first
    one ends. The limit of files in flight does not depend on throughput. Raises NotImplementedError for
    everything else: growing files, archives, the backfill lane, large files, rotation between sources,
    loads of readings that other files also contain, replay and undo, retention, and most queries. Collects
    garbage only of files that `mark_garbage` has marked, and once.
    """

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        super().__init__(clock)
        self._turns: dict[str, datetime] = {}
        self._publisher = threading.Lock()
        self._months: set[date] = set()
        self.rows: dict[bytes, tuple[int, float]] = {}
        """The readings, as dedupe key -> (file id, value)."""

    # --- publishing ---

    @contextmanager
    def publisher_lease(
        self, lease: float = PUBLISHER_LEASE_SECONDS
    ) -> Iterator[Callable[[], bool]]:
        mine = self._publisher.acquire(blocking=False)
        try:
            yield lambda: mine
        finally:
            if mine:
                self._publisher.release()

    def pending(
        self,
        limit: int,
        max_in_flight: int,
        backfill_in_flight: int | None = None,
        in_flight: InFlightLimits = NO_IN_FLIGHT_LIMITS,
    ) -> list[OutboxEntry]:
        with self._lock:
            now = self._clock()
            flying = [f for f in self._open() if f.published_at]
            waiting = [f for f in self._open() if not f.published_at and f.claimable(now)]
            waiting = [f for f in waiting if not self._is_paused(f.source)]
            if len({f.source for f in (*waiting, *flying)}) > 1:
                unsupported("alternate between sources")
            if any(f.size >= in_flight.large_bytes for f in (*waiting, *flying)):
                unsupported("limit large files")
            work = accumulate((estimated_work(f.size) for f in (*flying, *waiting)), initial=0)
            before = list(work)[len(flying) :]
            chosen = [
                file
                for nth, file in enumerate(waiting)
                if (before[nth + 1] <= in_flight.window and nth + len(flying) < in_flight.files)
                or nth + len(flying) < in_flight.least
                or not before[nth]
            ]
            return [
                outbox_entry_of(f)
                for f in chosen[: max(0, min(limit, quota(max_in_flight, in_flight) - len(flying)))]
            ]

    def _open(self) -> list[File]:
        return [f for f in self._files.values() if f.state in OPEN]

    def throughput(self) -> Throughput:
        return Throughput(0.0, None)

    def unfinished(self, lane: Lane, source: str | None = None) -> int:
        with self._lock:
            found = [f for f in self._open() if f.arrival.lane is lane]
            stay = [f for f in found if self._is_paused(f.source) and not f.published_at]
            return len(found) - sum(f.source != source for f in stay)

    def mark_sent(self, sent: list[OutboxEntry]) -> None:
        with self._lock:
            for waiting in sent:
                file = self._files[waiting.file_id]
                same = (file.token or 0) == waiting.token and file.state is State.PENDING
                if file.published_at is None and same:
                    file.published_at = self._clock()
                    self._add_event(file, FileEvent.PUBLISHED)

    def reconcile(self, stale_after: float, depth: int | None, grace: float = 0.0) -> Reconciled:
        with self._lock:
            now, late = self._clock(), self._in(-stale_after)
            expired = [f for f in self._open() if f.is_expired(now)]
            for file in expired:
                self._move(file, State.PENDING, FileEvent.LEASE_EXPIRED)
                file.published_at = None
            sent = [f for f in self._open() if f.state is State.PENDING]
            stale = [f for f in sent if f.published_at and f.published_at < late]
            if depth and stale:
                unsupported("find lost messages while the broker has messages")
            for file in stale:
                self._move(file, State.PENDING, FileEvent.MESSAGE_MISSING)
                file.published_at = None
            return Reconciled(len(expired), len(stale))

    # --- claims ---

    def claim(
        self, file_id: int, stages: tuple[Stage, ...], owner: str, lease: float
    ) -> Claim | None:
        return next(iter(self.claim_many([file_id], stages, owner, lease).claims), None)

    def claim_many(
        self, file_ids: Sequence[int], stages: tuple[Stage, ...], owner: str, lease: float
    ) -> Claimed:
        first, now = file_ids[0], self._clock()
        with self._lock:
            found = [self._files[n] for n in sorted(set(file_ids)) if n in self._files]
            free = [f for f in found if f.stage in stages and f.claimable(now)]
            return self._take([f for f in free if f.id == first or f.token is None], lease, first)

    def claim_batch(
        self, file_id: int, stages: tuple[Stage, ...], owner: str, lease: float, limits: BatchLimits
    ) -> Claimed:
        with self._lock:
            file = self._files.get(file_id)
            if file is None:
                return Claimed([])
            if file.stage not in stages or not file.claimable(self._clock()):
                return Claimed([], {}, file.state, file.taken_with)
            return self._take([file], lease, file_id)

    def _take(self, files: list[File], lease: float, first: int) -> Claimed:
        claims, progress = [], {}
        for file in sorted(files, key=lambda f: f.id):
            file.taken_with = None if file.id == first else first
            file.attempts += 1
            reason = file.taken_with and f"together with file {first}"
            was_pending = file.state is State.PENDING
            self._move(file, State.RUNNING, FileEvent.CLAIMED, why=reason)
            self._tokens += 1
            is_first_claim, file.token = file.token is None, self._tokens
            file.lease_until, file.not_before = self._in(lease), None
            file.published_at = file.published_at or self._clock()
            sent_at = file.published_at if was_pending else None
            claims.append(claim_of(file, is_first_claim, self._clock(), sent_at))
            progress[file.id] = Progress(file.counts, file.error, file.quarantines)
        return Claimed(claims, progress)

    def _guard(self, claim: Claim) -> File:
        file = self._files[claim.file_id]
        if file.token != claim.token or file.state is not State.RUNNING:
            raise Fenced(f"file {claim.file_id} was claimed by another worker", token=claim.token)
        return file

    def renew(self, claim: Claim, lease: float, read: ReadSoFar | None = None) -> None:
        with self._lock:
            file = self._guard(claim)
            file.lease_until = self._in(lease)
            if read is not None:
                file.progress_rows = read.rows
                file.progress_bytes = file.progress_bytes if read.bytes is None else read.bytes

    def advance(
        self, claim: Claim, next_stage: Stage, counts: Counts, report: StageReport, published: bool
    ) -> None:
        with self._lock:
            file = self._guard(claim)
            self._move(file, State.PENDING, FileEvent.STAGE_DONE, **report.event_facts)
            file.counts, file.error = counts, None
            self._stand_at(file, next_stage, self._clock() if published else None)

    @staticmethod
    def _stand_at(file: File, stage: Stage, published_at: datetime | None = None) -> None:
        file.stage, file.attempts, file.retries = stage, 0, 0
        file.published_at = published_at

    def nack(
        self, claim: Claim, error: SensorflowError, delay: float, counts_as_attempt: bool
    ) -> None:
        with self._lock:
            file = self._files[claim.file_id]
            if file.state is not State.PENDING or file.token != claim.token:
                file = self._guard(claim)
            elif file.stage is not claim.stage:
                raise Fenced(f"file {claim.file_id} is past {claim.stage}", token=claim.token)
            self._move(file, State.PENDING, FileEvent.RETRIED, why=str(error))
            file.attempts = claim.attempt - (0 if counts_as_attempt else 1)
            file.retries += 1
            file.published_at, file.not_before = None, self._in(delay)
            file.error = error_of(error, file.error if file.stage is Stage.QUARANTINE else None)

    def dead_letter(
        self, claim: Claim, error: SensorflowError, counts: Counts | None = None
    ) -> State:
        with self._lock:
            file = self._guard(claim)
            self._move(file, State.PENDING, FileEvent.CONDEMNED, why=str(error))
            self._stand_at(file, Stage.QUARANTINE)
            file.counts, file.error = counts or file.counts, error_of(error)
            return State.PENDING

    def mark_quarantined(self, claim: Claim, location: str, report: StageReport) -> None:
        with self._lock:
            file = self._guard(claim)
            self._move(file, State.QUARANTINED, FileEvent.QUARANTINED, seconds=report.seconds)
            file.quarantines += 1
            file.error = file.error and quarantine_reason(*file.error)
            file.quarantined_to, file.finished_at = location, self._clock()

    # --- rows ---

    def load_batch(
        self, files: Sequence[tuple[Claim, Sequence[Keyed], Load]]
    ) -> list[Touched] | None:
        with self._lock:
            keys = [k for _, batches, _ in files for _, found in batches for k in found.to_pylist()]
            if len(set(keys)) < len(keys) or not self.rows.keys().isdisjoint(keys):
                return None
            try:
                for claim, _, _ in files:
                    self._guard(claim)
            except Fenced:
                return None
            return [self.load(claim, batches, load).touched for claim, batches, load in files]

    def load(
        self,
        claim: Claim,
        batches: Iterable[Keyed],
        load: Load,
        closing: Callable[[], Load] | None = None,
    ) -> Loaded:
        given = [(silver, keys) for silver, keys in batches if len(silver)]
        load = closing() if closing is not None else load
        with self._lock:
            file = self._guard(claim)
            if load.covered or any(_contests(file, f, load) for f in self._files.values()):
                unsupported("load a file that contains readings of another file")
            self._count_months(given, load)
            span, offered, inserted, total = Span(), 0, 0, 0
            for silver, keys in given:
                offered, span = offered + len(silver), span.over(silver["ts"])
                new = self._insert(file.id, silver, keys)
                inserted += len(new)
                total += checksum(keys.take(new), silver["value"].take(new))
            duplicate = load.counts.duplicate + offered - inserted
            counts = replace(load.counts, loaded=inserted, duplicate=duplicate)
            assert counts.balanced, counts
            self._close(file, counts, load)
            file.span, file.checksum = span, total % MODULUS
            return Loaded(counts, Touched(file.source).over(span.low, span.high))

    def _close(self, file: File, counts: Counts, load: Load) -> None:
        for report in load.reports:
            self._add_event(
                file, FileEvent.STAGE_DONE, **report.event_facts, stage=str(report.stage)
            )
        file.stage, file.counts, file.error = Stage.LOAD, counts, None
        self._move(file, State.LOADED, FileEvent.LOADED, rows=counts.loaded)
        file.finished_at = self._clock()

    def _count_months(self, given: Sequence[Keyed], load: Load) -> None:
        new_months = NewMonths(load.months)
        for silver, _ in given:
            found = months_of(silver["ts"])
            new_months.count(found, found.keys() - self._months)
        for silver, _ in given:
            self._months |= months_of(silver["ts"]).keys()

    def _insert(self, file_id: int, silver: pa.RecordBatch, keys: pa.Array) -> pa.Array:
        """Insert readings. Returns the indices of the rows that did not exist yet."""
        new = []
        pairs = zip(keys.to_pylist(), silver["value"].to_pylist(), strict=True)
        for place, (key, value) in enumerate(pairs):
            if key not in self.rows:
                self.rows[key] = (file_id, value)
                new.append(place)
        return pa.array(new, pa.int64())

    def older_versions(self, claim: Claim) -> OlderVersions:
        return OlderVersions() if claim.version == 1 else unsupported("compare versions")

    def unpack(self, *_given: Any, **_named: Any) -> NoReturn:
        unsupported("process archives")

    # --- housekeeping ---

    def claim_turn(self, step: str, interval_seconds: float, early: float = 0.0) -> bool:
        with self._lock:
            until = self._turns.get(step)
            if until is not None and self._in(early) < until <= self._in(interval_seconds):
                return False
            self._turns[step] = self._in(interval_seconds)
            return True

    def replay(self, *_given: Any, **_named: Any) -> NoReturn:
        unsupported("replay or undo a file, or expire its data")

    undo = expire = expire_partitions = delete_history = replay

    # --- views ---

    def files(
        self,
        state: State | None = None,
        source: str | None = None,
        limit: int = 50,
        first_parts_only: bool = False,
    ) -> list[FileView]:
        with self._lock:
            found = [f for f in reversed(self._files.values()) if state in (None, f.state)]
            return [view_of(f) for f in found if source in (None, f.source)][:limit]

    def file(self, file_id: int) -> FileView | None:
        with self._lock:
            file = self._files.get(file_id)
            return None if file is None else view_of(file)

    def history(self, file_id: int) -> list[HistoryEvent]:
        with self._lock:
            return list(self._files[file_id].events) if file_id in self._files else []

    def totals(self) -> dict[str, Totals]:
        totals: dict[str, Totals] = {}
        with self._lock:
            for file in self._files.values():
                sums = Totals.of(file.state, 1, view_of(file).account)
                totals[file.source] = totals.get(file.source, Totals()) + sums
        return totals

    def matching(self, *_given: Any, **_named: Any) -> NoReturn:
        unsupported("answer this query")

    activity = large_files = named = select = members = matching


def _contests(file: File, other: File, load: Load) -> bool:
    """Whether both files may contain the same readings, so that the load must decide which file provides
    them. Files that only have equal dedupe keys do not count."""
    if other is file or other.source != file.source:
        return False
    if other.name == file.name:
        stands = other.version < file.version or other.state is State.LOADED
        return stands and load.on_change in (OnChange.MERGE, OnChange.SUPERSEDE)
    is_separate = (
        load.name_matters or spans_whole_source(file.source, load.identity) or not load.identity
    )
    return other.sha256 == file.sha256 and other.state is State.LOADED and not is_separate
