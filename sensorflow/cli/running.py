"""Checks of intake, sessions and waiting files, for `doctor`."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from sensorflow.core.health import Check, span

if TYPE_CHECKING:
    from sensorflow.adapters.postgres.inspect import Session
    from sensorflow.ports.controls import Controls
    from sensorflow.ports.ledger import Ledger
    from sensorflow.settings import Settings

OLD = 60.0
"""Seconds after which a session that holds locks is listed, and an idle session counts as dead."""
WAITING = 900.0
"""Age of the oldest waiting file in seconds above which there is a warning."""


def overdue_arrivals(settings: Settings, ledger: Ledger) -> Iterator[Check]:
    """Yields a warning for each source from which no file has arrived for longer than its `silent_after`.
    Sources from which no file has ever arrived are not included. Raises Transient."""
    if any(source.silent_after for source in settings.sources.values()):
        from sensorflow.status import silent_sources

        held = ledger.controls()
        for name, age in silent_sources(settings, ledger.activity(), held).items():
            found = f"no file has arrived for {span(age)}"
            todo = "check that the logger is on and writes to the drop folder"
            yield Check(f"source {name}", "warn", found, todo)


def held_back(ledger: Controls) -> Iterator[Check]:
    """Yields a warning for each source that is paused or draining, so that none is forgotten."""
    for name, control in ledger.controls().items():
        yield Check(f"source {name}", "warn", str(control), f"`sensorflow sources resume {name}`")


def ledger(settings: Settings, url: str, excused: Collection[str] = ()) -> Iterator[Check]:
    """Yields checks of leases, old sessions, waiting files and quarantined files. All are read from the
    database. excused: sources whose files may wait for long, because they are held back."""
    from sensorflow.adapters.postgres import inspect

    holders = {row.name: row for row in inspect.holders(url)}
    for name in settings.sources:
        row = holders.get(f"intake of {name}")
        if row is None or row.ended:
            yield Check(
                f"source {name}", "fail", "no daemon reads its folder", "start `sensorflow watch`"
            )
        else:
            yield Check(f"source {name}", "ok", f"read by {row.owner}")
    if (row := holders.get("publishing")) is not None:
        lease = f"free, last held by {row.owner}" if row.ended else f"held by {row.owner}"
        yield Check("publisher's lease", "ok", lease)
    for session in inspect.old_sessions(url, OLD):
        yield held(session)
    for row in inspect.backlog(url):
        found = f"{row.files:,} files are waiting, the oldest for {span(row.age)}: {row.key_text}"
        late = row.age > WAITING and row.source not in excused
        todo = (
            "workers are behind, or the file is being retried: see `sensorflow files ls`"
            if late
            else ""
        )
        yield Check(f"source {row.source}", "warn" if late else "ok", found, todo)
    for row in inspect.recently_quarantined(url):
        found = f"{row.files:,} files quarantined since yesterday, the last one {row.key_text}: "
        found += str(row.error_code)
        yield Check(f"source {row.source}", "warn", found, "see `sensorflow quarantine ls`")


def held(session: Session) -> Check:
    """Check a session that has held locks for a long time. This is no problem for a load that still owns
    its file, or while a statement runs."""
    where = f"{session.name} (backend {session.pid}, {session.client or 'local'})"
    found = f"{where} has held {', '.join(session.locks)} for {span(session.age)}"
    found += f"; {session.waiting} sessions wait for it" if session.waiting else ""
    idle = (session.state or "").startswith("idle") and (session.silent or 0) > OLD
    if session.outdated or (idle and not session.name.startswith("sensorflow load ")):
        reason = (
            "another worker owns its file"
            if session.outdated
            else f"idle for {span(session.silent or 0)}"
        )
        todo = f"its client is stopped or gone: run SELECT pg_terminate_backend({session.pid})"
        return Check("session", "fail", f"{found}; {reason}", todo)
    return Check("session", "ok", found)
