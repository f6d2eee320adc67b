"""Applies the changes that the load of a new version makes to other files. Runs in the transaction of the
load."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from sensorflow.adapters.postgres import reversal
from sensorflow.adapters.postgres.history import add_event
from sensorflow.adapters.postgres.ownership import OwnershipResolver
from sensorflow.adapters.postgres.queries import run
from sensorflow.adapters.postgres.rows import view_of
from sensorflow.core.events import FileEvent
from sensorflow.core.states import Stage, State
from sensorflow.core.touched import Touched
from sensorflow.ports.claims import Claim
from sensorflow.ports.files import FileView
from sensorflow.ports.loading import Load


def supersede(c: sa.Connection, actor: str, claim: Claim) -> list[Any]:
    """Mark all older versions of the claimed file as superseded, and delete their rows. Call this function
    before the rows of the new version are inserted. Returns a row of the query `older_versions` for each of
    these versions."""
    place = {"source": claim.source, "name": claim.known_as}
    replaced = run(c, "older_versions", **place, version=claim.version).all()
    for old in replaced:
        if old.ts_min is not None and old.state_before != State.UNDONE:
            run(c, "delete_rows", id=old.id, low=old.ts_min, high=old.ts_max)
    return list(replaced)


def deleted_rows(source: str, superseded: Sequence[Any]) -> Touched:
    """Return the range of the rows that `supersede` has deleted. superseded: the result of
    `supersede`."""
    touched = Touched(source)
    for old in superseded:
        if old.state_before != State.UNDONE:
            touched = touched.over(old.ts_min, old.ts_max)
    return touched


def apply_replacements(
    c: sa.Connection,
    actor: str,
    claim: Claim,
    load: Load,
    superseded: Sequence[Any],
    outside: str,
    rivals: OwnershipResolver,
) -> bool:
    """Update the ledger for all files whose rows the load has deleted or replaced: their counts, states,
    histories and aliases. Returns whether there are such files.

    superseded: the result of `supersede`. outside: a remark for the histories of these files, or "".
    rivals: the resolver that the load has used. If an alias may have to be promoted, registrations of the
    source are blocked until the commit. An alias that was registered while the rows were inserted is
    thereby promoted by this function, and a later registration finds that the file is superseded.
    """
    covered = run(c, "covered", ids=list(load.covered)).all() if load.covered else []
    if superseded or covered or rivals.replaced or rivals.lost:
        run(c, "lock_source", source=claim.source)
    _add_superseded_events(c, actor, claim, [*superseded, *covered], outside)
    if superseded:
        run(c, "forget_replacements", ids=[old.id for old in superseded])
        _reevaluate(c, actor, [old.id for old in superseded], claim.known_as)
    stale = [old.id for old in (*superseded, *covered) if old.state_before != State.UNDONE]
    stale += _record_replacements(c, actor, claim, rivals, [old.id for old in covered])
    _promote(c, actor, claim, stale)
    return bool(superseded or covered or rivals.replaced)


def _add_superseded_events(
    c: sa.Connection, actor: str, claim: Claim, superseded: Iterable[Any], outside: str
) -> None:
    reason = f"by version {claim.version}, file {claim.file_id}"
    for old in superseded:
        add_event(
            c,
            actor,
            old.id,
            FileEvent.SUPERSEDED,
            old.stage,
            from_state=old.state_before,
            to_state="superseded",
            attempt=old.attempts,
            why=f"{reason}; {outside}" if outside else reason,
        )


def _record_replacements(
    c: sa.Connection, actor: str, claim: Claim, rivals: OwnershipResolver, covered: list[int]
) -> list[int]:
    """Record how many readings of each file were replaced, and by which file. Returns the ids of the files
    that no longer have all of their readings in the database. A file is not returned if the file that
    replaced its readings has the same bytes, because the same readings are still in the database."""
    me = claim.file_id
    if claim.has_loaded_rows:
        run(c, "forget_replacements", ids=[me])
    pairs = [(me, holder, rows) for holder, rows in rivals.lost.items()]
    pairs += [(old, me, replaced.rows) for old, replaced in rivals.replaced.items()]
    pairs += [(old, me, 0) for old in covered]
    if not pairs:
        return []
    ids, by, rows = (list(column) for column in zip(*pairs, strict=True))
    run(c, "add_replacements", file_ids=ids, by_files=by, rows=rows)
    replaced = sorted(rivals.replaced.items())
    changed = run(
        c,
        "replaced",
        ids=[old for old, _ in replaced],
        rows=[found.rows for _, found in replaced],
        checksums=[found.checksum for _, found in replaced],
    ).all()
    for old in changed:
        reason = f"by version {claim.version}, file {me}"
        add_event(
            c,
            actor,
            old.id,
            FileEvent.REPLACED,
            old.stage,
            attempt=old.attempts,
            rows=old.rows,
            why=reason,
        )
    stale = [old.id for old in changed if bytes(old.sha256) != claim.sha256]
    holders = list(rivals.lost)
    if holders and run(c, "other_content", ids=holders, sha256=claim.sha256).scalar():
        stale.append(me)
    _reevaluate(c, actor, stale, claim.known_as)
    return stale


def _reevaluate(c: sa.Connection, actor: str, by: list[int], name: bytes) -> None:
    """Replay the files whose readings the files `by` had replaced, except versions of the name `name`.
    This is necessary because the files `by` no longer have all of these readings in the database."""
    for row in run(c, "replaced_by", ids=by, name=name, along=[]).all():
        reason = f"file {row.by_file}, which had readings of this file, was replaced"
        reversal.replay(c, actor, row.file_id, row.wanted_profile, reason)


def newest_retained(c: sa.Connection, claim: Claim) -> FileView | None:
    """Return the newest of the twenty versions before the claimed file that still has readings in the
    database; None if none has."""
    if claim.version == 1:
        return None
    place = {"source": claim.source, "name": claim.known_as, "version": claim.version}
    row = run(c, "predecessor", **place).mappings().first()
    return None if row is None else view_of(row)


def _promote(c: sa.Connection, actor: str, claim: Claim, stale: list[int]) -> None:
    """Promote an alias of each of the files `stale` to a separate file, because readings of these files
    were replaced. stale: ids."""
    for old in stale:
        alias = run(c, "orphaned_alias", id=old, name=claim.known_as).first()
        if alias is None:
            continue
        named = {"key": alias.key, "name": alias.name}
        promoted = run(c, "take_over", id=old, key_text=alias.key_text, **named).scalar_one()
        run(c, "move_aliases", id=old, heir=promoted, **named)
        reason = f"file {old} had the same bytes and was superseded"
        add_event(c, actor, promoted, FileEvent.REGISTERED, Stage.VALIDATE, why=reason)
