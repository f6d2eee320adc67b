"""The ledger in PostgreSQL. Guarded UPDATEs decide; rows and their state change together."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import sqlalchemy as sa

from sensorflow import crash
from sensorflow.adapters.postgres.connect import engine_of, translated
from sensorflow.adapters.postgres.copy import Loader
from sensorflow.adapters.postgres.queries import queries
from sensorflow.adapters.postgres.rows import (
    claim_of,
    count_values,
    error_values,
    view_of,
    waiting_of,
)
from sensorflow.core.arrival import Arrival, Waiting, printable
from sensorflow.core.readings import Span
from sensorflow.core.states import Stage, State
from sensorflow.errors import REMEDY, Code, Fenced, SensorflowError, Transient
from sensorflow.ports import (
    Claim,
    Counts,
    FileView,
    Kind,
    Load,
    Loaded,
    OnChange,
    Registration,
    Replaced,
    StageReport,
    Swept,
)

PUBLISHER = 0x5E4502F10  # the advisory lock of the one publisher at a time


class PostgresLedger:
    """See `ports.Ledger`. Safe to share between threads; make one in each process, after a fork.

    who: the name under which this process writes history.
    """

    def __init__(self, url: str, who: str, pool: int = 2) -> None:
        self._engine = engine_of(url, pool_size=pool, max_overflow=2, pool_pre_ping=True)
        self._who = who
        self._months: set[date] = set()

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        with translated(), self._engine.begin() as connection:
            yield connection

    def _event(
        self, connection: sa.Connection, file_id: int, what: str, stage: str, **facts: Any
    ) -> None:
        given: dict[str, Any] = {"from_state": None, "to_state": None, "attempt": 0, "why": None}
        given |= {"seconds": None, "rows": None, "who": self._who}
        _run(connection, "add_event", file_id=file_id, what=what, stage=stage, **(given | facts))

    def register(self, arrival: Arrival, on_change: OnChange, name_matters: bool) -> Registration:
        place = {"source": arrival.source, "key": arrival.key}
        with self._transaction() as c:
            _run(c, "lock_source", source=arrival.source)
            sha = arrival.landed.sha256
            seen = _run(c, "seen", **place, fingerprint=arrival.fingerprint, sha256=sha).first()
            if seen is not None:
                return Registration(seen.file_id, seen.version, Kind.SEEN)
            twin = _run(c, "twin", **place, sha256=sha, name_matters=name_matters).first()
            kind = Kind.NEW if twin is None else Kind.ALIAS
            row = twin or self._add(c, arrival, on_change)
            _run(
                c,
                "add_arrival",
                **place,
                file_id=row.id,
                key_text=printable(arrival.key),
                fingerprint=arrival.fingerprint,
                kind=kind,
            )
            return Registration(row.id, row.version, kind)

    def _add(self, c: sa.Connection, arrival: Arrival, on_change: OnChange) -> Any:
        landed = arrival.landed
        row = _run(
            c,
            "add_file",
            source=arrival.source,
            key=arrival.key,
            key_text=printable(arrival.key),
            sha256=landed.sha256,
            md5=landed.md5,
            size=landed.size,
            # a file system may hold times that no bigint of nanoseconds does
            mtime_ns=min(max(arrival.mtime_ns, -(2**63)), 2**63 - 1),
            landing=landed.name,
            sensor_type=arrival.sensor_type,
            discovered_at=arrival.discovered_at,
            landed_at=arrival.landed_at,
            refuse=on_change is OnChange.REJECT,
            refusal_code=str(Code.VERSION_REFUSED),
            refusal=REMEDY[Code.VERSION_REFUSED],
        ).one()
        self._event(c, row.id, "registered", row.stage)
        return row

    def seen(self, source: str, key: bytes, fingerprint: str) -> bool:
        with self._transaction() as c:
            place = {"source": source, "key": key, "fingerprint": fingerprint}
            return _run(c, "seen", **place, sha256=None).first() is not None

    def has_content(self, source: str, key: bytes, sha256: bytes) -> bool:
        with self._transaction() as c:
            found = _run(c, "has_content", source=source, key=key, sha256=sha256)
            return bool(found.scalar_one())

    @contextmanager
    def publishing(self) -> Iterator[bool]:
        with translated(), self._engine.connect() as connection:
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
            mine = connection.scalar(sa.select(sa.func.pg_try_advisory_lock(PUBLISHER)))
            try:
                yield bool(mine)
            finally:
                if mine:
                    connection.execute(sa.select(sa.func.pg_advisory_unlock(PUBLISHER)))

    def due(self, limit: int, max_in_flight: int) -> list[Waiting]:
        with self._transaction() as c:
            rows = _run(c, "due", limit=limit, max_in_flight=max_in_flight).all()
        return [waiting_of(row) for row in rows]

    def published(self, sent: list[Waiting]) -> None:
        ids, tokens = [w.file_id for w in sent], [w.token for w in sent]
        with self._transaction() as c:
            _run(c, "published", ids=ids, tokens=tokens, who=self._who)

    def claim(
        self, file_id: int, stages: tuple[Stage, ...], owner: str, lease: float
    ) -> Claim | None:
        wanted = [str(stage) for stage in stages]
        with self._transaction() as c:
            row = _run(c, "claim", id=file_id, stages=wanted, owner=owner, lease=lease).first()
        return None if row is None else claim_of(row)

    def renew(self, claim: Claim, lease: float) -> None:
        with self._transaction() as c:
            _guarded(c, "renew", claim, lease=lease)

    def advance(self, claim: Claim, to: Stage, counts: Counts, report: StageReport) -> None:
        with self._transaction() as c:
            _guarded(c, "advance", claim, to=str(to), **count_values(counts))
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
            _guarded(c, "release", claim, delay=delay, **facts, **error_values(error))
            self._back(c, claim, "will be tried again", error)

    def given_back_lately(self, code: Code, within: float) -> bool:
        with self._transaction() as c:
            found = _run(c, "given_back_lately", code=str(code), within=within)
            return bool(found.scalar_one())

    def condemn(self, claim: Claim, error: SensorflowError, counts: Counts) -> None:
        with self._transaction() as c:
            _guarded(c, "condemn", claim, **count_values(counts), **error_values(error))
            self._back(c, claim, "condemned", error)

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
            _guarded(c, "quarantined", claim, where=where)
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
        self, claim: Claim, batches: Iterable[tuple[pa.RecordBatch, pa.Array]], load: Load
    ) -> Loaded:
        began = time.perf_counter()
        with self._transaction() as c:
            replaced: list[Replaced] = []
            if claim.version > 1 and load.on_change is OnChange.SUPERSEDE:
                replaced = self._supersede(c, claim)
            loader = Loader(c, claim.file_id)
            rows, span = 0, Span()
            for silver, keys in batches:
                if len(silver):
                    self._insert(loader, silver, keys)
                    span = span.over(silver["ts"])
                    rows += len(silver)
            crash.point(crash.Point.COPIED)
            self._pass_on(c, claim, replaced)
            inserted = loader.inserted
            counts = replace(
                load.counts,
                loaded=inserted.rows,
                duplicate=load.counts.duplicate + rows - inserted.rows,
            )
            _guarded(
                c,
                "finish",
                claim,
                **count_values(counts),
                loaded=counts.loaded,
                checksum=inserted.checksum,
                ts_min=span.low,
                ts_max=span.high,
                profile=load.profile,
                profile_hash=load.profile_hash,
                code_version=load.code_version,
            )
            done = StageReport(Stage.LOAD, time.perf_counter() - began, counts.loaded)
            self._loaded_events(c, claim, (*load.reports, done))
        return Loaded(counts, tuple(replaced))

    def _insert(self, loader: Loader, silver: pa.RecordBatch, keys: pa.Array) -> None:
        self._ensure_months(silver["ts"])
        try:
            loader.load(silver, keys)
        except psycopg.errors.CheckViolation as error:  # a month's partition was dropped meanwhile
            self._months.clear()
            raise Transient(Code.DATABASE, f"no partition: {error}") from error

    def _loaded_events(
        self, c: sa.Connection, claim: Claim, reports: tuple[StageReport, ...]
    ) -> None:
        for report in reports:
            last = report.stage is Stage.LOAD
            self._event(
                c,
                claim.file_id,
                "loaded" if last else "stage done",
                report.stage,
                from_state="running" if last else None,
                to_state="loaded" if last else None,
                attempt=claim.attempt,
                seconds=report.seconds,
                rows=report.rows,
                why=report.note or None,
            )

    def _ensure_months(self, ts: pa.Array) -> None:
        """Partitions for the months of a batch, each in a transaction of its own before the rows."""
        nanos = ts.cast(pa.int64()).to_numpy().view("M8[ns]")
        for month in np.unique(nanos.astype("M8[M]")).tolist():
            if month not in self._months:
                start = datetime(month.year, month.month, 1, tzinfo=UTC)
                with self._transaction() as c:
                    c.execute(sa.select(sa.func.ensure_reading_partitions(start, start)))
                self._months.add(month)

    def _supersede(self, c: sa.Connection, claim: Claim) -> list[Replaced]:
        place = {"source": claim.source, "key": claim.key}
        replaced = []
        for old in _run(c, "older_versions", **place, version=claim.version).all():
            if old.ts_min is not None:
                _run(c, "delete_rows", id=old.id, low=old.ts_min, high=old.ts_max)
            self._event(
                c,
                old.id,
                "superseded",
                old.stage,
                from_state=old.state_before,
                to_state="superseded",
                attempt=old.attempts,
                why=f"by version {claim.version}, file {claim.file_id}",
            )
            replaced.append(Replaced(old.id, old.version, old.landed_at, old.sensor_type))
        return replaced

    def _pass_on(self, c: sa.Connection, claim: Claim, replaced: list[Replaced]) -> None:
        """Names that had the bytes of a replaced file take them over.

        Last, and with registrations of this source shut out until the commit: an alias that was
        registered while the rows went in is seen, and a later one finds the file superseded.
        """
        if replaced:
            _run(c, "lock_source", source=claim.source)
        for old in (r.file_id for r in replaced):
            alias = _run(c, "orphaned_alias", id=old, key=claim.key).first()
            if alias is None:
                continue
            named = {"key": alias.key, "key_text": alias.key_text}
            heir = _run(c, "take_over", id=old, **named).scalar_one()
            _run(c, "move_aliases", id=old, heir=heir, key=alias.key)
            why = f"file {old} had the same bytes and was superseded"
            self._event(c, heir, "registered", Stage.VALIDATE, why=why)

    def replay(self, file_id: int) -> bool:
        with self._transaction() as c:
            if _run(c, "replay", id=file_id).first() is None:
                return False
            steps = {"from_state": "quarantined", "to_state": "pending"}
            self._event(c, file_id, "replayed", Stage.VALIDATE, **steps)
            return True

    def sweep(self, stale_after: float, depth: int | None) -> Swept:
        with self._transaction() as c:
            expired = int(_run(c, "expire", who=self._who).scalar_one())
        with self._transaction() as c:
            waiting = int(_run(c, "waiting_messages").scalar_one())
            lost = waiting - (depth or 0)
            if lost <= 0:
                return Swept(expired, 0)
            facts = {"stale_after": stale_after, "lost": lost, "who": self._who}
            stale = _run(c, "stale", **facts).scalar_one()
        return Swept(expired, int(stale))

    def files(
        self, state: State | None = None, source: str | None = None, limit: int = 50
    ) -> list[FileView]:
        with self._transaction() as c:
            rows = _run(c, "list_files", state=state, source=source, limit=limit).mappings().all()
        return [view_of(row) for row in rows]

    def file(self, file_id: int) -> FileView | None:
        with self._transaction() as c:
            query = sa.text("SELECT * FROM files WHERE id = :id")
            row = c.execute(query, {"id": file_id}).mappings().first()
        return None if row is None else view_of(row)

    def history(self, file_id: int) -> list[dict[str, Any]]:
        with self._transaction() as c:
            return [dict(row) for row in _run(c, "history", id=file_id).mappings()]

    def arrivals(self, file_id: int) -> list[dict[str, Any]]:
        with self._transaction() as c:
            return [dict(row) for row in _run(c, "arrivals_of", id=file_id).mappings()]

    def totals(self) -> dict[str, dict[str, int]]:
        totals: dict[str, dict[str, int]] = {}
        with self._transaction() as c:
            rows = _run(c, "totals").all()
        for row in rows:
            sums = totals.setdefault(row.source, dict.fromkeys(("files", *State, *_SUMS), 0))
            sums["files"] += row.files
            sums[row.state] += row.files
            if row.state == State.LOADED:
                for name in _SUMS:
                    sums[name] += int(getattr(row, name))
        return totals


_SUMS = ("rows_read", "rows_loaded", "rows_rejected", "rows_duplicate")


def _run(c: sa.Connection, query: str, **values: Any) -> sa.CursorResult[Any]:
    return c.execute(queries()[query], values)


def _guarded(c: sa.Connection, query: str, claim: Claim, **values: Any) -> None:
    """An UPDATE that the fencing token guards: the row count decides."""
    if _run(c, query, id=claim.file_id, token=claim.token, **values).rowcount != 1:
        raise Fenced(
            f"file {claim.file_id} was taken by another worker, or replaced, after this one's lease",
            token=claim.token,
        )
