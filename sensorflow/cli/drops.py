"""Checks for files that are stuck in the drop folders: they cannot be read, are overdue, were never
completed, or match no pattern."""

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
"""Seconds after which a file should be ingested. The limit is higher if four rescans take longer."""
EXAMPLES = 3


def checks(
    settings: Settings,
    backlogs: Iterable[Backlog],
    books: AuditStore | None,
    taken_in: bool,
    held: Collection[str] = (),
) -> Iterator[Check]:
    """Yields checks for `doctor`. books: the ledger, or None if it is unavailable. taken_in: whether a
    daemon is running, so that files are ingested. held: sources that are held back, so that nothing is
    overdue there."""
    for backlog in backlogs:
        if backlog.is_reachable():
            waits = gated.waiting_or_none(backlog, books)
            late = max(LATE, 4 * settings.rescan)
            if backlog.name in held:
                waits, late = [replace(w, is_overdue=False) for w in waits], math.inf
            yield from gated.checks(backlog.name, waits)
            found = backlog.inspect(books, late, UNFINISHED, gated.held_keys(waits))
            yield from _checks_of(backlog.name, found, taken_in)


def _checks_of(source: str, found: BacklogReport, taken_in: bool) -> Iterator[Check]:
    what = f"source {source}"
    for pattern, keys in sorted(found.not_included.items()):
        todo = f"set include in sources.{source} to take them, or move them elsewhere"
        yield Check(what, "warn", f"not included, and left alone: {_shown(keys, pattern)}", todo)
    if found.cut_off:
        count = sum(found.cut_off.values())
        shown = (
            f"renamed while they grew, and {count:,} bytes not taken: {_shown([*found.cut_off])}"
        )
        todo = "half a line is never taken; complete ones are at the next start of the daemon"
        yield Check(what, "warn", shown, todo)
    if found.unreadable:
        todo = "make them readable for the user of the daemon (chmod), or remove them"
        yield Check(what, "fail", f"unreadable: {_shown(found.unreadable)}", todo)
    if found.unfinished:
        shown = f"unfinished for more than {span(UNFINISHED)}: {_shown(found.unfinished)}"
        yield Check(what, "warn", shown, "check the sender, or remove the files")
    if found.overdue:
        oldest = f", the oldest since {span(found.oldest)}" if found.oldest else ""
        shown = f"waiting too long to be taken in: {_shown(found.overdue)}{oldest}"
        todo = "if a program keeps a file open for writing, the log of the daemon names it"
        todo = (
            f"nothing, while their number falls; {todo}"
            if taken_in
            else f"check that the daemon is running; {todo}"
        )
        yield Check(what, "warn" if taken_in else "fail", shown, todo)
    if not found.whole:
        yield Check(
            what, "ok", f"only the first {found.files:,} files of its drop folder were checked"
        )


def _shown(keys: list[bytes], pattern: str = "") -> str:
    examples = ", ".join(printable(key) for key in keys[:EXAMPLES])
    more = ", ..." if len(keys) > EXAMPLES else ""
    files = "1 file" if len(keys) == 1 else f"{len(keys):,} files"
    return f"{files}{f' {pattern}' if pattern else ''} ({examples}{more})"
