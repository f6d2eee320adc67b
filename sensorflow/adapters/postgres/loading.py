"""The transaction of a load: rows in, older versions out, the file closed; all or nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import sqlalchemy as sa

from sensorflow import crash
from sensorflow.adapters.postgres.copy import Difference, Loader
from sensorflow.adapters.postgres.history import add_event
from sensorflow.adapters.postgres.indexing import Wanted
from sensorflow.adapters.postgres.queries import guarded, run
from sensorflow.adapters.postgres.rows import count_values, stored_identity
from sensorflow.core.readings import Span
from sensorflow.core.states import Stage, State
from sensorflow.errors import Code, Fenced, Transient
from sensorflow.ports import Claim, Counts, Keyed, Load, Loaded, OnChange, StageReport


def load(
    c: sa.Connection,
    who: str,
    claim: Claim,
    batches: Iterable[Keyed],
    load: Load,
    closing: Callable[[], Load] | None,
    months: Months,
    wanted: Wanted,
) -> Loaded:
    """See `ports.Ledger.load`; within the transaction of `c`."""
    began = time.perf_counter()
    wanted.check(c)
    _alone(c, claim)
    replaced: list[Any] = []
    if claim.version > 1 and load.on_change is OnChange.SUPERSEDE:
        replaced = _supersede(c, who, claim)
    kind = Difference if claim.again else Loader
    loader: Loader | Difference = kind(c, claim.file_id, wanted.deferred)
    offered, span, waited = _insert(loader, batches, months)
    crash.point(crash.Point.COPIED)
    if closing is not None:  # the time in which the batches were made is that of other stages
        load, began = closing(), began + waited
    _pass_on(c, who, claim, replaced)
    counts = replace(
        load.counts,
        loaded=loader.inserted.rows,
        duplicate=load.counts.duplicate + offered - loader.inserted.rows,
    )
    _finish(c, claim, counts, loader.inserted.checksum, span, load, wanted)
    note = loader.note if isinstance(loader, Difference) else ""
    done = StageReport(Stage.LOAD, time.perf_counter() - began, counts.loaded, note)
    _tell(c, who, claim, (*load.reports, done))
    return Loaded(counts, len(replaced))


def _alone(c: sa.Connection, claim: Claim) -> None:
    """End the session of a worker that was stopped in the middle of loading this very file.

    It could not commit, for its token is old; but until it ends it holds the keys of its rows, and
    everybody who loads the same file would wait for it.
    """
    name = f"sensorflow load {claim.file_id}"
    if claim.attempt > 1:
        run(c, "evict", name=name)
    run(c, "name_session", name=name)


def _insert(
    loader: Loader | Difference, batches: Iterable[Keyed], months: Months
) -> tuple[int, Span, float]:
    """How many rows were offered, when they were measured, and the seconds waited for them."""
    rows, span, waited = 0, Span(), 0.0
    following = iter(batches)
    while True:
        asked = time.perf_counter()
        batch = next(following, None)
        waited += time.perf_counter() - asked
        if batch is None:
            break
        silver, keys = batch
        if not len(silver):
            continue
        months.ensure(silver["ts"])
        try:
            loader.load(silver, keys)
        except psycopg.errors.CheckViolation as error:  # a month's partition was dropped meanwhile
            months.forget()
            raise Transient(Code.DATABASE, f"no partition: {error}") from error
        span = span.over(silver["ts"])
        rows += len(silver)
    loader.finish()
    return rows, span, waited


def _finish(
    c: sa.Connection,
    claim: Claim,
    counts: Counts,
    checksum: int,
    span: Span,
    load: Load,
    wanted: Wanted,
) -> None:
    facts = {
        **count_values(counts),
        "loaded": counts.loaded,
        "checksum": checksum,
        "ts_min": span.low,
        "ts_max": span.high,
        "profile": load.profile,
        "profile_hash": load.profile_hash,
        "code_version": load.code_version,
        "identity": stored_identity(load.identity),
    }
    if claim.part is not None:
        totals = {"read": counts.read, "rejected": counts.rejected, "ts_max": span.high}
        run(c, "chain_grew", id=claim.file_id, root=claim.part.root, **totals)
    try:
        guarded(c, "finish", claim, **facts, deferred=wanted.deferred)
    except Fenced:
        wanted.forget()
        wanted.check(c)  # or was it the index that was not as this process thinks?
        raise


def _tell(c: sa.Connection, who: str, claim: Claim, reports: tuple[StageReport, ...]) -> None:
    for report in reports:
        last = report.stage is Stage.LOAD
        add_event(
            c,
            who,
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


def _supersede(c: sa.Connection, who: str, claim: Claim) -> list[Any]:
    place = {"source": claim.source, "key": claim.key}
    replaced = run(c, "older_versions", **place, version=claim.version).all()
    for old in replaced:
        if old.ts_min is not None and old.state_before != State.UNDONE:
            run(c, "delete_rows", id=old.id, low=old.ts_min, high=old.ts_max)
        add_event(
            c,
            who,
            old.id,
            "superseded",
            old.stage,
            from_state=old.state_before,
            to_state="superseded",
            attempt=old.attempts,
            why=f"by version {claim.version}, file {claim.file_id}",
        )
    return list(replaced)


def _pass_on(c: sa.Connection, who: str, claim: Claim, replaced: list[Any]) -> None:
    """Names that had the bytes of a replaced file take them over, unless those were undone.

    Last, and with registrations of this source shut out until the commit: an alias that was
    registered while the rows went in is seen, and a later one finds the file superseded.
    """
    if replaced:
        run(c, "lock_source", source=claim.source)
    for old in (r.id for r in replaced if r.state_before != State.UNDONE):
        alias = run(c, "orphaned_alias", id=old, key=claim.key).first()
        if alias is None:
            continue
        named = {"key": alias.key, "key_text": alias.key_text}
        heir = run(c, "take_over", id=old, **named).scalar_one()
        run(c, "move_aliases", id=old, heir=heir, key=alias.key)
        why = f"file {old} had the same bytes and was superseded"
        add_event(c, who, heir, "registered", Stage.VALIDATE, why=why)


class Months:
    """Makes the partitions for months of readings, each in a transaction of its own before the rows."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._made: set[date] = set()

    def ensure(self, ts: pa.Array) -> None:
        times = ts.cast(pa.int64()).to_numpy().view(f"M8[{ts.type.unit}]")
        ends = np.array([times.min(), times.max()]).astype("M8[M]")
        if ends[0] != ends[1]:  # seldom; and to tell the month of each costs
            ends = times.astype("M8[M]")
        for month in np.unique(ends).tolist():
            if month not in self._made:
                start = datetime(month.year, month.month, 1, tzinfo=UTC)
                with self._engine.begin() as c:
                    c.execute(sa.select(sa.func.ensure_reading_partitions(start, start)))
                self._made.add(month)

    def forget(self) -> None:
        self._made.clear()
