"""What `ports.intake.Intake` says of the files that are registered: states, names, versions and aliases."""

from __future__ import annotations

from adapters import ON_POSTGRES
from samples import DONE, add, arrival, batch, claim, load, quarantine_it, state

from sensorflow.core.states import Stage, State
from sensorflow.errors import Code, Permanent
from sensorflow.ports.files import Counts
from sensorflow.ports.intake import Kind, OnChange
from sensorflow.ports.ledger import Ledger


def test_the_same_state_of_a_file_is_registered_once(ledger: Ledger) -> None:
    first = ledger.register(arrival(), OnChange.SUPERSEDE, False)
    again = ledger.register(arrival(), OnChange.SUPERSEDE, False)
    assert (first.kind, again.kind) == (Kind.NEW, Kind.SEEN)
    assert first.file_id == again.file_id
    assert ledger.seen("plant", b"a.csv", arrival().fingerprint)
    assert not ledger.seen("plant", b"a.csv", "another")


def test_a_state_without_a_lasting_inode_is_known_by_one_that_had_it(ledger: Ledger) -> None:
    ledger.register(arrival(mark="7:8:5:60:61"), OnChange.SUPERSEDE, False)
    assert ledger.seen("plant", b"a.csv", "*:*:5:60:61")
    assert not ledger.seen("plant", b"a.csv", "*:*:5:60:62")
    assert not ledger.seen("plant", b"a.csv", "*:*:15:60:61")
    assert not ledger.seen("plant", b"a.csv", "7:9:5:60:61")
    again = ledger.register(arrival(mark="*:*:5:60:61"), OnChange.SUPERSEDE, False)
    assert again.kind is Kind.SEEN


def test_the_same_bytes_are_an_alias_under_any_name(ledger: Ledger) -> None:
    first = add(ledger)
    redrop = ledger.register(arrival(mark="later"), OnChange.SUPERSEDE, False)
    other = ledger.register(arrival(b"b.csv"), OnChange.SUPERSEDE, False)
    assert (redrop.kind, redrop.file_id) == (Kind.ALIAS, first)
    assert (other.kind, other.file_id) == (Kind.ALIAS, first)
    assert [a.name for a in ledger.arrivals(first)] == ["a.csv", "a.csv", "b.csv"]


def test_the_same_bytes_under_another_name_are_a_file_where_names_matter(ledger: Ledger) -> None:
    first = ledger.register(arrival(), OnChange.SUPERSEDE, True)
    other = ledger.register(arrival(b"b.csv"), OnChange.SUPERSEDE, True)
    assert other.kind is Kind.NEW
    assert other.file_id != first.file_id


def test_a_group_is_registered_as_its_files_one_after_the_other_would_be(ledger: Ledger) -> None:
    known = add(ledger)
    group = [
        arrival(b"b.csv", 2),  # plain
        arrival(b"c.csv", 2),  # the bytes of the one before it
        arrival(),  # seen
        arrival(content=3),  # a new version
        arrival(b"d.csv", 3),  # the bytes of that version
        arrival(b"e.csv", 1),  # bytes that are no longer their name's newest
        arrival(b"f.csv", 4),  # plain
        arrival(b"f.csv", 5),  # and changed at once
    ]
    done = ledger.register_many(group, OnChange.SUPERSEDE, False)
    assert [(r.kind, r.version) for r in done] == [
        (Kind.NEW, 1),
        (Kind.ALIAS, 1),
        (Kind.SEEN, 1),
        (Kind.NEW, 2),
        (Kind.ALIAS, 2),
        (Kind.ALIAS, 1),
        (Kind.NEW, 1),
        (Kind.NEW, 2),
    ]
    assert (done[1].file_id, done[2].file_id, done[4].file_id) == (
        done[0].file_id,
        known,
        done[3].file_id,
    )
    assert [e.what for e in ledger.history(done[0].file_id)] == ["registered"]
    assert [a.name for a in ledger.arrivals(done[0].file_id)] == ["b.csv", "c.csv"]
    assert len(ledger.pending(100, 100)) == 5


@ON_POSTGRES
def test_many_aliases_of_a_group_are_what_they_would_be_one_by_one(ledger: Ledger) -> None:
    known, gone = add(ledger), add(ledger, b"gone.csv", 7)
    quarantine_it(ledger, gone)
    ledger.register(arrival(b"old.csv", 1), OnChange.MERGE, False)
    group = [
        arrival(b"new.csv", 2),
        *(arrival(b"%d.csv" % n, 2) for n in range(3)),
        arrival(b"other.csv", 1),
        arrival(b"old.csv", 1),  # seen
        arrival(b"old.csv", 2),  # an alias that takes other bytes
        arrival(b"again.csv", 7),  # the bytes of a quarantined file
        arrival(b"twice.csv", 1),
        arrival(b"twice.csv", 2),
    ]
    done = ledger.register_many(group, OnChange.MERGE, False)
    new = done[0].file_id
    expected = [Kind.NEW, *[Kind.ALIAS] * 4, Kind.SEEN, Kind.NEW, Kind.NEW, Kind.ALIAS, Kind.NEW]
    assert [r.kind for r in done] == expected
    assert [r.file_id for r in done[1:6]] == [new, new, new, known, known]
    assert [a.name for a in ledger.arrivals(new)] == ["new.csv", "0.csv", "1.csv", "2.csv"]
    assert [r.kind for r in ledger.register_many(group[:5], OnChange.MERGE, False)] == [
        Kind.SEEN
    ] * 5


def test_plain_files_of_a_group_are_due_in_its_order(ledger: Ledger) -> None:
    group = [arrival(b"%d.csv" % n, n) for n in (5, 1, 4, 2, 3)]
    done = ledger.register_many(group, OnChange.SUPERSEDE, False)
    assert [w.key for w in ledger.pending(10, 10)] == [a.key for a in group]
    assert [w.file_id for w in ledger.pending(10, 10)] == [r.file_id for r in done]


def test_names_matter_in_a_group_too(ledger: Ledger) -> None:
    group = [arrival(b"a.csv"), arrival(b"b.csv")]
    assert [r.kind for r in ledger.register_many(group, OnChange.SUPERSEDE, True)] == [Kind.NEW] * 2


@ON_POSTGRES
def test_other_bytes_under_a_name_are_a_new_version_that_supersedes(ledger: Ledger) -> None:
    old = add(ledger)
    load(ledger, claim(ledger, old), batch(3))
    new = ledger.register(arrival(content=2), OnChange.SUPERSEDE, False)
    assert new.version == 2
    assert state(ledger, old) is State.LOADED
    load(ledger, claim(ledger, new.file_id), batch(2))
    assert state(ledger, old) is State.SUPERSEDED
    assert ledger.totals()["plant"].rows_loaded == 2


def test_going_back_to_older_bytes_is_a_version_of_its_own(ledger: Ledger) -> None:
    add(ledger, content=1)
    add(ledger, content=2)
    back = ledger.register(arrival(content=1, mark="back"), OnChange.SUPERSEDE, False)
    assert (back.kind, back.version) == (Kind.NEW, 3)


@ON_POSTGRES
def test_an_alias_takes_over_when_its_twin_is_superseded(ledger: Ledger) -> None:
    old = add(ledger)
    load(ledger, claim(ledger, old), batch(3))
    ledger.register(arrival(b"b.csv"), OnChange.SUPERSEDE, False)
    new = add(ledger, content=2)
    load(ledger, claim(ledger, new), batch(2))
    promoted = [f for f in ledger.files() if f.name == "b.csv"]
    assert [f.state for f in promoted] == [State.PENDING]
    load(ledger, claim(ledger, promoted[0].file_id), batch(3), "plant/b.csv")
    assert ledger.totals()["plant"].rows_loaded == 5


def test_a_refused_version_waits_for_quarantine(ledger: Ledger) -> None:
    ledger.register(arrival(), OnChange.REJECT, False)
    second = ledger.register(arrival(content=2), OnChange.REJECT, False)
    view = ledger.file(second.file_id)
    assert view is not None
    assert view.stage is Stage.QUARANTINE
    assert view.error_code == Code.VERSION_REFUSED


@ON_POSTGRES
def test_the_same_bytes_as_a_quarantined_file_are_another_try(ledger: Ledger) -> None:
    file_id = add(ledger)
    ledger.dead_letter(claim(ledger, file_id), Permanent(Code.UNREADABLE, "no"), Counts())
    claimed = ledger.claim(file_id, (Stage.QUARANTINE,), "me", 60)
    assert claimed is not None
    ledger.mark_quarantined(claimed, "here", DONE)
    again = ledger.register(arrival(mark="again"), OnChange.REJECT, False)
    assert (again.kind, again.version) == (Kind.NEW, 2)
    assert load(ledger, claim(ledger, again.file_id), batch()).loaded == 3


@ON_POSTGRES
def test_a_name_that_takes_another_files_bytes_lets_go_of_its_own(ledger: Ledger) -> None:
    add(ledger, b"a.csv", 1)
    old = add(ledger, b"b.csv", 2)
    load(ledger, claim(ledger, old), batch(2), "plant/b.csv")
    new = ledger.register(arrival(b"b.csv", 1), OnChange.SUPERSEDE, False)
    assert new.kind is Kind.NEW
    load(ledger, claim(ledger, new.file_id), batch(3), "plant/b.csv")
    assert state(ledger, old) is State.SUPERSEDED


def test_two_writes_within_one_tick_of_a_clock_are_told_apart(ledger: Ledger) -> None:
    add(ledger, content=1, mark="tick")
    second = ledger.register(arrival(content=2, mark="tick"), OnChange.SUPERSEDE, False)
    assert (second.kind, second.version) == (Kind.NEW, 2)
    assert ledger.has_content("plant", b"a.csv", arrival(content=2).landed.sha256)
    assert not ledger.has_content("plant", b"a.csv", arrival(content=3).landed.sha256)
