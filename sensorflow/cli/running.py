"""What runs and what waits, for doctor, status and up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sensorflow.core.health import Check, span

if TYPE_CHECKING:
    from sensorflow.adapters.postgres.inspect import Session
    from sensorflow.ports.catalog import Catalog
    from sensorflow.settings import Settings

OLD = 60.0
"""Seconds after which a session that holds locks is listed, and after which one that is silent is dead."""
WAITING = 900.0
"""Seconds after which a source's oldest waiting file is worth a warning."""


def silence(settings: Settings, ledger: Catalog) -> Iterator[Check]:
    """Sources of which no file has arrived for longer than they say. Raises Transient."""
    if any(source.silent_after for source in settings.sources.values()):
        from sensorflow.status import silent

        for name, age in silent(settings, ledger.activity()).items():
            found = f"no file has arrived for {span(age)}"
            todo = "is its logger on, and does it write into the drop folder?"
            yield Check(f"source {name}", "warn", found, todo)


def ledger(settings: Settings, url: str) -> Iterator[Check]:
    """What the database says of intake and publishing, of old sessions, and of files."""
    from sensorflow.adapters.postgres import inspect

    holders = {row.name: row for row in inspect.holders(url)}
    for name in settings.sources:
        row = holders.get(f"intake of {name}")
        if row is None or row.ended:
            yield Check(
                f"source {name}", "fail", "no daemon takes it in", "start `sensorflow watch`"
            )
        else:
            yield Check(f"source {name}", "ok", f"taken in by {row.owner}")
    if (row := holders.get("publishing")) is not None:
        lease = f"free, last held by {row.owner}" if row.ended else f"held by {row.owner}"
        yield Check("publisher's lease", "ok", lease)
    for session in inspect.old_sessions(url, OLD):
        yield held(session)
    for row in inspect.backlog(url):
        found = f"{row.files:,} files wait, the oldest for {span(row.age)}: {row.key_text}"
        late = row.age > WAITING
        todo = "workers are behind, or it is tried again: see `sensorflow files ls`" if late else ""
        yield Check(f"source {row.source}", "warn" if late else "ok", found, todo)
    for row in inspect.quarantined_lately(url):
        found = f"{row.files:,} files quarantined since yesterday, the last one {row.key_text}: "
        found += str(row.error_code)
        yield Check(f"source {row.source}", "warn", found, "see `sensorflow quarantine ls`")


def held(session: Session) -> Check:
    """Of a session that has held locks for long. A load may be long for as long as its file is its own,
    and a statement for as long as it runs."""
    where = f"{session.name} (backend {session.pid}, {session.client or 'local'})"
    found = f"{where} has held {', '.join(session.locks)} for {span(session.age)}"
    found += f"; {session.waiting} wait for it" if session.waiting else ""
    idle = (session.state or "").startswith("idle") and (session.silent or 0) > OLD
    if session.outdated or (idle and not session.name.startswith("sensorflow load ")):
        why = (
            "its file is another's"
            if session.outdated
            else f"silent for {span(session.silent or 0)}"
        )
        todo = f"its client is stopped or gone: SELECT pg_terminate_backend({session.pid})"
        return Check("session", "fail", f"{found}; {why}", todo)
    return Check("session", "ok", found)
