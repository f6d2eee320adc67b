"""Reports files that wait for their gates, and gates that wait for their files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from sensorflow.core.health import Check, span
from sensorflow.errors import SensorflowError

if TYPE_CHECKING:
    from sensorflow.ports.audit import AuditStore
    from sensorflow.ports.backlog import Backlog, GatedFile

MAX_SHOWN = 10


def checks(source: str, found: Sequence[GatedFile]) -> Iterator[Check]:
    """Yields results of checks for `doctor`: one for the overdue files, one for all other waiting files,
    and likewise two for the gates."""
    for late in (False, True):
        for is_gate in (False, True):
            some = [w for w in found if (w.is_overdue, w.is_gate) == (late, is_gate)]
            if some:
                yield _check(source, some, late, is_gate)


def _check(source: str, some: Sequence[GatedFile], late: bool, is_gate: bool) -> Check:
    kind = "gate" if is_gate else "file"
    count = f"1 {kind}" if len(some) == 1 else f"{len(some):,} {kind}s"
    subject = "without a file" if is_gate else "waiting for a gate"
    shown = "; ".join(f"{w.name} {w.reason}" for w in some[:3]) + ("; ..." if len(some) > 3 else "")
    oldest = f", the oldest for {span(max(w.age for w in some))}"
    if not late:
        return Check(f"source {source}", "ok", f"{count} {subject}: {shown}{oldest}")
    todo = (
        "request the file from its sender, or remove the gate"
        if is_gate
        else "request the gate from the sender, or create it if the file is complete; no data is lost"
    )
    return Check(f"source {source}", "warn", f"OVERDUE: {count} {subject}: {shown}{oldest}", todo)


def lines(found: Sequence[GatedFile]) -> Iterator[str]:
    """Yields lines for `files ls`: the files that wait for their gates and are not in the ledger yet,
    oldest first."""
    files = sorted((w for w in found if not w.is_gate), key=lambda w: -w.age)
    if files:
        yield f"waiting for their gates, not ingested yet: {len(files):,}"
        yield from (f"  {w}" for w in files[:MAX_SHOWN])
    if len(files) > MAX_SHOWN:
        yield "  ... `sensorflow status --json` lists all"


def words(found: Sequence[GatedFile]) -> Iterator[str]:
    """Yields lines for `status`: the number of waiting files, and the overdue files and gates."""
    files = [w for w in found if not w.is_gate]
    late = [w for w in found if w.is_overdue]
    if files:
        yield f"waiting for their gates: {len(files):,}"
    for one in sorted(late, key=lambda w: -w.age)[:3]:
        yield f"overdue: {one}"
    if len(late) > 3:
        yield f"overdue: {len(late):,} in all; see `sensorflow doctor`"


def held_keys(found: Sequence[GatedFile]) -> set[bytes]:
    return {w.key for w in found if not w.is_gate}


def waiting_or_none(backlog: Backlog, audit_store: AuditStore | None) -> list[GatedFile]:
    """Returns the waiting files and gates of a source; [] if the ledger is unavailable, which another check
    reports."""
    with suppress(SensorflowError):
        return backlog.gated_files(audit_store)
    return []
