"""Checks the drop folders for files that are not ingested: files that cannot be read, wait for too long,
are incomplete, or match no pattern of their source."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from sensorflow.cli import gated
from sensorflow.core.arrival import printable
from sensorflow.core.health import Check, span

if TYPE_CHECKING:
    from sensorflow.ports.audit import AuditStore
    from sensorflow.ports.backlog import Backlog, BacklogReport
    from sensorflow.settings import Settings

UNFINISHED = 3600.0
"""Seconds after which a file with a temporary name counts as abandoned."""
LATE = 60.0
"""Seconds after which a file counts as overdue if it is not ingested. If four rescans take longer than
this, the duration of four rescans is used instead."""
EXAMPLES = 3


def checks(
    settings: Settings,
    backlogs: Iterable[Backlog],
    audit_store: AuditStore | None,
    is_ingesting: bool,
    held: Collection[str] = (),
) -> Iterator[Check]:
    """Yields the results of the checks, for `doctor`. audit_store: the ledger; None if it is unavailable.
    is_ingesting: whether a daemon is running that ingests files. held: the sources that are paused or
    draining, in which nothing is overdue."""
    for backlog in backlogs:
        if backlog.is_reachable():
            waits = gated.waiting_or_none(backlog, audit_store)
            late = max(LATE, 4 * settings.rescan)
            if backlog.name in held:
                waits, late = [replace(w, is_overdue=False) for w in waits], math.inf
            yield from gated.checks(backlog.name, waits)
            found = backlog.inspect(audit_store, late, UNFINISHED, gated.held_keys(waits))
            yield from _checks_of(backlog.name, found, is_ingesting)


def _checks_of(source: str, found: BacklogReport, taken_in: bool) -> Iterator[Check]:
    what = f"source {source}"
    for pattern, keys in sorted(found.not_included.items()):
        todo = f"set include in sources.{source} to ingest them, or move them to another folder"
        yield Check(what, "warn", f"match no pattern of include: {_shown(keys, pattern)}", todo)
    if found.cut_off:
        count = sum(found.cut_off.values())
        shown = (
            f"renamed while they grew, {count:,} bytes are not ingested: {_shown([*found.cut_off])}"
        )
        todo = (
            "complete lines are ingested at the next start of the daemon, but an incomplete line is "
            "never ingested"
        )
        yield Check(what, "warn", shown, todo)
    if found.unreadable:
        todo = "make them readable for the user of the daemon (chmod), or remove them"
        yield Check(what, "fail", f"unreadable: {_shown(found.unreadable)}", todo)
    if found.unfinished:
        shown = f"unfinished for more than {span(UNFINISHED)}: {_shown(found.unfinished)}"
        yield Check(what, "warn", shown, "check the sender, or remove the files")
    if found.overdue:
        oldest = f", the oldest for {span(found.oldest)}" if found.oldest else ""
        shown = f"not ingested after a long time: {_shown(found.overdue)}{oldest}"
        todo = "if a program keeps a file open for writing, the log of the daemon names it"
        todo = (
            f"if their number falls, wait; {todo}"
            if taken_in
            else f"check that the daemon is running; {todo}"
        )
        yield Check(what, "warn" if taken_in else "fail", shown, todo)
    if not found.is_complete:
        yield Check(
            what, "ok", f"only the first {found.files:,} files of its drop folder were checked"
        )


def _shown(keys: list[bytes], pattern: str = "") -> str:
    examples = ", ".join(printable(key) for key in keys[:EXAMPLES])
    more = ", ..." if len(keys) > EXAMPLES else ""
    files = "1 file" if len(keys) == 1 else f"{len(keys):,} files"
    return f"{files}{f' {pattern}' if pattern else ''} ({examples}{more})"
