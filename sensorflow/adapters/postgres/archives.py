"""Unpacks an archive in the ledger: registers its members as separate files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from sensorflow import failpoints
from sensorflow.adapters.postgres.history import add_event
from sensorflow.adapters.postgres.queries import guarded, run
from sensorflow.adapters.postgres.registering import register_all
from sensorflow.core import unpacking
from sensorflow.core.arrival import Arrival, Lane, printable
from sensorflow.core.events import FileEvent
from sensorflow.core.states import Stage
from sensorflow.errors import Fenced
from sensorflow.ports.claims import Claim
from sensorflow.ports.intake import Kind, Registration
from sensorflow.ports.loading import Unpack


def unpack(
    c: sa.Connection, actor: str, claim: Claim, members: Sequence[Arrival], plan: Unpack
) -> list[Registration]:
    """Implements `ports.loading.Loader.unpack` in the transaction of `c`."""
    run(c, "lock_source", source=claim.source)
    archive = _archive(c, claim)
    arrivals = [_of(member, archive) for member in members]
    _require_order(c, claim, arrivals)
    plan.keep()
    done = register_all(c, actor, arrivals, plan.on_change, plan.name_matters)
    known = {"source": claim.source, **_columns(arrivals)}
    run(c, "add_lineage", id=claim.file_id, **known)
    if claim.profile is not None:
        new = [entered.file_id for entered in done if entered.kind is Kind.NEW]
        run(c, "wanted_profile", ids=new, profile=claim.profile)
    _finish_archive(c, actor, claim, len(arrivals), plan)
    failpoints.hit(failpoints.Failpoint.REGISTERING)
    return done


def _finish_archive(c: sa.Connection, actor: str, claim: Claim, members: int, plan: Unpack) -> None:
    facts = {"profile": plan.profile, "profile_hash": plan.profile_hash}
    facts |= {"code_version": plan.code_version, "on_change": str(plan.on_change)}
    guarded(c, "unpacked", claim, members=members, **facts)
    add_event(
        c,
        actor,
        claim.file_id,
        FileEvent.UNPACKED,
        Stage.LOAD,
        from_state="running",
        to_state="loaded",
        attempt=claim.attempt,
        seconds=plan.report.seconds,
        rows=0,
        why=plan.report.note,
    )


def _archive(c: sa.Connection, claim: Claim) -> Any:
    row = run(c, "archive", id=claim.file_id, token=claim.token).first()
    if row is None:
        raise Fenced(f"file {claim.file_id} was claimed by another worker", token=claim.token)
    if row.earlier is not None:
        raise unpacking.older_archive_waiting(row.earlier)
    if row.rows:
        raise unpacking.archive_has_readings(row.rows)
    return row


def _of(member: Arrival, archive: Any) -> Arrival:
    return replace(
        member,
        lane=Lane(archive.lane),
        discovered_at=archive.discovered_at,
        landed_at=archive.landed_at,
    )


def _columns(arrivals: Sequence[Arrival]) -> dict[str, list[Any]]:
    return {
        "keys": [arrival.key for arrival in arrivals],
        "fingerprints": [arrival.fingerprint for arrival in arrivals],
    }


def _require_order(c: sa.Connection, claim: Claim, arrivals: Sequence[Arrival]) -> None:
    facts = {
        **_columns(arrivals),
        "sha256s": [arrival.landed.sha256 for arrival in arrivals],
        "key_texts": [printable(arrival.key) for arrival in arrivals],
    }
    row = run(c, "later_member", source=claim.source, version=claim.version, **facts).first()
    if row is not None:
        raise unpacking.newer_member_exists(row.name, row.version)
