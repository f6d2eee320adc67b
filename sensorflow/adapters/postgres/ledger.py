"""The ledger in PostgreSQL. Guarded UPDATEs decide; rows and their state change together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from sensorflow.adapters.postgres import retention, reversal
from sensorflow.adapters.postgres.archives import Archives
from sensorflow.adapters.postgres.connect import engine_of, translated
from sensorflow.adapters.postgres.gates import Gates, announce
from sensorflow.adapters.postgres.growing import GrowingFiles
from sensorflow.adapters.postgres.heartbeats import Heartbeats
from sensorflow.adapters.postgres.history import add_event
from sensorflow.adapters.postgres.indexing import Wanted
from sensorflow.adapters.postgres.intake import holds_intake, name_of
from sensorflow.adapters.postgres.listing import Listing
from sensorflow.adapters.postgres.outbox import Outbox
from sensorflow.adapters.postgres.publishing import publishing
from sensorflow.adapters.postgres.queries import guarded, run
from sensorflow.adapters.postgres.rows import (
    claim_of,
    count_values,
    error_values,
    facts_of,
    unclaimed_of,
    view_of,
)
from sensorflow.core.arrival import Arrival, Lane, Waiting, printable
from sensorflow.core.names import canonical
from sensorflow.core.states import Stage, State
from sensorflow.errors import REMEDY, Code, Fenced, SensorflowError
from sensorflow.ports.claims import BatchLimits, Claim, Claimed
from sensorflow.ports.files import Counts, FileView, StageReport
from sensorflow.ports.intake import IntakeLease, Kind, OnChange, Registration, intake_lost
from sensorflow.ports.loading import Keyed, Load, Loaded, Older, Unloaded
from sensorflow.ports.maintenance import Expirable, Leftover
from sensorflow.ports.outbox import HIDDEN, HIDDEN_AFTER, PUBLISHING, Swept

if TYPE_CHECKING:
    from sensorflow.adapters.postgres.loading import Months

ALIASES = 3
"""Arrivals of a group that are not plain, from which on it pays to look for aliases among them together."""
_ALIAS = ("keys", "names", "key_texts", "sha256s", "fingerprints")
ALONE = BatchLimits(sources=(), file_bytes=0, total_bytes=0, files=0, share=1)


class PostgresLedger(Archives, Gates, GrowingFiles, Heartbeats, Listing, Outbox):
    """See `ports.ledger.Ledger`. Safe to share between threads; make one in each process, after a fork.

    who: the name under which this process writes history. deferred: how the settings say that the
    database guards its readings, see `indexing`; a load raises Transient INDEX_DIFFERS if it does not.
    """

    def __init__(self, url: str, who: str, pool: int = 2, deferred: bool = False) -> None:
        self._engine = engine_of(url, pool_size=pool, max_overflow=2)
        self._at_once = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._who = who
        self._months: Months | None = None
        self._wanted = Wanted(deferred)

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        with translated(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _statement(self) -> Iterator[sa.Connection]:
        """For one statement, which is a transaction of its own: one round trip in place of three."""
        with translated(), self._at_once.connect() as connection:
            try:
                yield connection
            except sa.exc.DBAPIError:  # what it has prepared may be what is wrong
                connection.invalidate()
                raise

    def _event(self, c: sa.Connection, file_id: int, what: str, stage: str, **facts: Any) -> None:
        add_event(c, self._who, file_id, what, stage, **facts)

    def register(self, arrival: Arrival, on_change: OnChange, name_matters: bool) -> Registration:
        return self.register_many([arrival], on_change, name_matters)[0]

    def take_intake(
        self, source: str, owner: str, process: str, lease: float, ended: str = ""
    ) -> IntakeLease:
        who = {"source": source, "process": process, "ended": ended}
        with self._statement() as c:
            holder = run(c, "intake_lease", **who).first()
        if holder is None or holder.vacant:
            with self._transaction() as c:
                run(c, "lock_source", source=source)
                run(c, "take_intake", **who, owner=owner, lease=lease)
                holder = run(c, "intake_lease", **who).one()
        return IntakeLease(source, holder.owner, holder.process, holder.token)

    def renew_intake(self, held: IntakeLease, lease: float) -> None:
        with self._statement() as c:
            facts = {"source": held.source, "token": held.token, "lease": lease}
            if run(c, "renew_intake", **facts).rowcount != 1:
                raise intake_lost(held)

    def release_intake(self, held: IntakeLease) -> None:
        with self._statement() as c:
            run(c, "release_intake", source=held.source, token=held.token)

    def register_many(
        self,
        arrivals: Sequence[Arrival],
        on_change: OnChange,
        name_matters: bool,
        lease: IntakeLease | None = None,
    ) -> list[Registration]:
        with self._transaction() as c:
            run(c, "lock_source", source=arrivals[0].source)
            if lease is not None and not holds_intake(c, lease):
                raise intake_lost(lease)
            done = self._register_all(c, arrivals, on_change, name_matters)
            announce(c, arrivals, done)
            return done

    def _register_all(
        self,
        c: sa.Connection,
        arrivals: Sequence[Arrival],
        on_change: OnChange,
        name_matters: bool,
    ) -> list[Registration]:
        """After lock_source."""
        known = self._add_many(c, arrivals, on_change, name_matters)
        return [
            known.get(place) or self._register(c, arrival, on_change, name_matters)
            for place, arrival in enumerate(arrivals, 1)
        ]

    def _add_many(
        self,
        c: sa.Connection,
        arrivals: Sequence[Arrival],
        on_change: OnChange,
        name_matters: bool,
    ) -> dict[int, Registration]:
        """By their place, from 1 on, those that are neither a version nor a twin of anything, and those
        that are an alias of one that was there or came with them, and nothing else."""
        source = arrivals[0].source
        facts = [{**facts_of(a), "name": name_of(c, source, a.key)} for a in arrivals]
        columns = {f"{name}s": [row[name] for row in facts] for name in facts[0]}
        given = {"source": source, "who": self._who, "on_change": str(on_change)}
        rows = run(c, "add_plain", **given, **columns).all()
        done = {row.place: Registration(row.id, 1, Kind.NEW) for row in rows}
        if name_matters or len(arrivals) - len(done) < ALIASES:
            return done
        left = [n for n in range(len(arrivals)) if n + 1 not in done]
        some = {
            name: [values[n] for n in left] for name, values in columns.items() if name in _ALIAS
        }
        for row in run(c, "add_aliases", source=source, **some):
            done[left[row.place - 1] + 1] = Registration(row.id, row.version, Kind.ALIAS)
        return done

    def _register(
        self, c: sa.Connection, arrival: Arrival, on_change: OnChange, name_matters: bool
    ) -> Registration:
        place = {"source": arrival.source, "key": arrival.key}
        sha = arrival.landed.sha256
        seen = run(c, "seen", **place, fingerprint=arrival.fingerprint, sha256=sha).first()
        if seen is not None:
            return Registration(seen.file_id, seen.version, Kind.SEEN)
        name = name_of(c, arrival.source, arrival.key)
        known = {"source": arrival.source, "name": name or arrival.key}
        if on_change is OnChange.MERGE:
            self._own(c, arrival, name)
        twin = run(c, "twin", **known, sha256=sha, name_matters=name_matters).first()
        kind = Kind.NEW if twin is None else Kind.ALIAS
        row = twin or self._add(c, arrival, on_change, name)
        if twin is not None:
            run(c, "landed_again", id=row.id)
        run(
            c,
            "add_arrival",
            **place,
            file_id=row.id,
            name=name,
            key_text=printable(arrival.key),
            fingerprint=arrival.fingerprint,
            kind=kind,
        )
        return Registration(row.id, row.version, kind)

    def _own(self, c: sa.Connection, arrival: Arrival, name: bytes | None) -> None:
        """A name that was an alias, and has content of its own now: what it had is a version before."""
        known = {"source": arrival.source, "name": name or arrival.key}
        row = run(c, "alias_of", **known, sha256=arrival.landed.sha256).first()
        if row is None:
            return
        named = {"key": row.key, "key_text": row.key_text, "name": row.name}
        heir = run(c, "take_over", id=row.id, **named).scalar_one()
        run(c, "move_alias", id=row.id, heir=heir, name=known["name"])
        why = f"the name was an alias of file {row.id}, and has content of its own now"
        self._event(c, heir, "registered", Stage.VALIDATE, why=why)

    def _add(
        self, c: sa.Connection, arrival: Arrival, on_change: OnChange, name: bytes | None
    ) -> Any:
        facts = {**facts_of(arrival), "name": name}
        del facts["fingerprint"]
        row = run(
            c,
            "add_file",
            source=arrival.source,
            on_change=str(on_change),
            refuse=on_change is OnChange.REJECT,
            refusal_code=str(Code.VERSION_REFUSED),
            refusal=REMEDY[Code.VERSION_REFUSED],
            **facts,
        ).one()
        self._event(c, row.id, "registered", row.stage)
        return row

    def seen(self, source: str, key: bytes, fingerprint: str) -> bool:
        with self._statement() as c:
            place = {"source": source, "key": key, "fingerprint": fingerprint}
            return run(c, "seen", **place, sha256=None).first() is not None

    def spelt_otherwise(self, source: str, key: bytes, sha256: bytes) -> bytes | None:
        with self._statement() as c:
            name = name_of(c, source, key) or key
            facts = {"source": source, "key": key, "name": name, "sha256": sha256}
            found = run(c, "spelt_otherwise", **facts).scalar()
        return None if found is None else bytes(found)

    def has_content(self, source: str, key: bytes, sha256: bytes) -> bool:
        with self._statement() as c:
            found = run(c, "has_content", source=source, key=key, sha256=sha256)
            return bool(found.scalar_one())

    def publishing(self, lease: float = PUBLISHING) -> AbstractContextManager[Callable[[], bool]]:
        return publishing(self._statement, self._who, lease)

    def unfinished(self, lane: Lane) -> int:
        with self._transaction() as c:
            return int(run(c, "unfinished", lane=lane).scalar_one())

    def published(self, sent: list[Waiting]) -> None:
        ids, tokens = [w.file_id for w in sent], [w.token for w in sent]
        carriers = [w.sent_with for w in sent]
        with self._statement() as c:
            run(c, "published", ids=ids, tokens=tokens, carriers=carriers, who=self._who)

    def claim(
        self, file_id: int, stages: tuple[Stage, ...], owner: str, lease: float
    ) -> Claim | None:
        return next(iter(self.claim_many([file_id], stages, owner, lease)), None)

    def claim_many(
        self, file_ids: Sequence[int], stages: tuple[Stage, ...], owner: str, lease: float
    ) -> list[Claim]:
        return self._claim(file_ids, stages, owner, lease, ALONE).claims

    def claim_batch(
        self, file_id: int, stages: tuple[Stage, ...], owner: str, lease: float, limits: BatchLimits
    ) -> Claimed:
        return self._claim([file_id], stages, owner, lease, limits)

    def _claim(
        self,
        file_ids: Sequence[int],
        stages: tuple[Stage, ...],
        owner: str,
        lease: float,
        limits: BatchLimits,
    ) -> Claimed:
        facts = {"stages": [str(stage) for stage in stages], "owner": owner, "lease": lease}
        facts |= {**vars(limits), "sources": list(limits.sources)}
        with self._statement() as c:
            rows = run(c, "claim", ids=list(file_ids), first=file_ids[0], **facts).all()
        if rows[0].id is None:
            return unclaimed_of(rows[0])
        return Claimed([claim_of(row) for row in rows])

    def renew(self, claim: Claim, lease: float) -> None:
        with self._statement() as c:
            guarded(c, "renew", claim, lease=lease)

    def advance(
        self, claim: Claim, to: Stage, counts: Counts, report: StageReport, published: bool
    ) -> None:
        with self._transaction() as c:
            facts = {"to": str(to), "published": published, **count_values(counts)}
            guarded(c, "advance", claim, **facts)
            self._event(
                c,
                claim.file_id,
                "stage done",
                report.stage,
                from_state="running",
                to_state="pending",
                attempt=claim.attempt,
                seconds=report.seconds,
                rows=report.rows,
                why=report.note or None,
            )

    def release(self, claim: Claim, error: SensorflowError, delay: float, burned: bool) -> None:
        with self._transaction() as c:
            facts = {"attempt": claim.attempt, "stage": str(claim.stage), "burned": burned}
            guarded(c, "release", claim, delay=delay, **facts, **error_values(error))
            self._back(c, claim, "will be tried again", error)

    def given_back_lately(self, code: Code, within: float) -> bool:
        with self._statement() as c:
            found = run(c, "given_back_lately", code=str(code), within=within)
            return bool(found.scalar_one())

    def condemn(self, claim: Claim, error: SensorflowError, counts: Counts) -> State:
        with self._transaction() as c:
            if claim.again:
                return self._give_up(c, claim, error)
            guarded(c, "condemn", claim, **count_values(counts), **error_values(error))
            self._back(c, claim, "condemned", error)
            return State.PENDING

    def _give_up(self, c: sa.Connection, claim: Claim, error: SensorflowError) -> State:
        """A replay that does not lead to a load leaves the file as it was loaded before."""
        guarded(c, "give_up", claim, **error_values(error))
        steps = {"from_state": "running", "to_state": "loaded", "attempt": claim.attempt}
        self._event(c, claim.file_id, "replay failed", claim.stage, **steps, why=str(error))
        return State.LOADED

    def _back(self, c: sa.Connection, claim: Claim, what: str, error: SensorflowError) -> None:
        self._event(
            c,
            claim.file_id,
            what,
            claim.stage,
            from_state="running",
            to_state="pending",
            attempt=claim.attempt,
            why=str(error),
        )

    def quarantined(self, claim: Claim, where: str, report: StageReport) -> None:
        with self._transaction() as c:
            guarded(c, "quarantined", claim, where=where)
            self._event(
                c,
                claim.file_id,
                "quarantined",
                Stage.QUARANTINE,
                from_state="running",
                to_state="quarantined",
                attempt=claim.attempt,
                why=claim.error[0] if claim.error else None,
                seconds=report.seconds,
            )

    def load(
        self,
        claim: Claim,
        batches: Iterable[Keyed],
        load: Load,
        closing: Callable[[], Load] | None = None,
    ) -> Loaded:
        from sensorflow.adapters.postgres import loading  # Arrow: only who loads has it

        self._months = self._months or loading.Months(self._engine)
        months, wanted = self._months, self._wanted
        with self._transaction() as c:
            return loading.load(c, self._who, claim, batches, load, closing, months, wanted)

    def load_together(self, files: Sequence[tuple[Claim, Sequence[Keyed], Load]]) -> bool:
        from sensorflow.adapters.postgres import loading, together

        self._months = self._months or loading.Months(self._engine)
        try:
            with self._transaction() as c:
                together.load(c, self._who, files, self._months, self._wanted)
        except (together.Apart, Fenced):
            return False
        return True

    def older(self, claim: Claim) -> Older:
        place = {"source": claim.source, "name": claim.known_as, "version": claim.version}
        with self._transaction() as c:
            unloaded = run(c, "unloaded_versions", **place, size=claim.size).all()
            before = run(c, "predecessor", **place).mappings().first()
        waiting = tuple(Unloaded(row.id, row.size, bytes(row.sha256)) for row in unloaded)
        return Older(waiting, None if before is None else view_of(before))

    def replay(self, file_id: int, profile: str | None = None) -> bool:
        with self._transaction() as c:
            return reversal.replay(c, self._who, file_id, profile, None)

    def undo(self, file_id: int, why: str, along: Sequence[int] = ()) -> int | None:
        with self._transaction() as c:
            return reversal.undo(c, self._who, file_id, why, along)

    def tidy(self, remove: Callable[[Leftover], None], limit: int = 100) -> int:
        after, done = 0, 0
        while done < limit:
            with self._transaction() as c:
                found = retention.tidy_one(c, remove, after)
            if found is None:
                break
            after, done = found, done + 1
        return done

    def collect_again(self, file_id: int) -> None:
        with self._statement() as c:
            run(c, "collect_again", id=file_id)

    def expire(self, source: str, layer: Expirable, age: float, limit: int = 1000) -> int:
        with self._transaction() as c:
            return retention.expire(c, self._who, source, layer, age, limit)

    def forget(self, source: str, age: float, limit: int = 10000) -> int:
        with self._transaction() as c:
            return int(run(c, "forget", source=source, age=age, limit=limit).scalar_one())

    def sweep(self, stale_after: float, depth: int | None, grace: float = 0.0) -> Swept:
        with self._transaction() as c:
            expired = int(run(c, "expire", grace=grace, who=self._who).scalar_one())
        with self._transaction() as c:
            waiting = int(run(c, "waiting_messages").scalar_one())
            lost = waiting - (depth or 0)
            if lost == 0:
                return Swept(expired, 0)
            if lost < 0:
                stale_after, lost = stale_after * HIDDEN_AFTER, HIDDEN
            facts = {"stale_after": stale_after, "lost": lost, "who": self._who}
            stale = run(c, "stale", **facts).scalar_one()
        return Swept(expired, int(stale))

    def file(self, file_id: int) -> FileView | None:
        with self._transaction() as c:
            query = sa.text("SELECT * FROM files WHERE id = :id")
            row = c.execute(query, {"id": file_id}).mappings().first()
        return None if row is None else view_of(row)

    def named(self, name: str, source: str | None = None) -> list[FileView]:
        with self._transaction() as c:
            exact = name.encode("utf-8", "surrogateescape")
            names = {"text": name, "exact": exact, "canonical": canonical(exact)}
            rows = run(c, "named", **names, source=source).mappings().all()
        return [view_of(row) for row in rows]

    def select(
        self, states: tuple[str, ...], source: str | None = None, since: datetime | None = None
    ) -> list[FileView]:
        wanted = [str(state) for state in states]
        with self._transaction() as c:
            rows = run(c, "select_files", states=wanted, source=source, since=since).mappings()
            return [view_of(row) for row in rows]

    def history(self, file_id: int) -> list[dict[str, Any]]:
        with self._transaction() as c:
            return [dict(row) for row in run(c, "history", id=file_id).mappings()]

    def arrivals(self, file_id: int) -> list[dict[str, Any]]:
        with self._transaction() as c:
            return [dict(row) for row in run(c, "arrivals_of", id=file_id).mappings()]
