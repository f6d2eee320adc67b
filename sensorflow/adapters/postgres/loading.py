"""The transaction of a load. It inserts rows, removes rows of older versions and finishes the file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import psycopg
import sqlalchemy as sa

from sensorflow import failpoints
from sensorflow.adapters.postgres import reversal, versions
from sensorflow.adapters.postgres.copy import CopyLoader, DifferenceLoader
from sensorflow.adapters.postgres.history import add_event
from sensorflow.adapters.postgres.indexing import ExpectedIndexMode
from sensorflow.adapters.postgres.ownership import OwnershipResolver, ownership_resolver
from sensorflow.adapters.postgres.queries import guarded, run
from sensorflow.adapters.postgres.reading_partitions import PartitionCreator
from sensorflow.adapters.postgres.rows import count_values, stored_identity
from sensorflow.adapters.postgres.touched import json_of
from sensorflow.core.events import FileEvent
from sensorflow.core.history import outside_text
from sensorflow.core.months import NewMonths
from sensorflow.core.readings import Span
from sensorflow.core.states import Stage, State
from sensorflow.errors import Code, Fenced, Transient
from sensorflow.ports.claims import Claim
from sensorflow.ports.files import Counts, StageReport
from sensorflow.ports.intake import OnChange
from sensorflow.ports.loading import Keyed, Load, Loaded


def load(
    c: sa.Connection,
    actor: str,
    claim: Claim,
    batches: Iterable[Keyed],
    load: Load,
    closing: Callable[[], Load] | None,
    partitions: PartitionCreator,
    index_mode: ExpectedIndexMode,
) -> Loaded:
    """Implements `ports.loading.Loader.load` in the transaction of `c`."""
    began = time.perf_counter()
    index_mode.check(c)
    rivals = ownership_resolver(c, claim, load)
    _evict_and_hold_rivals(c, claim, rivals)
    superseded: list[Any] = []
    if claim.version > 1 and load.on_change is OnChange.SUPERSEDE:
        superseded = versions.supersede(c, actor, claim)
    removed = versions.deleted_rows(claim.source, superseded)
    kind = DifferenceLoader if claim.has_loaded_rows else CopyLoader
    loader: CopyLoader | DifferenceLoader = kind(c, claim.file_id, removed, index_mode.deferred)
    decided = rivals if rivals.any() else None
    offered, span, waited = _insert(loader, decided, batches, partitions, NewMonths(load.months))
    failpoints.hit(failpoints.Failpoint.COPIED)
    if closing is not None:  # the time for computing the batches counts for other stages
        load, began = closing(), began + waited
    outside = _outside(partitions.engine, superseded, span)
    load = replace(load, remarks="; ".join(filter(None, (load.remarks, outside))))
    others = versions.apply_replacements(c, actor, claim, load, superseded, outside, rivals)
    lost = rivals.lost.total()
    stated = loader.inserted.rows + lost
    _require_parts(claim, offered - stated)
    counts = replace(
        load.counts,
        loaded=stated,
        duplicate=load.counts.duplicate + offered - stated,
        replaced=lost,
    )
    written = {"checksum": loader.inserted.checksum, "touched": json_of([loader.touched])}
    _finish(c, claim, counts, written, span, load, index_mode)
    if isinstance(loader, DifferenceLoader) and loader.removed:
        reason = "which contains fewer readings after a replay"
        reversal.return_replaced(c, actor, claim.file_id, reason)
    note = loader.note if isinstance(loader, DifferenceLoader) else ""
    done = StageReport(Stage.LOAD, time.perf_counter() - began, counts.loaded, note)
    _add_stage_events(c, actor, claim, (*load.reports, done))
    merged = load.on_change is OnChange.MERGE and claim.part is None
    retained = versions.newest_retained(c, claim) if merged else None
    others = others or lost > 0
    return Loaded(counts, loader.touched, others, rivals.rows_replaced, retained, load.remarks)


def _require_parts(claim: Claim, repeats: int) -> None:
    """Raise Transient at the first attempt if a part repeats readings of another part that was loaded in
    the meantime. The next attempt includes the other part when it counts the repeated readings."""
    if claim.part is not None and repeats and not claim.retries:
        raise Transient(
            Code.DATABASE,
            f"{repeats:,} readings are also in a part that was loaded in the meantime",
        )


def _evict_and_hold_rivals(c: sa.Connection, claim: Claim, rivals: OwnershipResolver) -> None:
    """End the session of a suspended or disconnected worker that was loading the same file. Then block
    loads of the file's rivals.

    The old session cannot commit, because its fencing token is outdated. However, its uncommitted rows
    block every other load of the file until the session ends. Waits for running loads of files that may
    contain the same readings.
    """
    name = f"sensorflow load {claim.file_id}"
    if not claim.is_first_claim:
        for row in run(c, "evict", name=name, id=claim.file_id, token=claim.token).all():
            _require_ended(claim, row)
    rivals.lock_rivals(name)


def _require_ended(claim: Claim, row: Any) -> None:
    if row.ended is None:
        raise Transient(
            Code.DATABASE_RIGHTS,
            f"session {row.pid} of user {row.usename} still loads file {claim.file_id}, and sensorflow's "
            f"user may not end it: run SELECT pg_terminate_backend({row.pid}) as {row.usename}",
        )


def _insert(
    loader: CopyLoader | DifferenceLoader,
    rivals: OwnershipResolver | None,
    batches: Iterable[Keyed],
    partitions: PartitionCreator,
    new_months: NewMonths,
) -> tuple[int, Span, float]:
    """Load all batches. Returns the number of their rows, their time span, and the seconds spent waiting
    for batches."""
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
        partitions.ensure(silver["ts"], new_months)
        batch_span = Span().over(silver["ts"])
        span = span.union(batch_span)
        rows += len(silver)
        if rivals is not None:
            replaced_before, offered = rivals.rows_replaced, silver
            silver, keys = rivals.resolve(silver, keys)
            if rivals.rows_replaced > replaced_before:
                loader.touch(offered, batch_span)
            if not len(silver):
                continue
            batch_span = Span().over(silver["ts"])
        try:
            loader.load(silver, keys, batch_span)
        except psycopg.errors.CheckViolation as error:  # the partition was dropped after `ensure`
            partitions.forget()
            raise Transient(Code.DATABASE, f"no partition: {error}") from error
    loader.finish()
    return rows, span, waited


def _finish(
    c: sa.Connection,
    claim: Claim,
    counts: Counts,
    written: dict[str, Any],
    span: Span,
    load: Load,
    index_mode: ExpectedIndexMode,
) -> None:
    facts = {
        **count_values(counts),
        **written,
        "loaded": counts.loaded,
        "ts_min": span.low,
        "ts_max": span.high,
        "profile": load.profile,
        "profile_hash": load.profile_hash,
        "code_version": load.code_version,
        "identity": stored_identity(load.identity),
        "replaced": counts.replaced,
        "on_change": str(load.on_change),
        "remarks": load.remarks or None,
    }
    if claim.part is not None:
        totals = {"read": counts.read, "rejected": counts.rejected, "ts_max": span.high}
        run(c, "chain_grew", id=claim.file_id, root=claim.part.root, **totals)
    try:
        guarded(c, "finish", claim, **facts, deferred=index_mode.deferred)
    except Fenced:
        index_mode.forget()
        index_mode.check(c)  # raises if the claim is valid, but the database has another index mode
        raise


def _add_stage_events(
    c: sa.Connection, actor: str, claim: Claim, reports: tuple[StageReport, ...]
) -> None:
    for report in reports:
        last = report.stage is Stage.LOAD
        add_event(
            c,
            actor,
            claim.file_id,
            FileEvent.LOADED if last else FileEvent.STAGE_DONE,
            report.stage,
            from_state="running" if last else None,
            to_state="loaded" if last else None,
            attempt=claim.attempt,
            **report.event_facts,
        )


def _outside(engine: sa.Engine, superseded: Sequence[Any], span: Span) -> str:
    """Return a description of the readings of superseded versions that are outside the new version's time
    span, or "" if there are none.

    The rows are deleted in the current transaction, which is not committed yet. Therefore another session
    can still count them.
    """
    spans = [r for r in superseded if r.ts_min is not None and r.state_before != State.UNDONE]
    if span.low is not None and span.high is not None:
        spans = [r for r in spans if r.ts_min < span.low or r.ts_max > span.high]
    if not spans:
        return ""
    with engine.connect() as c:
        row = run(
            c,
            "rows_outside",
            ids=[r.id for r in spans],
            first=min(r.ts_min for r in spans),
            last=max(r.ts_max for r in spans),
            low=span.low,
            high=span.high,
        ).one()
    return outside_text(row.found, row.low, row.high) if row.found else ""
