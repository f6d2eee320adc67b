"""The ledger in memory: the same guards and transitions, a lock in place of transactions."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate, takewhile
from typing import Any

import pyarrow as pa

from sensorflow.core.arrival import Arrival, Lane, Waiting, printable
from sensorflow.core.checksum import MODULUS, checksum
from sensorflow.core.events import FileEvent
from sensorflow.core.growth import HEADER
from sensorflow.core.heartbeat import Heartbeat
from sensorflow.core.months import NewMonths
from sensorflow.core.names import canonical
from sensorflow.core.readings import Span, months_of
from sensorflow.core.stability import same_state
from sensorflow.core.states import Stage, State, allowed
from sensorflow.core.touched import Touched
from sensorflow.errors import REMEDY, Code, Fenced, IntakeLost, SensorflowError
from sensorflow.ports.claims import BatchLimits, Claim, Claimed, Progress
from sensorflow.ports.files import ArrivalRecord, Counts, FileView, HistoryEvent, StageReport
from sensorflow.ports.intake import IntakeLease, Kind, OnChange, Registration, intake_lost
from sensorflow.ports.loading import Keyed, Load, Loaded, Older, Unloaded
from sensorflow.ports.maintenance import COLLECT_AGAIN, Expirable, Expired, Holds, Leftover, Undone
from sensorflow.ports.outbox import HIDDEN, HIDDEN_AFTER, PUBLISHING, Swept
from sensorflow.testing.ledger.archives import Archives
from sensorflow.testing.ledger.contest import Contest, cover
from sensorflow.testing.ledger.file import (
    OPEN,
    REPLAYED,
    SETTLED,
    File,
    claim_of,
    claimable,
    error_of,
    message_of,
    view_of,
)
from sensorflow.testing.ledger.gates import Gates
from sensorflow.testing.ledger.growing import Growing, GrowingFiles
from sensorflow.testing.ledger.heartbeats import Heartbeats
from sensorflow.testing.ledger.listing import Listing
from sensorflow.testing.ledger.outbox import Outbox

_NOBODY: tuple[object, datetime] = (None, datetime.min.replace(tzinfo=UTC))


class MemoryLedger(Archives, Gates, GrowingFiles, Heartbeats, Listing, Outbox):
    """See `ports.ledger.Ledger`. `clock` stands for the database's."""

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._turns: dict[str, datetime] = {}
        self._publisher: tuple[object, datetime] = _NOBODY
        self._files: dict[int, File] = {}
        self._months: set[date] = set()
        self._arrivals: list[tuple[str, bytes, str, Kind, int, datetime]] = []
        self._announced = {}
        self._lineage = {}
        self._growing: dict[int, Growing] = {}
        self._tokens = 0
        self._beats: dict[tuple[str, str], Heartbeat] = {}
        self._intake: dict[str, tuple[IntakeLease, datetime]] = {}
        self.rows: dict[bytes, tuple[int, float]] = {}
        """The readings: dedupe key -> (file id, value)."""
        self.readings: dict[bytes, pa.RecordBatch] = {}
        """All of each reading: a row of silver."""
        self.replacements: Counter[tuple[int, int]] = Counter()
        """(file id, id of the file that states its readings again) -> how many readings."""

    def all_files(self) -> list[File]:
        return list(self._files.values())

    def file_of(self, file_id: int) -> File:
        return self._files[file_id]

    # --- arrivals ---

    def register(self, arrival: Arrival, on_change: OnChange, name_matters: bool) -> Registration:
        return self.register_many([arrival], on_change, name_matters)[0]

    def take_intake(
        self, source: str, owner: str, process: str, lease: float, ended: str = ""
    ) -> IntakeLease:
        with self._lock:
            now = self._clock()
            held, until = self._intake.get(source, (None, now))
            if held is None or until <= now or held.process in (process, ended):
                self._tokens += 1
                held = IntakeLease(source, owner, process, self._tokens)
                self._intake[source] = (held, now + timedelta(seconds=lease))
            return held

    def renew_intake(self, held: IntakeLease, lease: float) -> None:
        with self._lock:
            self._require_intake(held)
            self._intake[held.source] = (held, self._clock() + timedelta(seconds=lease))

    def release_intake(self, held: IntakeLease) -> None:
        with self._lock, suppress(IntakeLost):
            self._require_intake(held)
            self._intake[held.source] = (held, self._clock())

    def _require_intake(self, held: IntakeLease) -> None:
        newest, _ = self._intake.get(held.source, (None, None))
        if newest is None or newest.token != held.token:
            raise intake_lost(held)

    def register_many(
        self,
        arrivals: Sequence[Arrival],
        on_change: OnChange,
        name_matters: bool,
        lease: IntakeLease | None = None,
    ) -> list[Registration]:
        with self._lock:
            if lease is not None:
                self._require_intake(lease)
            return [self._enter(arrival, on_change, name_matters) for arrival in arrivals]

    def _enter(self, arrival: Arrival, on_change: OnChange, name_matters: bool) -> Registration:
        done = self._register(arrival, on_change, name_matters)
        if (said := arrival.announcement) is not None:
            self._announce(done.file_id, arrival.source, arrival.key, said)
        return done

    def _register(self, arrival: Arrival, on_change: OnChange, name_matters: bool) -> Registration:
        for source, key, mark, _, file_id, _ in self._arrivals:
            same = (source, key) == (arrival.source, arrival.key)
            same = same and same_state(mark, arrival.fingerprint)
            file = self._files[file_id]
            if same and file.arrival.landed.sha256 == arrival.landed.sha256:
                return Registration(file_id, file.version, Kind.SEEN)
        if on_change is OnChange.MERGE:
            self._own(arrival)
        twin = self._twin(arrival, name_matters)
        kind = Kind.NEW if twin is None else Kind.ALIAS
        file = twin or self._add(arrival, on_change is OnChange.REJECT)
        file.expired.discard(str(Expirable.LANDING))
        self._arrive(file, arrival.key, arrival.fingerprint, kind)
        return Registration(file.id, file.version, kind)

    def _own(self, arrival: Arrival) -> None:
        """A name that was an alias, and has content of its own now: what it had is a version before."""
        name = canonical(arrival.key)
        named = [a for a in self._arrivals if (a[0], canonical(a[1])) == (arrival.source, name)]
        old = self._files[named[-1][4]] if named else None
        if old is None or old.name == name or old.state not in (*OPEN, State.LOADED):
            return
        if old.part is not None:
            return
        if old.arrival.landed.sha256 != arrival.landed.sha256:
            heir = self._add(replace(old.arrival, key=named[-1][1]), False)
            self._move_alias(old.id, heir.id, name)

    def _move_alias(self, old: int, heir: int, name: bytes) -> None:
        self._arrivals = [
            (*a[:3], Kind.NEW, heir, a[5]) if (canonical(a[1]), a[4]) == (name, old) else a
            for a in self._arrivals
        ]

    def _arrive(self, file: File, key: bytes, mark: str, kind: Kind) -> None:
        place = (file.arrival.source, key, mark, kind, file.id, self._clock())
        self._arrivals.append(place)

    def _named(self, source: str, key: bytes) -> list[File]:
        """The versions of a name, oldest first."""
        name = canonical(key)
        return [f for f in self._files.values() if (f.arrival.source, f.name) == (source, name)]

    def _twin(self, arrival: Arrival, name_matters: bool) -> File | None:
        name = canonical(arrival.key)
        newest = max((f.version for f in self._named(arrival.source, name)), default=0)
        found = [
            f
            for f in self._files.values()
            if f.arrival.source == arrival.source
            and f.arrival.landed.sha256 == arrival.landed.sha256
            and f.part is None
            and f.state in (*OPEN, State.LOADED)
            and (
                f.version == newest
                if f.name == name
                else not name_matters and newest == 0 and not f.replaced
            )
        ]
        return min(found, key=lambda f: (f.name != name, f.id), default=None)

    def _add(self, arrival: Arrival, refuse: bool) -> File:
        older = self._named(arrival.source, arrival.key)
        version = max((f.version for f in older), default=0) + 1
        file = File(len(self._files) + 1, arrival, version, Stage.VALIDATE, lane=arrival.lane)
        if refuse and any(f.state in (*OPEN, State.LOADED) for f in older):
            file.stage = Stage.QUARANTINE
            file.error = (str(Code.VERSION_REFUSED), REMEDY[Code.VERSION_REFUSED], {})
        self._files[file.id] = file
        self._tell(file, FileEvent.REGISTERED)
        return file

    def seen(self, source: str, key: bytes, fingerprint: str) -> bool:
        with self._lock:
            return any(
                a[:2] == (source, key) and same_state(a[2], fingerprint) for a in self._arrivals
            )

    def spelt_otherwise(self, source: str, key: bytes, sha256: bytes) -> bytes | None:
        with self._lock:
            newest = max(self._named(source, key), key=lambda f: f.version, default=None)
        if newest is None or newest.arrival.landed.sha256 == sha256:
            return None
        return None if newest.arrival.key == key else newest.arrival.key

    def has_content(self, source: str, key: bytes, sha256: bytes) -> bool:
        with self._lock:
            return any(
                a[:2] == (source, key) and self._files[a[4]].arrival.landed.sha256 == sha256
                for a in self._arrivals
            )

    # --- publishing ---

    @contextmanager
    def publishing(self, lease: float = PUBLISHING) -> Iterator[Callable[[], bool]]:
        mine = object()

        def is_mine() -> bool:
            with self._lock:
                if self._publisher[0] is mine:
                    self._publisher = (mine, self._clock() + timedelta(seconds=lease))
                return self._publisher[0] is mine

        with self._lock:
            if self._publisher[1] <= self._clock():
                self._publisher = (mine, self._clock() + timedelta(seconds=lease))
        try:
            yield is_mine
        finally:
            with self._lock:
                if self._publisher[0] is mine:
                    self._publisher = _NOBODY

    def unfinished(self, lane: Lane) -> int:
        with self._lock:
            return sum(f.state in OPEN and f.lane is lane for f in self._files.values())

    def published(self, sent: list[Waiting]) -> None:
        carriers = {w.file_id: w.sent_with for w in sent}
        with self._lock:
            for file, token in ((self._files[w.file_id], w.token) for w in sent):
                same = (file.token or 0) == token and file.state is State.PENDING
                if file.published_at is None and same:
                    file.published_at = self._clock()
                    file.sent_with = carriers[file.id]
                    self._tell(file, FileEvent.PUBLISHED)

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
            free = [f for f in found if f.stage in stages and claimable(f, now)]
            free = [f for f in free if not self._held_back(f)]
            free = [f for f in free if f.id == first or f.token is None]
            return self._claimed([self._take(f, lease, first) for f in free])

    def _claimed(self, claims: list[Claim]) -> Claimed:
        found = [self._files[claim.file_id] for claim in claims]
        return Claimed(claims, {f.id: Progress(f.counts, f.error, f.quarantines) for f in found})

    def claim_batch(
        self, file_id: int, stages: tuple[Stage, ...], owner: str, lease: float, limits: BatchLimits
    ) -> Claimed:
        with self._lock:
            file = self._files.get(file_id)
            if file is None:
                return Claimed([])
            ready = claimable(file, self._clock()) and not self._held_back(file)
            if file.stage not in stages or not ready:
                return Claimed([], {}, file.state, file.taken_with)
            along = self._along(file, limits)
            claims = [self._take(f, lease, file_id) for f in (file, *along)]
            return self._claimed(sorted(claims, key=lambda claim: claim.file_id))

    def _along(self, first: File, limits: BatchLimits) -> list[File]:
        """Files like the first that wait too, as many as the limits allow."""

        def plain(file: File) -> bool:
            new = file.token is None and file.version == 1 and file.stage is Stage.VALIDATE
            return new and file.arrival.landed.size < limits.file_bytes

        source = first.arrival.source
        if not plain(first) or source not in limits.sources:
            return []
        found = [
            f
            for f in self._files.values()
            if f is not first
            and f.state is State.PENDING
            and f.published_at
            and plain(f)
            and (f.arrival.source, f.lane) == (source, first.lane)
        ]
        found.sort(key=lambda f: (f.published_at or self._clock(), f.id))
        found = found[: limits.files * limits.share]
        room = limits.total_bytes - first.arrival.landed.size
        sizes = accumulate(f.arrival.landed.size for f in found)
        most = -(-len(found) // limits.share)
        return [f for f, size in zip(found[:most], sizes, strict=False) if size <= room]

    def _take(self, file: File, lease: float, first: int) -> Claim:
        now, fresh = self._clock(), file.token is None
        self._tokens += 1
        file.taken_with = None if file.id == first else first
        why = file.taken_with and f"together with file {first}"
        self._move(file, State.RUNNING, FileEvent.CLAIMED, count=1, why=why)
        file.token = self._tokens
        file.lease_until = now + timedelta(seconds=lease)
        file.not_before = None
        file.published_at = file.published_at or now
        oldest, part = self._named(file.arrival.source, file.name)[0], self.part_of(file)
        return replace(claim_of(file), fresh=fresh, first_key=oldest.arrival.key, part=part)

    def _guard(self, claim: Claim) -> File:
        file = self._files[claim.file_id]
        if file.token != claim.token or file.state is not State.RUNNING:
            raise Fenced(f"file {claim.file_id} was taken by another worker", token=claim.token)
        return file

    def _move(self, file: File, to: State, what: FileEvent, count: int = 0, **facts: Any) -> None:
        assert allowed(file.state, to), (file.state, to)
        before, file.state = file.state, to
        file.attempts += count
        file.lease_until = None
        self._tell(file, what, from_state=str(before), to_state=str(to), **facts)

    def _tell(self, file: File, what: FileEvent, **facts: Any) -> None:
        place = {"at": self._clock(), "what": str(what), "stage": str(file.stage), "who": "memory"}
        none = dict.fromkeys(("from_state", "to_state", "why", "seconds", "rows"))
        event = {**none, **place, "attempt": file.attempts, **facts}
        file.events.append(HistoryEvent(**event))

    def renew(self, claim: Claim, lease: float) -> None:
        with self._lock:
            self._guard(claim).lease_until = self._clock() + timedelta(seconds=lease)

    def advance(
        self, claim: Claim, to: Stage, counts: Counts, report: StageReport, published: bool
    ) -> None:
        with self._lock:
            file = self._guard(claim)
            facts: dict[str, Any] = {"seconds": report.seconds, "rows": report.rows}
            facts["why"] = report.note or None
            self._move(file, State.PENDING, FileEvent.STAGE_DONE, **facts)
            file.stage, file.attempts, file.counts, file.error = to, 0, counts, None
            file.retries = 0
            file.published_at = self._clock() if published else None
            file.sent_with = None

    def release(self, claim: Claim, error: SensorflowError, delay: float, burned: bool) -> None:
        with self._lock:
            file = self._files[claim.file_id]
            if file.state is not State.PENDING or file.token != claim.token:
                file = self._guard(claim)
            elif file.stage is not claim.stage:
                raise Fenced(f"file {claim.file_id} is past {claim.stage}", token=claim.token)
            self._move(file, State.PENDING, FileEvent.RETRIED, why=str(error))
            file.attempts = claim.attempt - (0 if burned else 1)
            file.retries += 1
            file.published_at = None
            file.not_before = self._clock() + timedelta(seconds=delay)
            file.error = error_of(error)

    def given_back_lately(self, code: Code, within: float) -> bool:
        with self._lock:
            after = self._clock() - timedelta(seconds=within)
            return any(
                f.state is State.RUNNING
                or (f.state is State.PENDING and f.not_before is not None and f.not_before > after)
                for f in self._files.values()
                if f.error is not None and f.error[0] == code
            )

    def condemn(self, claim: Claim, error: SensorflowError, counts: Counts | None = None) -> State:
        with self._lock:
            file = self._guard(claim)
            if file.previous is not None:
                return self._give_up(file, error)
            self._move(file, State.PENDING, FileEvent.CONDEMNED, why=str(error))
            file.stage, file.attempts, file.published_at = Stage.QUARANTINE, 0, None
            file.retries = 0
            file.counts, file.error = counts or file.counts, error_of(error)
            return State.PENDING

    def _give_up(self, file: File, error: SensorflowError) -> State:
        assert file.previous is not None
        self._move(file, State.LOADED, FileEvent.REPLAY_FAILED, why=str(error))
        (file.counts, file.finished_at), file.previous = file.previous, None
        file.stage, file.attempts, file.retries = Stage.LOAD, 0, 0
        file.error = error_of(error)
        return State.LOADED

    def quarantined(self, claim: Claim, where: str, report: StageReport) -> None:
        with self._lock:
            file = self._guard(claim)
            self._move(file, State.QUARANTINED, FileEvent.QUARANTINED, seconds=report.seconds)
            file.quarantines += 1
            file.quarantined_to, file.finished_at, file.tidy = where, self._clock(), False

    def load_together(
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

    def _count_months(self, given: Sequence[Keyed], load: Load) -> None:
        made = NewMonths(load.months)
        for silver, _ in given:
            found = months_of(silver["ts"])
            new = found.keys() - self._months
            made.count(found, new)
            self._months |= new

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
            self._count_months(given, load)
            why = f"by version {claim.version}, file {claim.file_id}"
            replaced = cover(self, load.covered, claim.file_id, why)
            if claim.version > 1 and load.on_change is OnChange.SUPERSEDE:
                replaced += self._supersede(claim, why)
            before = self._take_out(file) if claim.again else 0
            contest, file.span, file.identity = Contest(self, file, load), Span(), load.identity
            offered = inserted = total = 0
            for silver, keys in given:
                offered += len(silver)
                file.span = file.span.over(silver["ts"])
                silver, keys = contest.decide(silver, keys)
                new = self._insert(file.id, silver, keys)
                inserted += len(new)
                kept = pa.array(new, pa.int64())
                total += checksum(keys.take(kept), silver["value"].take(kept))
            contest.settle()
            lost = file.replaced = contest.lost.total()
            loaded = inserted + lost
            duplicate = load.counts.duplicate + offered - loaded
            counts = replace(load.counts, loaded=loaded, duplicate=duplicate)
            assert counts.balanced, counts
            file.counts = counts
            for report in load.reports:
                facts = {"seconds": report.seconds, "rows": report.rows, "why": report.note or None}
                self._tell(file, FileEvent.STAGE_DONE, **{**facts, "stage": str(report.stage)})
            file.stage = Stage.LOAD
            self._move(file, State.LOADED, FileEvent.LOADED, rows=loaded)
            file.checksum, file.finished_at, file.error = total % MODULUS, self._clock(), None
            file.previous, file.tidy = None, file.tidy and not lost
            file.expired &= {"landing"}
            if before > inserted:
                self.return_replaced(file.id)
            garbage = bool(replaced or lost or contest.taken)
            counts = replace(counts, replaced=lost)
            kept = self.older(claim).loaded if load.on_change is OnChange.MERGE else None
            touched = Touched(file.arrival.source).over(file.span.low, file.span.high)
            return Loaded(counts, touched, garbage, contest.taken.total(), kept)

    def older(self, claim: Claim) -> Older:
        with self._lock:
            named = self._named(claim.source, claim.key)
            named = sorted(
                (f for f in named if f.version < claim.version), key=lambda f: -f.version
            )
            last = max((f.version for f in named if f.state is State.LOADED), default=0)
            unloaded = [
                Unloaded(f.id, f.arrival.landed.size, f.arrival.landed.sha256)
                for f in named
                if f.version > last
                and f.state in (State.PENDING, State.QUARANTINED)
                and f.previous is None
                and f.arrival.landed.size <= claim.size
                and f.part is None
            ]
            served = (f for f in named if f.state is State.LOADED and f.counts.loaded > f.replaced)
            found = next(served, None)
            return Older(tuple(unloaded[:100]), None if found is None else view_of(found))

    def _take_out(self, file: File) -> int:
        """Remove the rows of a file; returns how many."""
        before = len(self.rows)
        self.rows = {k: row for k, row in self.rows.items() if row[0] != file.id}
        self.readings = {k: row for k, row in self.readings.items() if k in self.rows}
        return before - len(self.rows)

    def _insert(self, file_id: int, silver: pa.RecordBatch, keys: pa.Array) -> list[int]:
        """The places of the rows that were not there yet."""
        new = []
        pairs = zip(keys.to_pylist(), silver["value"].to_pylist(), strict=True)
        for place, (key, value) in enumerate(pairs):
            if key not in self.rows:
                self.rows[key] = (file_id, value)
                self.readings[key] = silver.slice(place, 1)
                new.append(place)
        return new

    def _supersede(self, claim: Claim, why: str) -> int:
        replaced = 0
        for old in self._named(claim.source, claim.key):
            if old.version >= claim.version or not allowed(old.state, State.SUPERSEDED):
                continue
            self.supersede(old, why)
            replaced += 1
        return replaced

    def supersede(self, old: File, why: str) -> None:
        self._take_out(old)
        undone = old.state is State.UNDONE
        self._move(old, State.SUPERSEDED, FileEvent.SUPERSEDED, why=why)
        old.finished_at, old.previous, old.tidy = self._clock(), None, False
        self._forget_replacements(old)
        self.reevaluate(old.id, old.name)
        if not undone:
            self.pass_on(old)

    def _forget_replacements(self, file: File) -> None:
        file.replaced = 0
        for pair in [pair for pair in self.replacements if pair[0] == file.id]:
            del self.replacements[pair]

    def reevaluate(self, by: int, name: bytes) -> None:
        """Files under other names than `name` whose readings a file held go through again."""
        for number, holder in list(self.replacements):
            file = self._files[number]
            if holder == by and file.state is State.LOADED and file.name != name:
                self.replay(number, file.profile)

    def return_replaced(self, by: int, along: Sequence[int] = ()) -> None:
        """Files whose readings a file had replaced go through again, but for those in `along`."""
        for (number, holder), rows in list(self.replacements.items()):
            file = self._files[number]
            if holder == by and number not in along and (file.state is State.LOADED or not rows):
                self._replay(file, file.profile)

    def pass_on(self, old: File) -> None:
        """The name of an alias takes over what its twin no longer holds."""
        if old.part is not None:
            return
        latest = {(a[0], canonical(a[1])): a[4] for a in self._arrivals}
        for source, key, mark, _, file_id, _ in list(self._arrivals):
            name = canonical(key)
            if file_id == old.id and name != old.name and latest[source, name] == old.id:
                heir = self._add(replace(old.arrival, key=key, fingerprint=mark), False)
                self._arrivals = [
                    (a[0], a[1], a[2], Kind.NEW if canonical(a[1]) == name else a[3], heir.id, a[5])
                    if a[4] == old.id and canonical(a[1]) != old.name
                    else a
                    for a in self._arrivals
                ]
                return

    def note(self, file: File, what: FileEvent, **facts: Any) -> None:
        self._tell(file, what, **facts)

    def replay(self, file_id: int, profile: str | None = None) -> bool:
        with self._lock:
            file = self._files.get(file_id)
            return file is not None and file.state in REPLAYED and self._replay(file, profile)

    def _replay(self, file: File, profile: str | None) -> bool:
        if Expirable.LANDING in file.expired:
            return False
        if file.state is State.LOADED:
            file.previous = (file.counts, file.finished_at)
        self._move(file, State.PENDING, FileEvent.REPLAYED)
        file.stage, file.attempts, file.counts = Stage.VALIDATE, 0, Counts()
        file.retries, file.lane, file.profile = 0, Lane.BACKFILL, profile
        file.published_at = file.not_before = file.finished_at = file.error = None
        return True

    def undo(self, file_id: int, why: str, along: Sequence[int] = ()) -> Undone | None:
        with self._lock:
            file = self._files.get(file_id)
            waiting = file is not None and file.state is State.PENDING and file.previous
            if file is None or not (file.state is State.LOADED or waiting):
                return None
            if file.previous is not None:
                (file.counts, _), file.previous = file.previous, None
            rows = self._take_out(file)
            self._move(file, State.UNDONE, FileEvent.UNDONE, rows=rows, why=why)
            file.finished_at, file.tidy = self._clock(), False
            for other in list(self._files.values()):
                if self._shares(other, file) and other.id not in along:
                    self.replay(other.id)
            self.return_replaced(file.id, along)
            self._forget_replacements(file)
            touched = Touched(file.arrival.source).over(file.span.low, file.span.high)
            return Undone(rows, touched)

    @staticmethod
    def _shares(other: File, file: File) -> bool:
        same = (other.arrival.source, other.identity) == (file.arrival.source, file.identity)
        if not same or other.state is not State.LOADED or not other.counts.duplicate:
            return False
        if other.part is not None and file.part is not None and other.part.root == file.part.root:
            return True
        a, b = other.span, file.span
        return None not in (a.low, b.low) and a.low <= b.high and b.low <= a.high  # type: ignore[operator]

    def tidy(self, remove: Callable[[Leftover], None], limit: int = 100) -> int:
        done, before = 0, self._clock() - timedelta(seconds=COLLECT_AGAIN)
        with self._lock:
            for file in self._files.values():
                if file.tidy or file.state in OPEN or done == limit:
                    continue
                last = file.state is State.LOADED or (file.finished_at or before) <= before
                if not last and file.collected_for == file.finished_at:
                    continue
                remove(self._leftover(file))
                file.tidy, file.collected_for, done = last, file.finished_at, done + 1
        return done

    def collect_again(self, file_id: int) -> None:
        with self._lock:
            self._files[file_id].tidy, self._files[file_id].collected_for = False, None

    def _leftover(self, file: File) -> Leftover:
        name = file.arrival.landed.name
        needed = any(
            f.arrival.landed.name == name and Expirable.LANDING not in f.expired
            for f in self._files.values()
        )
        return Leftover(
            file_id=file.id,
            source=file.arrival.source,
            version=file.version,
            received_at=file.arrival.landed_at,
            sensor_type=file.arrival.sensor_type,
            state=file.state,
            expired=frozenset(file.expired),
            landing=None if needed else name,
            counts=replace(file.counts, replaced=file.replaced),
            identity=file.identity,
            holds=self._holds(file) if file.state is State.LOADED and file.replaced else None,
        )

    def _holds(self, file: File) -> Holds:
        def holds(_: pa.Array, keys: pa.Array) -> pa.Array:
            return pa.array([self.rows.get(k, (0, 0.0))[0] == file.id for k in keys.to_pylist()])

        return holds

    def expire(self, source: str, layer: Expirable, age: float, limit: int = 1000) -> Expired:
        with self._lock:
            cut, done = self._clock() - timedelta(seconds=age), 0
            touched = Touched(source)
            for file in self._files.values():
                since = file.span.high if layer is Expirable.ROWS else file.finished_at
                wanted = (State.LOADED,) if layer is Expirable.ROWS else SETTLED
                old = file.state in wanted and since is not None and since < cut
                head = file.part is not None and file.part.byte_offset < HEADER
                old = old and not (head and layer is Expirable.LANDING)
                if file.arrival.source != source or not old or layer in file.expired:
                    continue
                if done == limit:
                    break
                if layer is Expirable.ROWS:
                    self._take_out(file)
                    touched = touched.over(file.span.low, file.span.high)
                file.expired.add(str(layer))
                file.tidy, done = file.tidy and layer is Expirable.ROWS, done + 1
                self._tell(file, FileEvent.EXPIRED, why=str(layer))
            return Expired(done, touched)

    def take_turn(self, step: str, every: float, anyway: bool = False) -> bool:
        with self._lock:
            now = self._clock()
            if self._turns.get(step, now) > now and not anyway:
                return False
            self._turns[step] = now + timedelta(seconds=every)
            return True

    def forget(self, source: str, age: float, limit: int = 10000) -> int:
        with self._lock:
            cut, done = self._clock() - timedelta(seconds=age), 0
            for file in self._files.values():
                if file.arrival.source != source or file.state in OPEN:
                    continue
                old = list(takewhile(lambda e: e.at < cut, file.events[:-1]))
                done, file.events = done + len(old), file.events[len(old) :]
            return done

    def sweep(self, stale_after: float, depth: int | None, grace: float = 0.0) -> Swept:
        # grace: a ledger in memory is never away while its workers live
        with self._lock:
            now, expired, stale = self._clock(), 0, 0
            for file in self._files.values():
                ended = file.lease_until is not None and file.lease_until < now
                if file.state is State.RUNNING and ended:
                    self._move(file, State.PENDING, FileEvent.LEASE_EXPIRED)
                    file.published_at = None
                    expired += 1
            out = [f for f in self._files.values() if f.state is State.PENDING and f.published_at]
            lost = len({message_of(f) for f in out}) - (depth or 0)
            if lost < 0:
                stale_after, lost = stale_after * HIDDEN_AFTER, HIDDEN
            old = [f for f in out if (f.published_at or now) < now - timedelta(seconds=stale_after)]
            old.sort(key=lambda f: (f.published_at or now, message_of(f)))
            messages = list(dict.fromkeys(map(message_of, old)))[:lost]
            for file in (f for f in old if message_of(f) in messages):
                self._move(file, State.PENDING, FileEvent.MESSAGE_MISSING)
                file.published_at = None
                stale += 1
            return Swept(expired, stale)

    # --- views ---

    def file(self, file_id: int) -> FileView | None:
        with self._lock:
            file = self._files.get(file_id)
            return None if file is None else view_of(file)

    def named(self, name: str, source: str | None = None) -> list[FileView]:
        wanted = canonical(name.encode("utf-8", "surrogateescape"))
        with self._lock:
            own = [
                view_of(file)
                for file in self._files.values()
                if wanted == file.name or name == printable(file.arrival.key)
                if source in (None, file.arrival.source)
            ]
            known = [a for a in self._arrivals if canonical(a[1]) == wanted and a[3] is Kind.ALIAS]
            aliases = {a[4] for a in known if source in (None, a[0])}
            return own or [view_of(self._files[number]) for number in sorted(aliases)]

    def select(
        self, states: tuple[str, ...], source: str | None = None, since: datetime | None = None
    ) -> list[FileView]:
        with self._lock:
            return [
                view_of(file)
                for file in self._files.values()
                if file.state in states
                and source in (None, file.arrival.source)
                and (since is None or file.arrival.landed_at >= since)
            ]

    def history(self, file_id: int) -> list[HistoryEvent]:
        with self._lock:
            return list(self._files[file_id].events) if file_id in self._files else []

    def arrivals(self, file_id: int) -> list[ArrivalRecord]:
        with self._lock:
            return [
                ArrivalRecord(
                    at, str(kind), printable(key), mark, self._lineage.get((source, key, mark))
                )
                for source, key, mark, kind, owner, at in self._arrivals
                if owner == file_id
            ]
