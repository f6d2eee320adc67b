"""The contract of `ports.ledger.Ledger`, on PostgreSQL, and in memory what that does."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa
import pytest
from adapters import ON_POSTGRES
from samples import add, arrival, batch, claim, load, state

from sensorflow.adapters.postgres import retention
from sensorflow.core.arrival import Lane
from sensorflow.core.keys import keys
from sensorflow.core.months import MonthLimits
from sensorflow.core.states import WORK, Stage, State
from sensorflow.errors import Code, Fenced, Permanent, Transient
from sensorflow.ports.claims import Claim, Progress
from sensorflow.ports.files import Counts, StageReport
from sensorflow.ports.intake import Kind, OnChange
from sensorflow.ports.ledger import Ledger
from sensorflow.ports.loading import Keyed, Load
from sensorflow.ports.maintenance import Expirable, Leftover

SHORT = 0.05
DONE = StageReport(Stage.QUARANTINE, 0.1, 0)


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
    assert len(ledger.due(100, 100)) == 5


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
    assert [w.key for w in ledger.due(10, 10)] == [a.key for a in group]
    assert [w.file_id for w in ledger.due(10, 10)] == [r.file_id for r in done]


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


@ON_POSTGRES
def test_an_older_version_cannot_load_after_a_newer_one(ledger: Ledger) -> None:
    old, new = add(ledger), add(ledger, content=2)
    slow = claim(ledger, old)
    load(ledger, claim(ledger, new), batch(2))
    with pytest.raises(Fenced):
        load(ledger, slow, batch(3))
    assert ledger.claim(old, WORK, "me", 60) is None
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
    heirs = [f for f in ledger.files() if f.name == "b.csv"]
    assert [f.state for f in heirs] == [State.PENDING]
    load(ledger, claim(ledger, heirs[0].file_id), batch(3), "plant/b.csv")
    assert ledger.totals()["plant"].rows_loaded == 5


def test_a_refused_version_waits_for_quarantine(ledger: Ledger) -> None:
    ledger.register(arrival(), OnChange.REJECT, False)
    second = ledger.register(arrival(content=2), OnChange.REJECT, False)
    view = ledger.file(second.file_id)
    assert view is not None
    assert view.stage is Stage.QUARANTINE
    assert view.error_code == Code.VERSION_REFUSED


def test_due_files_are_published_once_and_oldest_first(ledger: Ledger) -> None:
    ids = [add(ledger, b"%d.csv" % n, n) for n in range(1, 4)]
    assert [w.file_id for w in ledger.due(10, 10)] == ids
    ledger.published(ledger.due(2, 10))
    assert [w.file_id for w in ledger.due(10, 10)] == ids[2:]


def test_no_more_than_max_in_flight_are_due(ledger: Ledger) -> None:
    ids = [add(ledger, b"%d.csv" % n, n) for n in range(1, 6)]
    assert len(ledger.due(10, 2)) == 2
    ledger.published(ledger.due(2, 10))
    assert ledger.due(10, 2) == []
    load(ledger, claim(ledger, ids[0]), batch())
    assert [w.file_id for w in ledger.due(10, 2)] == ids[2:3]


def test_one_publisher_at_a_time(ledger: Ledger) -> None:
    with ledger.publishing() as is_mine, ledger.publishing() as is_others:
        assert is_mine()
        assert not is_others()
        assert is_mine()
    with ledger.publishing() as is_mine:
        assert is_mine()


@ON_POSTGRES
def test_a_publisher_that_falls_silent_is_followed_by_another_one(ledger: Ledger) -> None:
    """A process that is stopped, a host that is gone: it holds nothing for longer than its lease."""
    with ledger.publishing(SHORT) as is_olds:
        assert is_olds()
        time.sleep(2 * SHORT)
        with ledger.publishing() as is_mine:
            assert is_mine()
            assert not is_olds()
            assert is_mine()


def test_a_publisher_that_is_busy_for_longer_than_its_lease_goes_on(ledger: Ledger) -> None:
    with ledger.publishing(1.0) as is_mine:
        for _ in range(6):
            time.sleep(0.25)
            assert is_mine()
            with ledger.publishing() as is_others:
                assert not is_others()


def test_one_of_many_claims_wins(ledger: Ledger) -> None:
    file_id = add(ledger)
    won: list[Claim | None] = []
    threads = [
        threading.Thread(target=lambda: won.append(ledger.claim(file_id, WORK, "me", 60)))
        for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(c is not None for c in won) == 1


def test_a_claim_counts_the_attempt_before_the_work(ledger: Ledger) -> None:
    file_id = add(ledger)
    for attempt in (1, 2):
        assert claim(ledger, file_id, SHORT).attempt == attempt
        time.sleep(SHORT * 2)


def test_a_claim_is_for_its_stages_only(ledger: Ledger) -> None:
    file_id = add(ledger)
    assert ledger.claim(file_id, (Stage.LOAD,), "me", 60) is None
    assert ledger.claim(999, WORK, "me", 60) is None


def test_the_holder_of_an_older_token_is_refused_everywhere(ledger: Ledger) -> None:
    file_id = add(ledger)
    old = claim(ledger, file_id, SHORT)
    time.sleep(SHORT * 2)
    new = claim(ledger, file_id)
    error = Transient(Code.DATABASE, "x")
    for act in (
        lambda: load(ledger, old, batch()),
        lambda: ledger.renew(old, 60),
        lambda: ledger.release(old, error, 0, True),
        lambda: ledger.condemn(old, error, Counts()),
        lambda: ledger.advance(old, Stage.TRANSFORM, Counts(), DONE, True),
        lambda: ledger.quarantined(old, "x", DONE),
    ):
        with pytest.raises(Fenced):
            act()
    assert ledger.totals()["plant"].rows_loaded == 0
    load(ledger, new, batch())


def test_a_renewed_lease_is_kept(ledger: Ledger) -> None:
    file_id = add(ledger)
    held = claim(ledger, file_id, SHORT)
    ledger.renew(held, 60)
    time.sleep(SHORT * 2)
    assert ledger.claim(file_id, WORK, "other", 60) is None


def test_a_released_file_waits_and_keeps_or_gives_back_the_attempt(ledger: Ledger) -> None:
    file_id = add(ledger)
    error = Transient(Code.DATABASE, "away")
    ledger.release(claim(ledger, file_id), error, 0.0, False)
    assert claim(ledger, file_id, SHORT).attempt == 1
    time.sleep(SHORT * 2)
    ledger.release(claim(ledger, file_id), error, 60.0, True)
    assert ledger.claim(file_id, WORK, "me", 60) is None
    assert ledger.due(10, 10) == []
    view = ledger.file(file_id)
    assert view is not None
    assert view.attempts == 2


def test_a_lease_that_ended_in_an_outage_is_given_back_with_its_attempt(ledger: Ledger) -> None:
    file = add(ledger)
    held = claim(ledger, file, lease=-1)
    assert ledger.sweep(60, None).expired == 1
    error = Transient(Code.DATABASE, "away")
    for _ in range(2):  # the answer to the first may be lost
        ledger.release(held, error, 0, burned=False)
    assert claim(ledger, file).attempt == 1
    with pytest.raises(Fenced):
        ledger.release(held, error, 0, burned=False)


def test_what_was_given_back_lately_is_told(ledger: Ledger) -> None:
    held = claim(ledger, add(ledger))
    assert not ledger.given_back_lately(Code.DATABASE_FULL, 60)
    ledger.release(held, Transient(Code.DATABASE_FULL, "full"), 0, burned=False)
    assert ledger.given_back_lately(Code.DATABASE_FULL, 60)
    assert not ledger.given_back_lately(Code.DATABASE_FULL, -60)
    assert not ledger.given_back_lately(Code.DATABASE, 60)
    claim(ledger, held.file_id)
    assert ledger.given_back_lately(Code.DATABASE_FULL, 60)


@pytest.mark.parametrize("published", [True, False])
def test_a_stage_done_starts_the_next_with_no_attempts(ledger: Ledger, published: bool) -> None:
    file_id = add(ledger)
    done = StageReport(Stage.VALIDATE, 0.5, 7)
    ledger.advance(claim(ledger, file_id), Stage.TRANSFORM, Counts(read=7), done, published)
    due = [(waiting.file_id, waiting.stage) for waiting in ledger.due(10, 10)]
    assert due == ([] if published else [(file_id, Stage.TRANSFORM)])
    taken = ledger.claim_many([file_id], WORK, "me", 60)
    (held,) = taken.claims
    assert (held.stage, held.attempt) == (Stage.TRANSFORM, 1)
    assert taken.progress[file_id] == Progress(Counts(read=7))
    ledger.condemn(held, Permanent(Code.TOO_SLOW, "ended"))  # by who has not the counts
    (view,) = ledger.files()
    assert (view.counts.read, view.error_code) == (7, Code.TOO_SLOW)


@ON_POSTGRES
def test_a_condemned_file_is_quarantined_and_can_be_replayed(ledger: Ledger) -> None:
    file_id = add(ledger)
    error = Permanent(Code.UNREADABLE, "no gzip", line=3)
    ledger.condemn(claim(ledger, file_id), error, Counts(read=2, rejected=1))
    assert ledger.claim(file_id, WORK, "me", 60) is None
    taken = ledger.claim_many([file_id], (Stage.QUARANTINE,), "me", 60)
    why = (Code.UNREADABLE, "no gzip", {"line": 3})
    assert taken.progress == {file_id: Progress(Counts(read=2, rejected=1), why)}
    ledger.quarantined(taken.claims[0], "here", DONE)
    assert state(ledger, file_id) is State.QUARANTINED
    assert ledger.replay(file_id)
    assert not ledger.replay(file_id)
    assert load(ledger, claim(ledger, file_id), batch()).loaded == 3


def test_a_load_counts_what_was_there_already_as_duplicates(ledger: Ledger) -> None:
    first, second = add(ledger), add(ledger, b"b.csv", 2)
    load(ledger, claim(ledger, first), batch(3), "plant/")
    counts = load(ledger, claim(ledger, second), batch(5, start=1), "plant/")
    assert (counts.read, counts.loaded, counts.duplicate) == (5, 3, 2)
    assert counts.balanced


def test_a_load_that_does_not_balance_is_refused(ledger: Ledger) -> None:
    file_id = add(ledger)
    plan = Load(Counts(read=99), OnChange.SUPERSEDE, "p", "h", "0", ())
    with pytest.raises(Exception, match=r"balance|Counts"):
        ledger.load(claim(ledger, file_id), [(batch(), keys(batch(), "x"))], plan)


def test_a_load_that_breaks_leaves_nothing(ledger: Ledger) -> None:
    file_id = add(ledger)
    held = claim(ledger, file_id)

    def broken() -> object:
        yield batch(), keys(batch(), "x")
        raise RuntimeError("no more")

    plan = Load(Counts(read=3), OnChange.SUPERSEDE, "p", "h", "0", ())
    with pytest.raises(RuntimeError):
        ledger.load(held, broken(), plan)  # type: ignore[arg-type]
    assert ledger.totals()["plant"].rows_loaded == 0
    assert load(ledger, held, batch()).loaded == 3


def test_checksums_tell_values_apart_and_do_not_depend_on_batches(ledger: Ledger) -> None:
    sums = []
    for n, parts in enumerate(([batch(4)], [batch(2), batch(2, start=2)], [batch(4, value=1.25)])):
        file_id = add(ledger, b"%d.csv" % n, n + 1)
        plan = Load(Counts(read=4), OnChange.SUPERSEDE, "p", "h", "0", ())
        # a name for each, but keys as of one name: what is summed is the same
        pairs = [(p, keys(p, "same")) for p in parts]
        if n:
            before = ledger.file(file_id - 1)
            assert before is not None
        ledger.load(claim(ledger, file_id), pairs, plan)
        view = ledger.file(file_id)
        assert view is not None
        sums.append((view.counts.loaded, int(view.checksum or 0)))
    assert sums[0][0] == 4
    assert sums[0][1] != 0
    assert sums[1] == (0, 0)  # every key was there already


def test_expired_leases_are_swept(ledger: Ledger) -> None:
    file_id = add(ledger)
    held = claim(ledger, file_id)
    assert ledger.sweep(60, None).expired == 0
    ledger.renew(held, SHORT)
    time.sleep(SHORT * 2)
    assert ledger.sweep(60, None).expired == 1
    assert [w.file_id for w in ledger.due(10, 10)] == [file_id]


@ON_POSTGRES
def test_messages_are_missed_only_when_the_broker_may_have_lost_them(ledger: Ledger) -> None:
    file_id = add(ledger)
    ledger.published(ledger.due(1, 1))
    time.sleep(SHORT)
    assert ledger.sweep(60, 0).stale == 0  # too young
    assert ledger.sweep(0.0, 1).stale == 0  # the broker holds it
    assert ledger.sweep(0.0, 0).stale == 1
    assert [w.file_id for w in ledger.due(10, 10)] == [file_id]


def test_history_tells_every_step(ledger: Ledger) -> None:
    file_id = add(ledger)
    ledger.published(ledger.due(1, 1))
    load(ledger, claim(ledger, file_id), batch())
    steps = [(e.what, e.from_state, e.to_state) for e in ledger.history(file_id)]
    assert steps == [
        ("registered", None, None),
        ("published", None, None),
        ("claimed", "pending", "running"),
        ("loaded", "running", "loaded"),
    ]


def test_a_file_condemned_while_its_batch_was_sent_still_gets_its_next_message(
    ledger: Ledger,
) -> None:
    file_id = add(ledger)
    sent = ledger.due(10, 10)
    ledger.condemn(claim(ledger, file_id), Permanent(Code.UNREADABLE, "no"), Counts())
    ledger.published(sent)
    assert [w.stage for w in ledger.due(10, 10)] == [Stage.QUARANTINE]


@ON_POSTGRES
def test_only_as_many_messages_are_missed_as_the_broker_lacks(ledger: Ledger) -> None:
    for n in range(1, 6):
        add(ledger, b"%d.csv" % n, n)
    ledger.published(ledger.due(10, 10))
    time.sleep(SHORT)
    assert ledger.sweep(0.0, 3).stale == 2


@ON_POSTGRES
def test_the_same_bytes_as_a_quarantined_file_are_another_try(ledger: Ledger) -> None:
    file_id = add(ledger)
    ledger.condemn(claim(ledger, file_id), Permanent(Code.UNREADABLE, "no"), Counts())
    held = ledger.claim(file_id, (Stage.QUARANTINE,), "me", 60)
    assert held is not None
    ledger.quarantined(held, "here", DONE)
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


def test_retries_are_counted_though_attempts_are_given_back(ledger: Ledger) -> None:
    file_id = add(ledger)
    for tries in range(3):
        held = claim(ledger, file_id)
        assert (held.retries, held.attempt) == (tries, 1)
        ledger.release(held, Transient(Code.STORAGE, "full"), 0.0, False)


def quarantine_it(ledger: Ledger, file_id: int) -> None:
    ledger.condemn(claim(ledger, file_id), Permanent(Code.UNREADABLE, "x"), Counts())
    held = ledger.claim(file_id, (Stage.QUARANTINE,), "me", 60)
    assert held is not None
    ledger.quarantined(held, "there", DONE)


def loaded(ledger: Ledger, rows: int = 3) -> int:
    file_id = add(ledger)
    load(ledger, claim(ledger, file_id), batch(rows))
    return file_id


@ON_POSTGRES
def test_a_replayed_file_keeps_its_rows_until_the_new_ones_are_there(ledger: Ledger) -> None:
    file_id = loaded(ledger, 3)
    assert ledger.replay(file_id)
    assert state(ledger, file_id) is State.PENDING
    assert not ledger.replay(file_id)
    again = claim(ledger, file_id)
    assert again.again
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
    left = ledger.condemn(claim(ledger, file_id), Permanent(Code.UNREADABLE, "x"), Counts(read=9))
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
    assert again.again
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
    seen: list[Leftover] = []
    assert ledger.tidy(seen.append) == 2
    assert {(left.file_id, left.state) for left in seen} == {
        (old, State.SUPERSEDED),
        (new, State.UNDONE),
    }
    assert ledger.tidy(seen.append) == 0


@ON_POSTGRES
def test_what_is_not_loaded_is_tidied_once_more_after_a_while(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that had it as it was undone may have written something since."""
    monkeypatch.setattr(retention, "COLLECT_AGAIN", 0.5)
    file_id = loaded(ledger)
    seen: list[Leftover] = []
    for _ in range(2):
        ledger.undo(file_id, "")
        assert [ledger.tidy(seen.append) for _ in range(2)] == [1, 0]
        ledger.replay(file_id)
        load(ledger, claim(ledger, file_id), batch(3))
        assert ledger.tidy(seen.append) == 1  # and there is nothing to remove
        assert seen[-1].state is State.LOADED
    ledger.undo(file_id, "")
    assert ledger.tidy(seen.append) == 1
    ledger.collect_again(file_id)
    assert [ledger.tidy(seen.append) for _ in range(2)] == [1, 0]
    time.sleep(0.6)
    assert [ledger.tidy(seen.append) for _ in range(2)] == [1, 0]
    time.sleep(0.6)
    assert ledger.tidy(seen.append) == 0


@ON_POSTGRES
def test_what_could_not_be_removed_is_tidied_later(ledger: Ledger) -> None:
    ledger.undo(loaded(ledger), "")

    def fail(_left: Leftover) -> None:
        raise Transient(Code.STORAGE, "read-only")

    with pytest.raises(Transient):
        ledger.tidy(fail)
    assert ledger.tidy(lambda _left: None) == 1


@ON_POSTGRES
def test_layers_of_finished_files_expire_once(ledger: Ledger) -> None:
    file_id = loaded(ledger)
    assert ledger.expire("plant", Expirable.LANDING, 60).files == 0
    time.sleep(SHORT)
    assert ledger.expire("other", Expirable.LANDING, SHORT / 2).files == 0
    assert ledger.expire("plant", Expirable.LANDING, SHORT / 2).files == 1
    assert ledger.expire("plant", Expirable.LANDING, SHORT / 2).files == 0
    seen: list[Leftover] = []
    ledger.tidy(seen.append)
    assert [left.landing for left in seen] == [arrival().landed.name]
    assert not ledger.replay(file_id)
    ledger.register(arrival(mark="again"), OnChange.SUPERSEDE, False)  # the bytes are there again
    assert ledger.replay(file_id)


@ON_POSTGRES
def test_bytes_that_another_file_needs_are_not_removed(ledger: Ledger) -> None:
    file_id = loaded(ledger)
    other = ledger.register(arrival(b"b.csv"), OnChange.SUPERSEDE, True)
    assert other.file_id != file_id
    time.sleep(SHORT)
    ledger.expire("plant", Expirable.LANDING, SHORT / 2)
    seen: list[Leftover] = []
    ledger.tidy(seen.append)
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
    assert ledger.forget("plant", 60) == 0
    time.sleep(SHORT)
    assert ledger.forget("plant", SHORT / 2) > 0
    assert [event.what for event in ledger.history(file_id)] == ["loaded"]
    assert [len(ledger.history(v.file_id)) for v in ledger.files() if v.name == "b.csv"] == [1]


@ON_POSTGRES
def test_old_files_are_due_only_when_no_live_one_is(ledger: Ledger) -> None:
    old = [
        ledger.register(
            replace(arrival(b"%d.csv" % n, n), lane=Lane.BACKFILL), OnChange.SUPERSEDE, False
        ).file_id
        for n in (1, 2, 3)
    ]
    live = add(ledger, b"live.csv", 9)
    assert [w.file_id for w in ledger.due(10, 10, 2)] == [live]
    ledger.published(ledger.due(10, 10, 2))
    due = ledger.due(10, 10, 2)
    assert [(w.file_id, w.lane) for w in due] == [(old[0], Lane.BACKFILL), (old[1], Lane.BACKFILL)]
    ledger.published(due)
    assert ledger.due(10, 10, 2) == []
    assert (ledger.unfinished(Lane.BACKFILL), ledger.unfinished(Lane.LIVE)) == (3, 1)


def waiting(ledger: Ledger, count: int) -> list[int]:
    """New files, published in one message."""
    ids = [add(ledger, b"%d.csv" % n, n + 1) for n in range(count)]
    first, *others = ledger.due(100, 100)
    ledger.published([first, *(replace(o, sent_with=first.file_id) for o in others)])
    return ids


def test_the_files_of_a_message_are_claimed_at_once(ledger: Ledger) -> None:
    ids = waiting(ledger, 5)
    taken = ledger.claim_many(ids, WORK, "me", 60).claims
    assert [c.file_id for c in taken] == ids
    assert {(c.attempt, c.fresh, c.stage) for c in taken} == {(1, True, Stage.VALIDATE)}
    assert [state(ledger, n) for n in ids] == [State.RUNNING] * 5
    assert ledger.claim_many(ids, WORK, "thief", 60).claims == []
    last = [e for n in ids for e in ledger.history(n) if e.what == "claimed"]
    assert [e.why for e in last] == [None, *[f"together with file {ids[0]}"] * 4]


def test_what_was_held_before_is_not_fresh_and_claimed_by_its_own_message_only(
    ledger: Ledger,
) -> None:
    first, second, third = waiting(ledger, 3)
    held = claim(ledger, second)
    assert held.fresh
    ledger.release(held, Transient(Code.STORAGE, "away"), 0, burned=False)
    ledger.published(ledger.due(100, 100))
    taken = ledger.claim_many([first, second, third, 999_999], WORK, "me", 60).claims
    assert [c.file_id for c in taken] == [first, third]
    assert not claim(ledger, second).fresh


@ON_POSTGRES
def test_of_messages_with_many_files_as_many_are_missed_as_the_broker_lacks(
    ledger: Ledger,
) -> None:
    ids = waiting(ledger, 5)
    ids += waiting_alone(ledger, b"x.csv", 6), waiting_alone(ledger, b"y.csv", 7)
    time.sleep(SHORT)
    assert ledger.sweep(0.0, 3).stale == 0  # three messages, and the broker has them
    assert ledger.sweep(0.0, 2).stale == 5  # the oldest
    assert [w.file_id for w in ledger.due(10, 10)] == ids[:5]
    assert ledger.sweep(0.0, 2).stale == 0


def waiting_alone(ledger: Ledger, key: bytes, mark: int) -> int:
    file_id = add(ledger, key, mark)
    ledger.published(ledger.due(1, 100))
    return file_id


def plan_of(rows: int, name: str) -> Load:
    reports = (StageReport(Stage.VALIDATE, 0.1, rows), StageReport(Stage.TRANSFORM, 0.2, rows))
    counts = Counts(read=rows, loaded=rows)
    return Load(counts, OnChange.SUPERSEDE, "p", "h", "0", reports, name)


def held_together(ledger: Ledger, count: int) -> list[tuple[Claim, list[Keyed], Load]]:
    files = []
    for number, file_id in enumerate(waiting(ledger, count)):
        silver, name = batch(number, start=100 * number), f"plant/{number}.csv"
        files.append(
            (claim(ledger, file_id), [(silver, keys(silver, name))], plan_of(number, name))
        )
    return files


def test_files_loaded_together_are_closed_as_if_they_were_alone(ledger: Ledger) -> None:
    files = held_together(ledger, 4)
    assert ledger.load_together(files)
    for number, (held, _, _) in enumerate(files):
        view = ledger.file(held.file_id)
        assert view is not None
        assert (view.state, view.counts) == (State.LOADED, Counts(read=number, loaded=number))
        assert [(e.what, e.stage, e.rows) for e in ledger.history(held.file_id)][-3:] == [
            ("stage done", "validate", number),
            ("stage done", "transform", number),
            ("loaded", "load", number),
        ]
    assert ledger.totals()["plant"].rows_loaded == 0 + 1 + 2 + 3


def test_of_files_together_none_is_loaded_when_a_claim_is_lost(ledger: Ledger) -> None:
    files = held_together(ledger, 3)
    lost = files[1][0]
    ledger.release(lost, Transient(Code.STORAGE, "away"), 0, burned=False)
    assert not ledger.load_together(files)
    assert ledger.totals()["plant"].rows_loaded == 0
    assert [state(ledger, held.file_id) for held, _, _ in files] == [
        State.RUNNING,
        State.PENDING,
        State.RUNNING,
    ]
    held, batches, plan = files[2]
    stored = ledger.load(held, batches, replace(plan, counts=Counts(read=2)))
    assert stored.counts.loaded == 2


def test_of_files_together_none_is_loaded_when_a_key_is_there_already(ledger: Ledger) -> None:
    files = held_together(ledger, 3)
    other = add(ledger, b"other.csv", 9)
    ledger.load(claim(ledger, other), files[2][1], replace(plan_of(2, "x"), counts=Counts(read=2)))
    assert not ledger.load_together(files)
    assert ledger.totals()["plant"].rows_loaded == 2
    held, batches, plan = files[2]
    stored = ledger.load(held, batches, replace(plan, counts=Counts(read=2)))
    assert (stored.counts.loaded, stored.counts.duplicate) == (0, 2)


def test_what_is_known_only_at_the_end_of_a_load_is_asked_for_then(ledger: Ledger) -> None:
    file_id, asked = add(ledger), []

    def rows() -> Iterator[Keyed]:
        yield batch(3), keys(batch(3), "x")
        asked.append("rows")

    def closing() -> Load:
        asked.append("closing")
        return replace(plan_of(5, "x"), counts=Counts(read=5, rejected=1, duplicate=1))

    before = replace(plan_of(0, "x"), counts=Counts())
    counts = ledger.load(claim(ledger, file_id), rows(), before, closing).counts
    assert asked == ["rows", "closing"]
    assert (counts.read, counts.loaded, counts.rejected, counts.duplicate) == (5, 3, 1, 1)


def test_a_file_that_is_the_first_of_too_many_months_is_not_loaded(ledger: Ledger) -> None:
    silver = batch(40)
    ts = pa.array([1_000_000_000 * 10**9 + n * 32 * 86400 * 10**9 for n in range(40)], pa.int64())
    silver = silver.set_column(0, silver.schema.field(0), ts.cast(silver.schema.field(0).type))
    held = claim(ledger, add(ledger))
    rows = [(silver, keys(silver, "plant/a.csv"))]
    plan = Load(Counts(read=40), OnChange.MERGE, "p", "h", "0", (), months=MonthLimits(100, 39))
    with pytest.raises(Permanent) as caught:
        ledger.load(held, rows, plan)
    assert caught.value.code == Code.TOO_MANY_MONTHS
    plan = replace(plan, months=MonthLimits(100, 40))
    assert ledger.load(held, rows, plan).counts.loaded == 40


def test_a_step_is_one_callers_until_it_is_due_again(ledger: Ledger) -> None:
    won: list[bool] = []
    callers = [
        threading.Thread(target=lambda: won.append(ledger.take_turn("tidying", 60)))
        for _ in range(6)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert won.count(True) == 1
    assert ledger.take_turn("another", SHORT)
    time.sleep(SHORT)
    assert ledger.take_turn("another", SHORT)


def test_a_step_may_be_done_early_and_is_nobody_elses_then(ledger: Ledger) -> None:
    assert ledger.take_turn("tidying", 60)
    assert not ledger.take_turn("tidying", 60, early=30)
    assert ledger.take_turn("tidying", 60, early=61)
    assert not ledger.take_turn("tidying", 60, early=30)
    assert ledger.take_turn("never yet", 60, early=30)
    assert not ledger.take_turn("never yet", 60)


def test_a_turn_that_ends_later_than_it_can_ends_nobodys_wait(ledger: Ledger) -> None:
    """The clock was set back."""
    assert ledger.take_turn("tidying", 3600)
    assert ledger.take_turn("tidying", 60)
    assert not ledger.take_turn("tidying", 60)
