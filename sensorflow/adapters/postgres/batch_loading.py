"""Loads a batch of small files in one transaction. The transaction has one COPY, one statement that
finishes the files, and one statement that writes their events."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import psycopg
import pyarrow as pa
import sqlalchemy as sa

from sensorflow import failpoints
from sensorflow.adapters.postgres.copy import copy_in, sensors_of, wire
from sensorflow.adapters.postgres.history import Events
from sensorflow.adapters.postgres.indexing import ExpectedIndexMode
from sensorflow.adapters.postgres.queries import run
from sensorflow.adapters.postgres.reading_partitions import PartitionCreator
from sensorflow.adapters.postgres.rows import stored_identity
from sensorflow.adapters.postgres.touched import json_of
from sensorflow.core.checksum import MODULUS, checksum
from sensorflow.core.events import FileEvent
from sensorflow.core.months import MonthLimits, NewMonths
from sensorflow.core.readings import Span
from sensorflow.core.states import Stage
from sensorflow.core.touched import Touched
from sensorflow.errors import Permanent
from sensorflow.ports.claims import Claim
from sensorflow.ports.loading import Keyed, Load

MAX_NEW_MONTHS = 24
"""Maximum number of months that the files of a batch may create."""

Files = Sequence[tuple[Claim, Sequence[Keyed], Load]]


class NotBatchable(Exception):
    """Raised if one of the files needs a transaction of its own."""


def load_batch(
    c: sa.Connection,
    actor: str,
    files: Files,
    partitions: PartitionCreator,
    index_mode: ExpectedIndexMode,
) -> list[Touched]:
    """Implements `ports.loading.Loader.load_batch` in the transaction of `c`. Raises NotBatchable if a file
    needs a transaction of its own."""
    began = time.perf_counter()
    index_mode.check(c)
    _require_no_rivals(c, files)
    _copy(c, files, partitions)
    failpoints.hit(failpoints.Failpoint.COPIED)
    touched = _finish(c, files, index_mode)
    events = Events(actor)
    for claim, _, load in files:
        for report in load.reports:
            facts = {"attempt": claim.attempt, **report.event_facts}
            events.add(claim.file_id, FileEvent.STAGE_DONE, report.stage, **facts)
        events.add(
            claim.file_id,
            FileEvent.LOADED,
            Stage.LOAD,
            from_state="running",
            to_state="loaded",
            attempt=claim.attempt,
            seconds=(time.perf_counter() - began) / len(files),
            rows=load.counts.loaded,
        )
    events.write(c)
    return touched


def _require_no_rivals(c: sa.Connection, files: Files) -> None:
    """Block loads of other files that may contain the same readings as these files. Raises NotBatchable if
    one of those other files already has rows."""
    ids = [claim.file_id for claim, _, _ in files]
    run(c, "hold_together", ids=ids)
    by_content = [claim.file_id for claim, _, load in files if not load.name_matters]
    if run(c, "rivals_of_many", ids=ids, by_content=by_content).scalar():
        raise NotBatchable


def _copy(c: sa.Connection, files: Files, partitions: PartitionCreator) -> None:
    wires = [
        wire(silver, keys, claim.file_id)
        for claim, batches, _ in files
        for silver, keys in batches
        if len(silver)
    ]
    if not wires:
        return
    combined = pa.Table.from_batches(wires).combine_chunks().to_batches()
    for batch in combined:
        try:
            limits = MonthLimits(MAX_NEW_MONTHS, MAX_NEW_MONTHS)
            partitions.ensure(batch["ts"], NewMonths(limits))
        except Permanent as error:
            # perhaps no single file exceeds the limit, but all files together do
            raise NotBatchable from error
    try:
        copy_in(c, "raw_readings", combined)
    except (psycopg.errors.UniqueViolation, psycopg.errors.CheckViolation) as error:
        partitions.forget()
        raise NotBatchable from error


def _finish(c: sa.Connection, files: Files, index_mode: ExpectedIndexMode) -> list[Touched]:
    columns: dict[str, list[Any]] = {name: [] for name in _FINISHED}
    spans: dict[str, Span] = {}
    for claim, batches, load in files:
        span, total = Span(), 0
        for silver, keys in batches:
            if len(silver):
                span = span.over(silver["ts"])
                total += checksum(keys, silver["value"])
        spans[claim.source] = spans.get(claim.source, Span()).union(span)
        counts = load.counts
        values = (
            *(claim.file_id, claim.token),
            *(counts.read, counts.loaded, counts.rejected, counts.duplicate, counts.missing),
            *(total % MODULUS, span.low, span.high),
            *(load.profile, load.profile_hash, stored_identity(load.identity)),
            str(load.on_change),
        )
        for name, value in zip(_FINISHED, values, strict=True):
            columns[name].append(value)
    touched = [_touched(source, span, files) for source, span in spans.items()]
    facts = {"code_version": files[0][2].code_version, "deferred": index_mode.deferred}
    facts["touched"] = json_of(touched)
    if run(c, "finish_together", **columns, **facts).rowcount != len(files):
        index_mode.forget()
        raise NotBatchable
    return touched


def _touched(source: str, span: Span, files: Files) -> Touched:
    columns = [
        silver["sensor_id"]
        for claim, batches, _ in files
        for silver, _ in batches
        if claim.source == source
    ]
    sensors = sensors_of(pa.chunked_array(columns, pa.string()))
    return Touched(source).over(span.low, span.high, sensors)


_FINISHED = (
    *("ids", "tokens", "read", "loaded", "rejected", "duplicate", "missing"),
    *("checksum", "ts_min", "ts_max", "profile", "profile_hash", "identity", "on_change"),
)
