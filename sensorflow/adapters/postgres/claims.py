"""Claims of files by workers. Each claim is a guarded UPDATE, so exactly one caller wins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from sensorflow.adapters.postgres.history import add_event
from sensorflow.adapters.postgres.queries import guarded, run
from sensorflow.adapters.postgres.rows import (
    claim_of,
    count_values,
    error_values,
    progress_of,
    unclaimed_of,
)
from sensorflow.adapters.postgres.transactions import Transactions
from sensorflow.core.events import FileEvent
from sensorflow.core.states import Stage, State
from sensorflow.errors import SensorflowError
from sensorflow.ports.claims import BatchLimits, Claim, Claimed, ReadSoFar
from sensorflow.ports.files import Counts, StageReport

_UNKNOWN = dict.fromkeys(count_values(Counts()))
NO_BATCH = BatchLimits(sources=(), file_bytes=0, total_bytes=0, files=0, share=1)


class Claims(Transactions):
    """Implements `ports.claims.Claims`."""

    def claim(
        self, file_id: int, stages: tuple[Stage, ...], owner: str, lease: float
    ) -> Claim | None:
        return next(iter(self.claim_many([file_id], stages, owner, lease).claims), None)

    def claim_many(
        self, file_ids: Sequence[int], stages: tuple[Stage, ...], owner: str, lease: float
    ) -> Claimed:
        found = self._claim(file_ids, stages, owner, lease, NO_BATCH)
        return Claimed(found.claims, found.progress)

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
        return Claimed([claim_of(row) for row in rows], {row.id: progress_of(row) for row in rows})

    def renew(self, claim: Claim, lease: float, read: ReadSoFar | None = None) -> None:
        facts = {"bytes": read and read.bytes, "rows": read and read.rows}
        with self._statement() as c:
            guarded(c, "renew", claim, lease=lease, **facts)

    def advance(
        self, claim: Claim, next_stage: Stage, counts: Counts, report: StageReport, published: bool
    ) -> None:
        with self._transaction() as c:
            facts = {"to": str(next_stage), "published": published, **count_values(counts)}
            guarded(c, "advance", claim, **facts)
            self._event(
                c,
                claim.file_id,
                FileEvent.STAGE_DONE,
                report.stage,
                from_state="running",
                to_state="pending",
                attempt=claim.attempt,
                **report.event_facts,
            )

    def nack(
        self, claim: Claim, error: SensorflowError, delay: float, counts_as_attempt: bool
    ) -> None:
        with self._transaction() as c:
            facts = {
                "attempt": claim.attempt,
                "stage": str(claim.stage),
                "burned": counts_as_attempt,
            }
            guarded(c, "release", claim, delay=delay, **facts, **error_values(error))
            self._add_pending_event(c, claim, FileEvent.RETRIED, error)

    def dead_letter(
        self, claim: Claim, error: SensorflowError, counts: Counts | None = None
    ) -> State:
        with self._transaction() as c:
            if claim.has_loaded_rows:
                return self._abandon_replay(c, claim, error)
            found = _UNKNOWN if counts is None else count_values(counts)
            guarded(c, "condemn", claim, **found, **error_values(error))
            self._add_pending_event(c, claim, FileEvent.CONDEMNED, error)
            return State.PENDING

    def _abandon_replay(self, c: sa.Connection, claim: Claim, error: SensorflowError) -> State:
        """End a replay that has failed and loaded nothing. The file gets the state of its previous load
        again."""
        guarded(c, "give_up", claim, **error_values(error))
        steps = {"from_state": "running", "to_state": "loaded", "attempt": claim.attempt}
        self._event(c, claim.file_id, FileEvent.REPLAY_FAILED, claim.stage, **steps, why=str(error))
        return State.LOADED

    def _add_pending_event(
        self, c: sa.Connection, claim: Claim, file_event: FileEvent, error: SensorflowError
    ) -> None:
        self._event(
            c,
            claim.file_id,
            file_event,
            claim.stage,
            from_state="running",
            to_state="pending",
            attempt=claim.attempt,
            why=str(error),
        )

    def mark_quarantined(self, claim: Claim, location: str, report: StageReport) -> None:
        with self._transaction() as c:
            code = guarded(c, "quarantined", claim, where=location).scalar_one()
            self._event(
                c,
                claim.file_id,
                FileEvent.QUARANTINED,
                Stage.QUARANTINE,
                from_state="running",
                to_state="quarantined",
                attempt=claim.attempt,
                why=code,
                seconds=report.seconds,
            )

    def _event(
        self, c: sa.Connection, file_id: int, file_event: FileEvent, stage: str, **facts: Any
    ) -> None:
        add_event(c, self._actor, file_id, file_event, stage, **facts)
