"""Checks the leases, the database sessions and the waiting files of a project, for `doctor`."""

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
"""Seconds for which a database session must hold locks before it is listed, and for which a session must be
idle before it counts as dead."""
WAITING = 900.0
"""Age in seconds of the oldest waiting file above which `doctor` warns."""


def overdue_arrivals(settings: Settings, ledger: Ledger) -> Iterator[Check]:
    """Yields a warning for each source from which no file has arrived for longer than its `silent_after`. A
    source from which no file has ever arrived is not included. Raises Transient."""
    if any(source.silent_after for source in settings.sources.values()):
        from sensorflow.status import silent_sources

        held = ledger.controls()
        for name, age in silent_sources(settings, ledger.activity(), held).items():
            found = f"no file has arrived for {span(age)}"
            todo = "check that the logger is on and writes to the drop folder"
            yield Check(f"source {name}", "warn", found, todo)


def held_back(ledger: Controls) -> Iterator[Check]:
    """Yields a warning for each source that is paused or draining, so that nobody forgets it."""
    for name, control in ledger.controls().items():
        yield Check(f"source {name}", "warn", str(control), f"`sensorflow sources resume {name}`")


def ledger(settings: Settings, url: str, excused: Collection[str] = ()) -> Iterator[Check]:
    """Yields results of the checks of leases, old sessions, waiting files and quarantined files. url: the
    database, which contains all of these. excused: the sources that are paused or draining, whose files may
    wait for long."""
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
        yield session_check(session)
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


def session_check(session: Session) -> Check:
    """Check a database session that has held locks for a long time. The check fails if another worker has
    claimed the file of the session, or if the session is idle and is not a load."""
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
