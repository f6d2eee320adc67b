"""`OnChange.MERGE`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa
from adapters import ON_POSTGRES
from samples import arrival, batch, claim, removed, state

from sensorflow.core.arrival import Lane
from sensorflow.core.checksum import checksum
from sensorflow.core.keys import keys
from sensorflow.core.states import State
from sensorflow.errors import Code, Permanent
from sensorflow.ports.files import Counts
from sensorflow.ports.intake import Kind, OnChange
from sensorflow.ports.ledger import Ledger
from sensorflow.ports.loading import Load, Loaded, UnloadedVersion
from sensorflow.ports.maintenance import Garbage

pytestmark = ON_POSTGRES

MERGE = OnChange.MERGE


def arrive(ledger: Ledger, content: int, key: bytes = b"a.csv", mark: str = "") -> int:
    return ledger.register(arrival(key, content, mark), MERGE, False).file_id


def load(
    ledger: Ledger, file_id: int, silver: pa.RecordBatch, name: str = "plant/a.csv", **facts: object
) -> Loaded:
    plan = Load(Counts(read=len(silver)), MERGE, "p", "h", "0.2", (), identity=name)
    batches = [(silver, keys(silver, name))]
    return ledger.load(claim(ledger, file_id), batches, replace(plan, **facts))  # type: ignore[arg-type]


def counts(ledger: Ledger, file_id: int) -> tuple[int, int]:
    view = ledger.file(file_id)
    assert view is not None
    return view.counts.loaded, view.counts.replaced


def sum_of(ledger: Ledger, file_id: int) -> int:
    view = ledger.file(file_id)
    assert view is not None
    return int(view.checksum or 0)


def drain(ledger: Ledger, silver: dict[int, pa.RecordBatch], name: str = "plant/a.csv") -> None:
    """Load whatever waits to go through again."""
    while waiting := ledger.pending(10, 10):
        for file_id in (w.file_id for w in waiting):
            load(ledger, file_id, silver[file_id], name)


def test_a_newer_version_holds_what_it_states_again_and_the_rest_stays(ledger: Ledger) -> None:
    first, second = arrive(ledger, 1), arrive(ledger, 2)
    load(ledger, first, batch(5))
    done = load(ledger, second, batch(4, start=3, value=9.5))
    assert (done.replaced, done.counts.loaded, done.garbage) == (2, 4, True)
    assert (counts(ledger, first), counts(ledger, second)) == ((5, 2), (4, 0))
    assert (state(ledger, first), state(ledger, second)) == (State.LOADED, State.LOADED)
    remaining = batch(3)
    assert sum_of(ledger, first) == checksum(keys(remaining, "plant/a.csv"), remaining["value"])


def test_the_order_in_which_versions_are_loaded_makes_no_difference(ledger: Ledger) -> None:
    first, second = arrive(ledger, 1), arrive(ledger, 2)
    load(ledger, second, batch(4, start=3, value=9.5))
    done = load(ledger, first, batch(5))
    assert (done.replaced, done.counts.replaced, done.garbage) == (0, 2, True)
    assert (counts(ledger, first), counts(ledger, second)) == ((5, 2), (4, 0))
    remaining = batch(3)
    assert sum_of(ledger, first) == checksum(keys(remaining, "plant/a.csv"), remaining["value"])


def test_what_is_left_of_an_older_version_is_returned_with_the_load(ledger: Ledger) -> None:
    first, second = arrive(ledger, 1), arrive(ledger, 2)
    load(ledger, first, batch(5))
    retained = load(ledger, second, batch(4, start=3)).retained
    assert retained is not None
    assert (retained.file_id, retained.counts.served) == (first, 3)
    third = arrive(ledger, 3)
    assert load(ledger, third, batch(7)).retained is None


def test_undo_of_a_version_brings_back_what_it_had_replaced(ledger: Ledger) -> None:
    first, second, third = (arrive(ledger, number) for number in (1, 2, 3))
    silver = {first: batch(5), second: batch(3, value=2.5), third: batch(4, value=3.5)}
    for file_id, rows in silver.items():
        load(ledger, file_id, rows)
    assert [counts(ledger, n) for n in silver] == [(5, 4), (3, 3), (4, 0)]
    assert ledger.undo(third, "").rows == 4
    drain(ledger, silver)
    assert [counts(ledger, n) for n in (first, second)] == [(5, 3), (3, 0)]
    assert ledger.undo(second, "").rows == 3
    drain(ledger, silver)
    assert counts(ledger, first) == (5, 0)
    again = silver[first]
    assert sum_of(ledger, first) == checksum(keys(again, "plant/a.csv"), again["value"])


def test_a_replay_that_states_less_gives_back_what_it_had_replaced(ledger: Ledger) -> None:
    first, second = arrive(ledger, 1), arrive(ledger, 2)
    load(ledger, first, batch(5))
    load(ledger, second, batch(5, value=2.5))
    ledger.replay(second)
    load(ledger, second, batch(2, value=2.5))
    drain(ledger, {first: batch(5)})
    assert (counts(ledger, first), counts(ledger, second)) == ((5, 2), (2, 0))


def test_a_failed_replay_leaves_the_account_of_what_was_replaced(ledger: Ledger) -> None:
    first, second = arrive(ledger, 1), arrive(ledger, 2)
    load(ledger, first, batch(5))
    ledger.replay(first)
    load(ledger, second, batch(2, value=2.5))  # while the first one goes through again
    claimed = claim(ledger, first)
    ledger.dead_letter(claimed, Permanent(Code.UNEXPECTED, "no"), Counts())
    assert (state(ledger, first), counts(ledger, first)) == (State.LOADED, (5, 2))


def test_versions_that_never_were_loaded_are_superseded_where_a_newer_one_begins_with_them(
    ledger: Ledger,
) -> None:
    first, other, second = (arrive(ledger, number) for number in (1, 2, 3))
    claimed = claim(ledger, second)
    assert [old.file_id for old in ledger.older_versions(claimed).unloaded] == [other, first]
    assert isinstance(ledger.older_versions(claimed).unloaded[0], UnloadedVersion)
    plan = Load(Counts(read=3), MERGE, "p", "h", "0.2", (), "plant/a.csv", covered=(first,))
    ledger.load(claimed, [(batch(3), keys(batch(3), "plant/a.csv"))], plan)
    assert [state(ledger, n) for n in (first, other)] == [State.SUPERSEDED, State.PENDING]
    ledger.undo(second, "")
    assert state(ledger, first) is State.PENDING  # it has readings that nobody has by now


def test_only_versions_between_the_loaded_one_and_this_one_are_looked_at(ledger: Ledger) -> None:
    arrive(ledger, 1)
    loaded = arrive(ledger, 2)
    load(ledger, loaded, batch(3))
    waiting, newest = arrive(ledger, 3), arrive(ledger, 4)
    found = ledger.older_versions(claim(ledger, newest))
    assert [old.file_id for old in found.unloaded] == [waiting]
    assert found.loaded is not None
    assert found.loaded.file_id == loaded


def test_the_same_bytes_under_a_name_that_had_others_hold_their_readings_once(
    ledger: Ledger,
) -> None:
    other, first = arrive(ledger, 2, b"b.csv"), arrive(ledger, 1)
    load(ledger, other, batch(2, start=50), "plant/b.csv")
    load(ledger, first, batch(5))
    second = arrive(ledger, 1, b"b.csv")
    done = load(ledger, second, batch(5), "plant/b.csv")
    assert (done.replaced, done.counts.replaced) == (5, 0)
    assert [counts(ledger, n) for n in (other, first, second)] == [(2, 0), (5, 5), (5, 0)]
    ledger.undo(second, "")
    drain(ledger, {first: batch(5)})
    assert counts(ledger, first) == (5, 0)


def test_names_that_matter_hold_the_same_bytes_each_for_itself(ledger: Ledger) -> None:
    first = ledger.register(arrival(), MERGE, True).file_id
    second = ledger.register(arrival(b"b.csv"), MERGE, True).file_id
    load(ledger, first, batch(5), name_matters=True)
    done = load(ledger, second, batch(5), "plant/b.csv", name_matters=True)
    assert (done.replaced, counts(ledger, first)) == (0, (5, 0))


def test_a_name_that_was_an_alias_keeps_its_readings_when_it_has_content_of_its_own(
    ledger: Ledger,
) -> None:
    first = arrive(ledger, 1)
    load(ledger, first, batch(5))
    assert ledger.register(arrival(b"b.csv", 1), MERGE, False).kind is Kind.ALIAS
    own = ledger.register(arrival(b"b.csv", 2), MERGE, False)
    assert (own.kind, own.version) == (Kind.NEW, 2)
    promoted = ledger.named("b.csv")[0]
    assert (promoted.version, promoted.state) == (1, State.PENDING)
    assert load(ledger, promoted.file_id, batch(5), "plant/b.csv").replaced == 5
    load(ledger, own.file_id, batch(2, value=9.5), "plant/b.csv")
    # what b.csv states otherwise by now is a.csv's again
    drain(ledger, {first: batch(5)})
    assert [counts(ledger, n) for n in (first, promoted.file_id)] == [(5, 3), (5, 2)]


def test_a_name_is_found_by_the_name_of_an_alias(ledger: Ledger) -> None:
    first = arrive(ledger, 1)
    ledger.register(arrival(b"b.csv", 1), MERGE, False)
    assert [view.file_id for view in ledger.named("b.csv")] == [first]
    assert [view.file_id for view in ledger.named("a.csv")] == [first]


def test_garbage_of_a_replaced_version_tells_which_readings_it_still_holds(ledger: Ledger) -> None:
    first, second = arrive(ledger, 1), arrive(ledger, 2)
    load(ledger, first, batch(5))
    load(ledger, second, batch(2, value=2.5))
    found: list[tuple[int, list[bool], int]] = []

    def check(group: Sequence[Garbage]) -> list[int]:
        [left] = group
        if left.holds is not None:
            rows = batch(5)
            owned = left.holds(rows["ts"], keys(rows, left.identity))
            found.append((left.file_id, owned.to_pylist(), left.counts.served))
        return removed(group)

    assert ledger.collect_garbage(check) == 1
    assert found == [(first, [False, False, True, True, True], 3)]
    assert ledger.collect_garbage(check) == 0


def test_a_file_that_goes_through_again_waits_behind_live_ones(ledger: Ledger) -> None:
    first, second = arrive(ledger, 1), arrive(ledger, 2)
    load(ledger, first, batch(5))
    load(ledger, second, batch(5, value=2.5))
    ledger.undo(second, "")
    assert [(w.file_id, w.lane) for w in ledger.pending(9, 9)] == [(first, Lane.BACKFILL)]


def test_versions_in_a_row_are_undone_at_once_and_one_after_the_other(ledger: Ledger) -> None:
    ids = [arrive(ledger, number) for number in (1, 2, 3, 4)]
    for number, file_id in enumerate(ids):
        load(ledger, file_id, batch(4 - number, value=float(number)))
    assert [ledger.undo(n, "", ids[2:]).rows for n in (ids[3], ids[2])] == [1, 1]
    assert [state(ledger, n) for n in ids] == [State.LOADED, State.PENDING, *[State.UNDONE] * 2]
    assert ledger.undo(ids[1], "").rows == 1  # while it waits to go through again
    view = ledger.file(ids[1])
    assert view is not None
    assert (view.state, view.counts.loaded, view.counts.replaced) == (State.UNDONE, 3, 0)
    drain(ledger, {ids[0]: batch(4)})
    assert counts(ledger, ids[0]) == (4, 0)


def test_what_was_kept_beside_is_replaced_once_versions_are_merged(ledger: Ledger) -> None:
    first = ledger.register(arrival(content=1), OnChange.KEEP, False).file_id
    load(ledger, first, batch(5), on_change=OnChange.KEEP)
    second = ledger.register(arrival(content=2), OnChange.KEEP, False).file_id
    load(ledger, second, batch(5, value=2.5), "plant/a.csv\0v2", on_change=OnChange.KEEP)
    third = arrive(ledger, 3)
    assert load(ledger, third, batch(4, start=3, value=9.5)).replaced == 4
    assert [counts(ledger, n) for n in (first, second, third)] == [(5, 2), (5, 2), (4, 0)]
