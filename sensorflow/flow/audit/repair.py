"""Repair what an audit found: plan first, then apply, and never touch the only copy of anything.

Wrong data that is needed is replayed from its landed bytes. Data that is no longer needed is removed, but
only while the original that it was derived from is intact. What no ledger row refers to is not touched.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from sensorflow.core.findings import Fault, Finding
from sensorflow.core.names import canonical
from sensorflow.core.states import State
from sensorflow.errors import SensorflowError, Transient
from sensorflow.flow.audit.deep import digest
from sensorflow.flow.audit.layers import is_unwanted
from sensorflow.flow.audit.report import Report
from sensorflow.flow.audit.sight import Sight
from sensorflow.ports.audit import Book


class Act(StrEnum):
    REPLAY = "replay"  # the workers process the file again
    REMOVE_ROWS = "remove rows"
    REMOVE_FILE = "remove lake file"
    NOTHING = "nothing"  # sensorflow cannot repair it


_REPLAYED = frozenset(
    {
        Fault.MANIFEST_MISSING,
        Fault.KEPT_MISSING,
        Fault.ROWS_MISSING,
        Fault.SILVER_MISSING,
        Fault.REJECTS_MISSING,
        Fault.BRONZE_MISSING,
        Fault.KEPT_HASH,
        Fault.REJECTS_ROWS,
        Fault.REPEATS_MISSING,
        Fault.ROWS_EXTRA,
        Fault.BALANCE,
        Fault.SILVER_UNREADABLE,
        Fault.SILVER_ROWS,
        Fault.ROWS_CHANGED,
        Fault.SILVER_CHANGED,
        Fault.COLUMNS_CHANGED,
        Fault.KEYS_CHANGED,
    }
)
_ACTS = dict.fromkeys(_REPLAYED, Act.REPLAY) | {
    Fault.ROWS_UNWANTED: Act.REMOVE_ROWS,
    Fault.LAYER_UNWANTED: Act.REMOVE_FILE,
}


@dataclass(frozen=True)
class Step:
    """A repair of one file. able: whether it is allowed. done: whether it was done. why: the reason, for
    people."""

    act: Act
    finding: Finding
    able: bool
    why: str
    done: bool = False


def plan(sight: Sight, report: Report) -> list[Step]:
    """Returns the repair for each finding, with at most one replay per file. Changes nothing."""
    steps: list[Step] = []
    replayed: set[int] = set()
    for found in report.findings:
        act = _ACTS.get(found.fault, Act.NOTHING)
        if act is Act.REPLAY and found.file_id in replayed:
            continue
        step = _step(sight, act, found)
        if act is Act.REPLAY and found.file_id is not None:
            replayed.add(found.file_id)
        steps.append(step)
    return steps


def _step(sight: Sight, act: Act, found: Finding) -> Step:
    book = sight.books_by_id.get(found.file_id or 0)
    if act is Act.NOTHING or book is None:
        why = "no row of the ledger refers to it" if book is None else found.todo
        return Step(Act.NOTHING, found, False, why)
    why = _hindrance(sight, act, book)
    return Step(act, found, not why, why or _words(sight, act, book))


def _hindrance(sight: Sight, act: Act, book: Book) -> str:
    """Returns why the repair is not allowed; empty if it is."""
    if book.in_flight:
        return f"the file is {book.state}: let it come to its end first"
    if act is Act.REPLAY and "rows" in book.expired:
        return "retention has removed its rows: a replay would bring them back"
    if _original(sight, book):
        return ""
    if act is Act.REMOVE_FILE and any(_original(sight, b) for b in _successors(sight, book)):
        return ""
    return "the landed original is missing or was changed: this may be the only copy"


def _original(sight: Sight, book: Book) -> bool:
    """Whether the landed bytes exist and are unchanged."""
    try:
        return digest(sight.world.landing, book.landing) == book.sha256
    except Transient:
        return False


def _successors(sight: Sight, book: Book) -> list[Book]:
    """Returns the loaded versions that replaced a superseded file."""
    if book.state is not State.SUPERSEDED:
        return []
    name = canonical(book.key)
    return [
        b
        for b in sight.books_by_id.values()
        if (b.source, canonical(b.key), b.state) == (book.source, name, State.LOADED)
        and b.version > book.version
    ]


def _words(sight: Sight, act: Act, book: Book) -> str:
    if act is not Act.REPLAY:
        return "the landed original is there"
    source = sight.world.settings.sources.get(book.source)
    loaded = book.state is State.LOADED
    if source and loaded and sight.world.settings.profile_of(source).hash != book.profile_hash:
        return "from its landed bytes, by the profile as it is now: not the one it was loaded by"
    return "from its landed bytes"


def apply(sight: Sight, steps: list[Step]) -> list[Step]:
    """Apply the allowed repairs. Skips files that have changed since."""
    return [_apply(sight, step) if step.able else step for step in steps]


def _apply(sight: Sight, step: Step) -> Step:
    file_id = step.finding.file_id
    assert file_id is not None
    try:
        if step.act is Act.REPLAY:
            done = sight.world.ledger.replay(file_id)
        elif step.act is Act.REMOVE_ROWS:
            done = sight.books.remove_rows(file_id) > 0
        else:
            done = _remove(sight, file_id, step.finding.path)
    except SensorflowError as error:
        return replace(step, why=str(error))
    return replace(
        step,
        done=done,
        why=step.why if done else "the file has changed since, or the action failed",
    )


def _remove(sight: Sight, file_id: int, place: str) -> bool:
    """Remove one file of the lake while its ledger row is locked."""
    found = sight.world.lake.stored_at(place)
    with sight.books.holding(file_id) as book:
        if book is None or found is None or _hindrance(sight, Act.REMOVE_FILE, book):
            return False
        if not is_unwanted(sight, book, found):
            return False
        sight.world.lake.discard(found)
        return True
