"""What `ports.ledger.Ledger` says of files that are finished (replay, undo, retention) and of steps."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import NoReturn

import pytest
from adapters import ON_POSTGRES
from samples import (
    add,
    arrival,
    batch,
    claim,
    load,
    quarantine_it,
    removed,
    removed_into,
    state,
)

from sensorflow.adapters.postgres import retention
from sensorflow.core.keys import keys
from sensorflow.core.states import State
from sensorflow.errors import Code, Permanent, Transient
from sensorflow.ports.files import Counts
from sensorflow.ports.intake import Kind, OnChange
from sensorflow.ports.ledger import Ledger
from sensorflow.ports.loading import Load
from sensorflow.ports.maintenance import GARBAGE_GROUP, Expirable, Garbage

SHORT = 0.05


def loaded(ledger: Ledger, rows: int = 3) -> int:
    file_id = add(ledger)
    load(ledger, claim(ledger, file_id), batch(rows))
    return file_id


def test_the_project_tells_which_zones_must_have_objects(ledger: Ledger) -> None:
    project = ledger.project()
    assert (project.has_files, project.stored) == (False, frozenset())
    file_id = add(ledger)
    project = ledger.project()
    assert (project.has_files, project.stored) == (True, {"landing"})
    load(ledger, claim(ledger, add(ledger, b"empty.csv", 2)), batch(0))  # as an archive
    assert ledger.project().stored == {"landing"}
    load(ledger, claim(ledger, file_id), batch(3))
    assert ledger.project().stored == {"landing", "lake"}


@ON_POSTGRES
def test_zones_of_which_retention_removed_everything_may_be_empty(ledger: Ledger) -> None:
    loaded(ledger)
    ledger.expire("plant", Expirable.LANDING, -1)
    assert ledger.project().stored == {"lake"}
    ledger.expire("plant", Expirable.BRONZE, -1)
    project = ledger.project()
    assert (project.has_files, project.stored) == (True, frozenset())


@ON_POSTGRES
def test_a_replayed_file_keeps_its_rows_until_the_new_ones_are_there(ledger: Ledger) -> None:
    file_id = loaded(ledger, 3)
    assert ledger.replay(file_id)
    assert state(ledger, file_id) is State.PENDING
    assert not ledger.replay(file_id)
    again = claim(ledger, file_id)
    assert again.has_loaded_rows
    counts = load(ledger, again, batch(5))
    assert (counts.loaded, counts.duplicate) == (5, 0)
    assert ledger.totals()["plant"].rows_loaded == 5


@ON_POSTGRES
def test_a_replay_by_the_same_rules_leaves_the_same_account(ledger: Ledger) -> None:
    file_id = loaded(ledger, 3)
    before = ledger.file(file_id)
    ledger.replay(file_id)
    load(ledger, claim(ledger, file_id), batch(3))
    after = ledger.file(file_id)
    assert before is not None
    assert after is not None
    assert after.counts == before.counts
    assert after.checksum == before.checksum


@ON_POSTGRES
def test_a_replay_that_cannot_be_loaded_leaves_the_file_as_it_was(ledger: Ledger) -> None:
    file_id = loaded(ledger, 3)
    ledger.replay(file_id)
    left = ledger.dead_letter(
        claim(ledger, file_id), Permanent(Code.UNREADABLE, "x"), Counts(read=9)
    )
    assert left is State.LOADED
    view = ledger.file(file_id)
    assert view is not None
    assert view.counts == Counts(read=3, loaded=3)
    assert view.error_code == Code.UNREADABLE
    assert ledger.history(file_id)[-1].what == "replay failed"


@ON_POSTGRES
def test_a_file_is_replayed_by_the_profile_that_was_asked_for(ledger: Ledger) -> None:
    file_id = add(ledger)
    assert not ledger.replay(file_id, "other")
    assert claim(ledger, file_id, SHORT).profile is None
    time.sleep(SHORT * 2)
    quarantine_it(ledger, file_id)
    assert ledger.replay(file_id, "other")
    assert claim(ledger, file_id).profile == "other"


@ON_POSTGRES
def test_undo_takes_out_exactly_that_files_rows_and_replay_brings_them_back(ledger: Ledger) -> None:
    file_id, other = loaded(ledger, 3), add(ledger, b"b.csv", 2)
    load(ledger, claim(ledger, other), batch(2), "plant/b.csv")
    assert ledger.undo(file_id, "wrong sensor").rows == 3
    assert ledger.undo(file_id, "again") is None
    assert state(ledger, file_id) is State.UNDONE
    assert ledger.totals()["plant"].rows_loaded == 2
    assert ledger.replay(file_id)
    load(ledger, claim(ledger, file_id), batch(3))
    assert ledger.totals()["plant"].rows_loaded == 5
    assert "undone" in [event.what for event in ledger.history(file_id)]


@ON_POSTGRES
def test_the_same_bytes_after_an_undo_are_a_file_again(ledger: Ledger) -> None:
    file_id = loaded(ledger)
    ledger.undo(file_id, "")
    back = ledger.register(arrival(mark="back"), OnChange.SUPERSEDE, False)
    assert (back.kind, back.version) == (Kind.NEW, 2)
    load(ledger, claim(ledger, back.file_id), batch(3))
    assert state(ledger, file_id) is State.SUPERSEDED
    assert not ledger.replay(file_id)


@ON_POSTGRES
def test_readings_that_others_left_out_come_back_when_their_holder_is_undone(
    ledger: Ledger,
) -> None:
    first, second = add(ledger), add(ledger, b"b.csv", 2)
    plan = Load(Counts(read=3), OnChange.KEEP, "p", "h", "0", (), "plant/")
    for file_id, start, left in ((first, 0, 0), (second, 2, 1)):
        silver = batch(3, start)
        rows = [(silver, keys(silver, "plant/"))]
        assert ledger.load(claim(ledger, file_id), rows, plan).counts.duplicate == left
    assert ledger.undo(first, "").rows == 3
    again = claim(ledger, second)
    assert again.has_loaded_rows
    silver = batch(3, 2)
    counts = ledger.load(again, [(silver, keys(silver, "plant/"))], plan).counts
    assert (counts.loaded, counts.duplicate) == (3, 0)


@ON_POSTGRES
def test_a_replayed_file_leaves_to_others_what_they_hold(ledger: Ledger) -> None:
    first, second = add(ledger), add(ledger, b"b.csv", 2)
    plan = Load(Counts(read=3), OnChange.KEEP, "p", "h", "0", (), "plant/")
    for file_id, start in ((first, 0), (second, 2)):
        silver = batch(3, start)
        ledger.load(claim(ledger, file_id), [(silver, keys(silver, "plant/"))], plan)
    before = ledger.file(second)
    ledger.replay(second)
    silver = batch(3, 2)
    counts = ledger.load(claim(ledger, second), [(silver, keys(silver, "plant/"))], plan).counts
    after = ledger.file(second)
    assert before is not None
    assert after is not None
    assert (counts.loaded, counts.duplicate) == (2, 1)
    assert after.checksum == before.checksum


@ON_POSTGRES
def test_what_is_undone_or_replaced_is_to_be_tidied_once(ledger: Ledger) -> None:
    old = loaded(ledger)
    new = add(ledger, content=2)
    load(ledger, claim(ledger, new), batch(2))
    ledger.undo(new, "")
    seen: list[Garbage] = []
    assert ledger.collect_garbage(removed_into(seen)) == 2
    assert {(left.file_id, left.state) for left in seen} == {
        (old, State.SUPERSEDED),
        (new, State.UNDONE),
    }
    assert ledger.collect_garbage(removed_into(seen)) == 0


@ON_POSTGRES
def test_what_is_not_loaded_is_tidied_once_more_after_a_while(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that had it as it was undone may have written something since."""
    monkeypatch.setattr(retention, "RECOLLECT_AFTER_SECONDS", 1.5)
    file_id = loaded(ledger)
    seen: list[Garbage] = []
    for _ in range(2):
        ledger.undo(file_id, "")
        assert [ledger.collect_garbage(removed_into(seen)) for _ in range(2)] == [1, 0]
        ledger.replay(file_id)
        load(ledger, claim(ledger, file_id), batch(3))
        assert ledger.collect_garbage(removed_into(seen)) == 1  # and there is nothing to remove
        assert seen[-1].state is State.LOADED
    ledger.undo(file_id, "")
    assert ledger.collect_garbage(removed_into(seen)) == 1
    ledger.mark_garbage(file_id)
    assert [ledger.collect_garbage(removed_into(seen)) for _ in range(2)] == [1, 0]
    time.sleep(1.6)
    assert [ledger.collect_garbage(removed_into(seen)) for _ in range(2)] == [1, 0]
    time.sleep(1.6)
    assert ledger.collect_garbage(removed_into(seen)) == 0


@ON_POSTGRES
def test_what_could_not_be_removed_is_tidied_later(ledger: Ledger) -> None:
    ledger.undo(loaded(ledger), "")

    def fail(_group: Sequence[Garbage]) -> NoReturn:
        raise Transient(Code.STORAGE, "read-only")

    with pytest.raises(Transient):
        ledger.collect_garbage(fail)
    assert ledger.collect_garbage(removed) == 1


@ON_POSTGRES
def test_layers_of_finished_files_expire_once(ledger: Ledger) -> None:
    file_id = loaded(ledger)
    assert ledger.expire("plant", Expirable.LANDING, 60).files == 0
    time.sleep(SHORT)
    assert ledger.expire("other", Expirable.LANDING, SHORT / 2).files == 0
    assert ledger.expire("plant", Expirable.LANDING, SHORT / 2).files == 1
    assert ledger.expire("plant", Expirable.LANDING, SHORT / 2).files == 0
    seen: list[Garbage] = []
    ledger.collect_garbage(removed_into(seen))
    assert [left.landing for left in seen] == [arrival().landed.name]
    assert not ledger.replay(file_id)
    ledger.register(arrival(mark="again"), OnChange.SUPERSEDE, False)  # the bytes are there again
    assert ledger.replay(file_id)


@ON_POSTGRES
@pytest.mark.parametrize("source", ["plant", "a", "z"])
def test_bytes_that_another_file_needs_are_not_removed(ledger: Ledger, source: str) -> None:
    file_id = loaded(ledger)
    other = ledger.register(replace(arrival(b"b.csv"), source=source), OnChange.SUPERSEDE, True)
    assert other.file_id != file_id
    time.sleep(SHORT)
    ledger.expire("plant", Expirable.LANDING, SHORT / 2)
    seen: list[Garbage] = []
    ledger.collect_garbage(removed_into(seen))
    assert [(left.file_id, left.landing) for left in seen] == [(file_id, None)]


@ON_POSTGRES
def test_nothing_of_an_unfinished_or_quarantined_file_expires(ledger: Ledger) -> None:
    add(ledger)
    quarantine_it(ledger, add(ledger, b"b.csv", 2))
    time.sleep(SHORT)
    for layer in Expirable:
        assert ledger.expire("plant", layer, SHORT / 2).files == 0


@ON_POSTGRES
def test_rows_expire_by_when_they_were_measured_and_a_replay_brings_them_back(
    ledger: Ledger,
) -> None:
    file_id = loaded(ledger)
    assert ledger.expire("plant", Expirable.ROWS, 100 * 365.25 * 86400).files == 0
    assert ledger.expire("plant", Expirable.ROWS, 60).files == 1
    assert ledger.replay(file_id)
    assert load(ledger, claim(ledger, file_id), batch(3)).loaded == 3


@ON_POSTGRES
def test_old_history_is_forgotten_but_for_the_last_event(ledger: Ledger) -> None:
    file_id = loaded(ledger)
    add(ledger, b"b.csv", 2)
    assert ledger.delete_history("plant", 60) == 0
    time.sleep(SHORT)
    assert ledger.delete_history("plant", SHORT / 2) > 0
    assert [event.what for event in ledger.history(file_id)] == ["loaded"]
    assert [len(ledger.history(v.file_id)) for v in ledger.files() if v.name == "b.csv"] == [1]


def test_a_step_is_one_callers_until_it_is_due_again(ledger: Ledger) -> None:
    won: list[bool] = []
    callers = [
        threading.Thread(target=lambda: won.append(ledger.claim_turn("tidying", 60)))
        for _ in range(6)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert won.count(True) == 1
    assert ledger.claim_turn("another", SHORT)
    time.sleep(SHORT)
    assert ledger.claim_turn("another", SHORT)


def test_a_step_may_be_done_early_and_is_nobody_elses_then(ledger: Ledger) -> None:
    assert ledger.claim_turn("tidying", 60)
    assert not ledger.claim_turn("tidying", 60, early=30)
    assert ledger.claim_turn("tidying", 60, early=61)
    assert not ledger.claim_turn("tidying", 60, early=30)
    assert ledger.claim_turn("never yet", 60, early=30)
    assert not ledger.claim_turn("never yet", 60)


def test_a_turn_that_ends_later_than_it_can_ends_nobodys_wait(ledger: Ledger) -> None:
    """The clock was set back."""
    assert ledger.claim_turn("tidying", 3600)
    assert ledger.claim_turn("tidying", 60)
    assert not ledger.claim_turn("tidying", 60)


def marked(ledger: Ledger, count: int) -> list[int]:
    """Loaded files that may have garbage."""
    found = []
    for number in range(count):
        file_id = add(ledger, b"%d.csv" % number, number + 1)
        load(ledger, claim(ledger, file_id), batch(1, number), f"plant/{number}.csv")
        ledger.mark_garbage(file_id)
        found.append(file_id)
    return found


def with_garbage(ledger: Ledger, ids: list[int]) -> list[int]:
    views = [view for file_id in ids if (view := ledger.file(file_id)) is not None]
    return [view.file_id for view in views if not view.tidy]


def test_garbage_is_passed_in_groups_and_once(ledger: Ledger) -> None:
    ids, seen, sizes = marked(ledger, GARBAGE_GROUP + 3), list[int](), list[int]()

    def remove(group: Sequence[Garbage]) -> list[int]:
        sizes.append(len(group))
        seen.extend(removed(group))
        return removed(group)

    assert ledger.collect_garbage(remove, limit=2) == 2
    assert ledger.collect_garbage(remove) == len(ids) - 2
    assert sizes == [2, GARBAGE_GROUP, 1]
    assert seen == ids
    assert ledger.collect_garbage(remove) == 0


def test_a_file_whose_garbage_cannot_be_removed_delays_no_other_file(ledger: Ledger) -> None:
    bad, *good = ids = marked(ledger, GARBAGE_GROUP + 3)
    seen: list[int] = []

    def remove(group: Sequence[Garbage]) -> list[int]:
        seen.extend(removed(group))
        return [file_id for file_id in removed(group) if file_id != bad]

    assert ledger.collect_garbage(remove) == len(good)
    assert seen == ids  # each of them once
    assert with_garbage(ledger, ids) == [bad]
    assert ledger.collect_garbage(remove) == 0
    assert ledger.collect_garbage(removed) == 1
    assert with_garbage(ledger, ids) == []


def test_a_group_of_which_nothing_can_be_removed_is_the_last_one(ledger: Ledger) -> None:
    ids, seen = marked(ledger, GARBAGE_GROUP + 3), list[int]()

    def fail(group: Sequence[Garbage]) -> list[int]:
        seen.extend(removed(group))
        return []

    assert ledger.collect_garbage(fail) == 0
    assert seen == ids[:GARBAGE_GROUP]
    assert with_garbage(ledger, ids) == ids
    assert ledger.collect_garbage(removed) == len(ids)


def test_an_error_of_a_removal_counts_no_file_of_its_group_as_removed(ledger: Ledger) -> None:
    ids = marked(ledger, 2)

    def fail(_group: Sequence[Garbage]) -> NoReturn:
        raise ValueError("a defect")

    with pytest.raises(ValueError, match="a defect"):
        ledger.collect_garbage(fail)
    assert with_garbage(ledger, ids) == ids


def test_a_file_does_not_change_while_its_garbage_is_removed(ledger: Ledger) -> None:
    [file_id] = marked(ledger, 1)
    changed = threading.Event()

    def change() -> None:
        ledger.mark_garbage(file_id)
        changed.set()

    changer = threading.Thread(target=change)

    def remove(group: Sequence[Garbage]) -> list[int]:
        changer.start()
        assert not changed.wait(0.3)
        return removed(group)

    assert ledger.collect_garbage(remove) == 1
    changer.join(10)
    assert ledger.collect_garbage(removed) == 1  # it was marked after the removal
