"""What `ports.claims` says of claims, their tokens, leases and attempts."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest
from adapters import ON_POSTGRES
from samples import DONE, add, arrival, batch, claim, load, state, waiting

from sensorflow.core.states import WORK, Stage, State
from sensorflow.errors import CAUSE, Code, Fenced, Permanent, Transient
from sensorflow.ports.claims import Claim, Progress
from sensorflow.ports.files import Counts, StageReport
from sensorflow.ports.intake import OnChange
from sensorflow.ports.ledger import Ledger

SHORT = 0.05


@ON_POSTGRES
def test_an_older_version_cannot_load_after_a_newer_one(ledger: Ledger) -> None:
    old, new = add(ledger), add(ledger, content=2)
    slow = claim(ledger, old)
    load(ledger, claim(ledger, new), batch(2))
    with pytest.raises(Fenced):
        load(ledger, slow, batch(3))
    assert ledger.claim(old, WORK, "me", 60) is None
    assert ledger.totals()["plant"].rows_loaded == 2


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
        lambda: ledger.nack(old, error, 0, True),
        lambda: ledger.dead_letter(old, error, Counts()),
        lambda: ledger.advance(old, Stage.TRANSFORM, Counts(), DONE, True),
        lambda: ledger.mark_quarantined(old, "x", DONE),
    ):
        with pytest.raises(Fenced):
            act()
    assert ledger.totals()["plant"].rows_loaded == 0
    load(ledger, new, batch())


def test_a_renewed_lease_is_kept(ledger: Ledger) -> None:
    file_id = add(ledger)
    claimed = claim(ledger, file_id, SHORT)
    ledger.renew(claimed, 60)
    time.sleep(SHORT * 2)
    assert ledger.claim(file_id, WORK, "other", 60) is None


def test_a_released_file_waits_and_keeps_or_gives_back_the_attempt(ledger: Ledger) -> None:
    file_id = add(ledger)
    error = Transient(Code.DATABASE, "away")
    ledger.nack(claim(ledger, file_id), error, 0.0, False)
    assert claim(ledger, file_id, SHORT).attempt == 1
    time.sleep(SHORT * 2)
    ledger.nack(claim(ledger, file_id), error, 60.0, True)
    assert ledger.claim(file_id, WORK, "me", 60) is None
    assert ledger.pending(10, 10) == []
    view = ledger.file(file_id)
    assert view is not None
    assert view.attempts == 2


def test_a_lease_that_ended_in_an_outage_is_given_back_with_its_attempt(ledger: Ledger) -> None:
    file = add(ledger)
    claimed = claim(ledger, file, lease=-1)
    assert ledger.reconcile(60, None).expired == 1
    error = Transient(Code.DATABASE, "away")
    for _ in range(2):  # the answer to the first may be lost
        ledger.nack(claimed, error, 0, counts_as_attempt=False)
    assert claim(ledger, file).attempt == 1
    with pytest.raises(Fenced):
        ledger.nack(claimed, error, 0, counts_as_attempt=False)


def test_what_was_given_back_lately_is_told(ledger: Ledger) -> None:
    claimed = claim(ledger, add(ledger))
    assert not ledger.recently_nacked(Code.DATABASE_FULL, 60)
    ledger.nack(claimed, Transient(Code.DATABASE_FULL, "full"), 0, counts_as_attempt=False)
    assert ledger.recently_nacked(Code.DATABASE_FULL, 60)
    assert not ledger.recently_nacked(Code.DATABASE_FULL, -60)
    assert not ledger.recently_nacked(Code.DATABASE, 60)
    claim(ledger, claimed.file_id)
    assert ledger.recently_nacked(Code.DATABASE_FULL, 60)


@pytest.mark.parametrize("published", [True, False])
def test_a_stage_done_starts_the_next_with_no_attempts(ledger: Ledger, published: bool) -> None:
    file_id = add(ledger)
    done = StageReport(Stage.VALIDATE, 0.5, 7)
    ledger.advance(claim(ledger, file_id), Stage.TRANSFORM, Counts(read=7), done, published)
    pending = [(waiting.file_id, waiting.stage) for waiting in ledger.pending(10, 10)]
    assert pending == ([] if published else [(file_id, Stage.TRANSFORM)])
    batch = ledger.claim_many([file_id], WORK, "me", 60)
    (claimed,) = batch.claims
    assert (claimed.stage, claimed.attempt) == (Stage.TRANSFORM, 1)
    assert batch.progress[file_id] == Progress(Counts(read=7))
    ledger.dead_letter(claimed, Permanent(Code.TOO_SLOW, "ended"))  # by who has not the counts
    (view,) = ledger.files()
    assert (view.counts.read, view.error_code) == (7, Code.TOO_SLOW)


@ON_POSTGRES
def test_a_condemned_file_is_quarantined_and_can_be_replayed(ledger: Ledger) -> None:
    file_id = add(ledger)
    error = Permanent(Code.UNREADABLE, "no gzip", line=3)
    ledger.dead_letter(claim(ledger, file_id), error, Counts(read=2, rejected=1))
    assert ledger.claim(file_id, WORK, "me", 60) is None
    claimed = ledger.claim_many([file_id], (Stage.QUARANTINE,), "me", 60)
    reason = (Code.UNREADABLE, "no gzip", {"line": 3})
    assert claimed.progress == {file_id: Progress(Counts(read=2, rejected=1), reason)}
    ledger.mark_quarantined(claimed.claims[0], "here", DONE)
    assert state(ledger, file_id) is State.QUARANTINED
    assert ledger.replay(file_id)
    assert not ledger.replay(file_id)
    assert load(ledger, claim(ledger, file_id), batch()).loaded == 3


def test_expired_leases_are_swept(ledger: Ledger) -> None:
    file_id = add(ledger)
    claimed = claim(ledger, file_id)
    assert ledger.reconcile(60, None).expired == 0
    ledger.renew(claimed, SHORT)
    time.sleep(SHORT * 2)
    assert ledger.reconcile(60, None).expired == 1
    assert [w.file_id for w in ledger.pending(10, 10)] == [file_id]


def test_history_tells_every_step(ledger: Ledger) -> None:
    file_id = add(ledger)
    ledger.mark_sent(ledger.pending(1, 1))
    load(ledger, claim(ledger, file_id), batch())
    steps = [(e.what, e.from_state, e.to_state) for e in ledger.history(file_id)]
    assert steps == [
        ("registered", None, None),
        ("published", None, None),
        ("claimed", "pending", "running"),
        ("loaded", "running", "loaded"),
    ]


def test_retries_are_counted_though_attempts_are_given_back(ledger: Ledger) -> None:
    file_id = add(ledger)
    for tries in range(3):
        claimed = claim(ledger, file_id)
        assert (claimed.retries, claimed.attempt) == (tries, 1)
        ledger.nack(claimed, Transient(Code.STORAGE, "full"), 0.0, False)


def test_the_files_of_a_message_are_claimed_at_once(ledger: Ledger) -> None:
    ids = waiting(ledger, 5)
    claimed = ledger.claim_many(ids, WORK, "me", 60).claims
    assert [c.file_id for c in claimed] == ids
    assert {(c.attempt, c.is_first_claim, c.stage) for c in claimed} == {(1, True, Stage.VALIDATE)}
    assert [state(ledger, n) for n in ids] == [State.RUNNING] * 5
    assert ledger.claim_many(ids, WORK, "thief", 60).claims == []
    last = [e for n in ids for e in ledger.history(n) if e.what == "claimed"]
    assert [e.why for e in last] == [None, *[f"together with file {ids[0]}"] * 4]


def test_what_was_held_before_is_not_fresh_and_claimed_by_its_own_message_only(
    ledger: Ledger,
) -> None:
    first, second, third = waiting(ledger, 3)
    claimed = claim(ledger, second)
    assert claimed.is_first_claim
    ledger.nack(claimed, Transient(Code.STORAGE, "away"), 0, counts_as_attempt=False)
    ledger.mark_sent(ledger.pending(100, 100))
    taken = ledger.claim_many([first, second, third, 999_999], WORK, "me", 60).claims
    assert [c.file_id for c in taken] == [first, third]
    assert not claim(ledger, second).is_first_claim


def test_the_trace_of_a_file_goes_with_it_from_its_registration_to_each_claim(
    ledger: Ledger,
) -> None:
    traced = [replace(arrival(b"%d.csv" % n, n), trace_id=bytes([n]) * 16) for n in (1, 2)]
    entered = ledger.register_many([*traced, arrival(b"3.csv", 3)], OnChange.MERGE, False)
    ids = [entry.file_id for entry in entered]
    assert [entry.trace_id for entry in ledger.pending(10, 10)] == [b"\1" * 16, b"\2" * 16, None]
    ledger.mark_sent(ledger.pending(1, 10))
    claimed = claim(ledger, ids[0], SHORT)
    assert claimed.trace is not None
    assert claimed.trace.trace_id == b"\1" * 16
    assert claimed.trace.sent_at is not None
    assert claimed.trace.sent_at <= claimed.trace.claimed_at
    time.sleep(SHORT * 2)
    again = claim(ledger, ids[0])
    assert again.trace is not None
    assert again.trace.sent_at is None  # the lease of another worker has expired
    assert claim(ledger, ids[2]).trace is None
    assert [ledger.file(number).trace_id for number in ids] == [b"\1" * 16, b"\2" * 16, None]


def test_a_failure_of_the_quarantine_does_not_replace_the_reason(ledger: Ledger) -> None:
    file_id = add(ledger)
    reason = Permanent(Code.UNREADABLE, "no gzip", line=3)
    ledger.dead_letter(claim(ledger, file_id), reason, Counts())
    for attempt in (1, 2):
        claimed = ledger.claim(file_id, (Stage.QUARANTINE,), "me", 60)
        assert claimed is not None
        ledger.nack(claimed, Transient(Code.STORAGE, f"refused {attempt}", do="wait"), 0, False)
        view = ledger.file(file_id)
        assert view is not None
        assert (view.error_code, view.error_detail) == (str(Code.STORAGE), f"refused {attempt}")
        assert view.error_place == {
            "do": "wait",
            CAUSE: {"code": str(Code.UNREADABLE), "detail": "no gzip", "place": {"line": 3}},
        }
    claimed = ledger.claim(file_id, (Stage.QUARANTINE,), "me", 60)
    assert claimed is not None
    ledger.mark_quarantined(claimed, "there", DONE)
    view = ledger.file(file_id)
    assert view is not None
    assert (view.error_code, view.error_detail) == (str(Code.UNREADABLE), "no gzip")
    assert view.error_place == {"line": 3}
