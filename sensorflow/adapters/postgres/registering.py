"""Registers arrivals. Decides whether an arrival is a new file, a new version, an alias, or already
registered."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from sensorflow.adapters.postgres.history import add_event
from sensorflow.adapters.postgres.queries import run
from sensorflow.adapters.postgres.rows import facts_of
from sensorflow.core.arrival import Arrival, printable
from sensorflow.core.events import FileEvent
from sensorflow.core.names import canonical
from sensorflow.core.states import Stage
from sensorflow.errors import REMEDY, Code
from sensorflow.ports.intake import IntakeLease, Kind, OnChange, Registration, intake_lost

ALIASES = 3
"""Minimum number of arrivals for which one search for all of their duplicates is faster than one search
per arrival."""
_ALIAS = ("keys", "names", "key_texts", "sha256s", "fingerprints")


def register_all(
    c: sa.Connection,
    actor: str,
    arrivals: Sequence[Arrival],
    on_change: OnChange,
    name_matters: bool,
) -> list[Registration]:
    """Register a group of arrivals of one source in the given order; for the arguments, see
    `Intake.register_many`. Call `hold_source` first, in the same transaction."""
    known = _add_many(c, actor, arrivals, on_change, name_matters)
    return [
        known.get(place) or _register(c, actor, arrival, on_change, name_matters)
        for place, arrival in enumerate(arrivals, 1)
    ]


def _add_many(
    c: sa.Connection,
    actor: str,
    arrivals: Sequence[Arrival],
    on_change: OnChange,
    name_matters: bool,
) -> dict[int, Registration]:
    """Register the arrivals for which few statements are sufficient: arrivals with a new name and new
    bytes, and arrivals with a new name that are only an alias of a registered file. Returns a dict for
    these arrivals: position in `arrivals`, counted from 1 -> registration."""
    source = arrivals[0].source
    facts = [{**facts_of(a), "name": name_of(c, source, a.key)} for a in arrivals]
    columns = {f"{name}s": [row[name] for row in facts] for name in facts[0]}
    given = {"source": source, "who": actor, "on_change": str(on_change)}
    rows = run(c, "add_plain", **given, **columns).all()
    done = {row.place: Registration(row.id, 1, Kind.NEW) for row in rows}
    if name_matters or len(arrivals) - len(done) < ALIASES:
        return done
    left = [n for n in range(len(arrivals)) if n + 1 not in done]
    some = {name: [values[n] for n in left] for name, values in columns.items() if name in _ALIAS}
    for row in run(c, "add_aliases", source=source, **some):
        done[left[row.place - 1] + 1] = Registration(row.id, row.version, Kind.ALIAS)
    return done


def _register(
    c: sa.Connection, actor: str, arrival: Arrival, on_change: OnChange, name_matters: bool
) -> Registration:
    place = {"source": arrival.source, "key": arrival.key}
    sha = arrival.landed.sha256
    seen = run(c, "seen", **place, fingerprint=arrival.fingerprint, sha256=sha).first()
    if seen is not None:
        return Registration(seen.file_id, seen.version, Kind.SEEN)
    name = name_of(c, arrival.source, arrival.key)
    known = {"source": arrival.source, "name": name or arrival.key}
    if on_change is OnChange.MERGE:
        _promote_alias(c, actor, arrival, name)
    duplicate = run(c, "twin", **known, sha256=sha, name_matters=name_matters).first()
    kind = Kind.NEW if duplicate is None else Kind.ALIAS
    row = duplicate or _add(c, actor, arrival, on_change, name)
    if duplicate is not None:
        run(c, "landed_again", id=row.id)
    run(
        c,
        "add_arrival",
        **place,
        file_id=row.id,
        name=name,
        key_text=printable(arrival.key),
        fingerprint=arrival.fingerprint,
        kind=kind,
    )
    return Registration(row.id, row.version, kind)


def _promote_alias(c: sa.Connection, actor: str, arrival: Arrival, name: bytes | None) -> None:
    """If the name of the arrival was an alias so far and now arrives with other bytes, promote the alias
    to a separate file. The previous bytes thereby become an earlier version of this name."""
    known = {"source": arrival.source, "name": name or arrival.key}
    row = run(c, "alias_of", **known, sha256=arrival.landed.sha256).first()
    if row is None:
        return
    named = {"key": row.key, "key_text": row.key_text, "name": row.name}
    promoted = run(c, "take_over", id=row.id, **named).scalar_one()
    run(c, "move_alias", id=row.id, heir=promoted, name=known["name"])
    reason = f"the name was an alias of file {row.id}, and now has different content"
    add_event(c, actor, promoted, FileEvent.REGISTERED, Stage.VALIDATE, why=reason)


def _add(
    c: sa.Connection, actor: str, arrival: Arrival, on_change: OnChange, name: bytes | None
) -> Any:
    facts = {**facts_of(arrival), "name": name}
    del facts["fingerprint"]
    row = run(
        c,
        "add_file",
        source=arrival.source,
        on_change=str(on_change),
        refuse=on_change is OnChange.REJECT,
        refusal_code=str(Code.VERSION_REFUSED),
        refusal=REMEDY[Code.VERSION_REFUSED],
        **facts,
    ).one()
    add_event(c, actor, row.id, FileEvent.REGISTERED, row.stage)
    return row


def hold_source(c: sa.Connection, source: str, lease: IntakeLease | None) -> None:
    """Lock the registrations of a source until the commit, so that they run one after another. Raises
    IntakeLost if a newer intake lease than `lease` exists. Until the commit, no other process can acquire
    the intake lease. lease: None to skip the check."""
    run(c, "lock_source", source=source)
    if lease is None:
        return
    if not run(c, "intake_held", source=lease.source, token=lease.token).scalar_one():
        raise intake_lost(lease)


def name_of(c: sa.Connection, source: str, key: bytes) -> bytes | None:
    """Return the name that all versions of the file `key` share, or None if this name is `key` itself.

    The name is the key in composed Unicode form (see `names.canonical`). Older versions of sensorflow did
    not compose names. A file that such a version has registered still has its key as its name.
    """
    name = canonical(key)
    if name == key or run(c, "is_name", source=source, name=key).scalar_one():
        return None
    return name


def announce(c: sa.Connection, arrivals: Sequence[Arrival], done: Sequence[Registration]) -> None:
    """Record the announcements of the gates of files that were registered in this transaction. done: the
    registration of each arrival."""
    for arrival, entered in zip(arrivals, done, strict=True):
        if (announcement := arrival.announcement) is None:
            continue
        what = json.dumps(announcement.announced.as_json(), sort_keys=True)
        place = {"source": arrival.source, "gate": announcement.gate, "mark": announcement.mark}
        run(c, "announce", **place, key=arrival.key, id=entered.file_id, what=what)
