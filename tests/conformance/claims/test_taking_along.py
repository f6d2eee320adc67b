"""Waiting files that are claimed with the file of a message: `ports.ledger.Ledger.claim_batch`."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from adapters import ON_POSTGRES
from samples import add, arrival, batch, claim, load, state

from sensorflow.core.arrival import Lane
from sensorflow.core.states import WORK, Stage, State
from sensorflow.errors import Code, Transient
from sensorflow.ports.claims import BatchLimits, Claim, Claimed
from sensorflow.ports.files import Counts, StageReport
from sensorflow.ports.intake import OnChange
from sensorflow.ports.ledger import Ledger

pytestmark = ON_POSTGRES

SHORT = 0.05
LIMITS = BatchLimits(sources=("plant",), file_bytes=1000, total_bytes=10_000, files=100, share=1)


def publish(ledger: Ledger) -> None:
    ledger.mark_sent(ledger.pending(100, 100))


def waiting(ledger: Ledger, count: int) -> list[int]:
    """New files, each with a message of its own."""
    ids = [add(ledger, b"%d.csv" % n, n + 1) for n in range(count)]
    publish(ledger)
    return ids


def take(ledger: Ledger, file_id: int, limits: BatchLimits = LIMITS) -> list[int]:
    claimed = ledger.claim_batch(file_id, WORK, "me", 60, limits)
    return [claim.file_id for claim in claimed.claims]


def give_back(ledger: Ledger, claimed: Claim) -> None:
    ledger.nack(claimed, Transient(Code.STORAGE, "away"), 0, counts_as_attempt=False)
    publish(ledger)


def test_a_small_new_file_is_claimed_with_those_that_wait(ledger: Ledger) -> None:
    ids = waiting(ledger, 5)
    claimed = ledger.claim_batch(ids[2], WORK, "me", 60, LIMITS)
    assert [c.file_id for c in claimed.claims] == ids
    assert {(c.attempt, c.is_first_claim, c.stage) for c in claimed.claims} == {
        (1, True, Stage.VALIDATE)
    }
    assert len({c.token for c in claimed.claims}) == 5
    assert [state(ledger, n) for n in ids] == [State.RUNNING] * 5
    last = [ledger.history(n)[-1] for n in ids]
    assert {e.what for e in last} == {"claimed"}
    together = f"together with file {ids[2]}"
    assert [e.why for e in last] == [together, together, None, together, together]


def test_others_are_left_a_share_of_what_waits_and_the_oldest_messages_are_taken(
    ledger: Ledger,
) -> None:
    ids = waiting(ledger, 10)
    quarter = replace(LIMITS, share=4)
    assert take(ledger, ids[9], quarter) == [*ids[:3], ids[9]]  # three of nine
    assert take(ledger, ids[3], quarter) == ids[3:6]  # two of five
    assert take(ledger, ids[6], quarter) == ids[6:8]
    assert take(ledger, ids[8], quarter) == ids[8:9]


@pytest.mark.parametrize(
    ("limits", "batch_size"),
    [
        (replace(LIMITS, files=2), 3),
        (replace(LIMITS, files=0), 1),
        (replace(LIMITS, total_bytes=350), 3),  # each has 100
        (replace(LIMITS, total_bytes=0), 1),
        (replace(LIMITS, file_bytes=100), 1),
        (replace(LIMITS, sources=("another",)), 1),
        (replace(LIMITS, sources=()), 1),
    ],
)
def test_only_so_many_files_and_bytes_are_taken_along(
    ledger: Ledger, limits: BatchLimits, batch_size: int
) -> None:
    ids = waiting(ledger, 6)
    assert take(ledger, ids[0], limits) == ids[:batch_size]


def test_only_small_new_published_files_of_the_same_source_and_lane_are_taken_along(
    ledger: Ledger,
) -> None:
    first, second, claimed, old = waiting(ledger, 4)
    give_back(ledger, claim(ledger, claimed))
    load(ledger, claim(ledger, old), batch(1))
    newer = add(ledger, b"3.csv", 9)
    large = arrival(b"large.csv", 10)
    arrivals = [
        replace(large, landed=replace(large.landed, size=1000)),
        replace(arrival(b"x.csv", 11), source="another"),
        replace(arrival(b"y.csv", 12), lane=Lane.BACKFILL),
    ]
    others = [ledger.register(a, OnChange.SUPERSEDE, False).file_id for a in arrivals]
    refused = ledger.register(arrival(b"3.csv", 13), OnChange.REJECT, False).file_id
    for _ in range(2):  # the live ones, then that of the other lane
        publish(ledger)
    unpublished = add(ledger, b"z.csv", 14)
    assert take(ledger, first) == [first, second]
    not_taken = (claimed, newer, *others, refused, unpublished)
    assert {state(ledger, n) for n in not_taken} == {State.PENDING}


def test_what_was_held_before_takes_nothing_along(ledger: Ledger) -> None:
    """It may be what ended its worker."""
    ids = waiting(ledger, 3)
    give_back(ledger, claim(ledger, ids[0]))
    assert take(ledger, ids[0]) == [ids[0]]


def test_a_newer_version_and_a_large_file_take_nothing_along(ledger: Ledger) -> None:
    ids = waiting(ledger, 3)
    newer = add(ledger, b"0.csv", 9)
    large = arrival(b"large.csv", 10)
    large = replace(large, landed=replace(large.landed, size=1000))
    number = ledger.register(large, OnChange.SUPERSEDE, False).file_id
    assert take(ledger, newer) == [newer]
    assert take(ledger, number) == [number]
    assert take(ledger, ids[0]) == ids


def test_a_file_whose_lease_ended_goes_alone(ledger: Ledger) -> None:
    ids = waiting(ledger, 3)
    claimed = ledger.claim_batch(ids[0], WORK, "me", SHORT, replace(LIMITS, files=1))
    assert [c.file_id for c in claimed.claims] == ids[:2]
    time.sleep(2 * SHORT)
    again = [ledger.claim_batch(n, WORK, "other", 60, LIMITS) for n in ids[:2]]
    assert [[c.file_id for c in found.claims] for found in again] == [[ids[0]], [ids[1]]]
    assert {c.attempt for found in again for c in found.claims} == {2}


def test_a_message_whose_file_was_taken_along_says_with_which(ledger: Ledger) -> None:
    first, second, third = waiting(ledger, 3)

    def found(file_id: int) -> Claimed:
        return ledger.claim_batch(file_id, WORK, "other", 60, LIMITS)

    claims = ledger.claim_batch(first, WORK, "me", 60, LIMITS).claims
    assert found(second) == Claimed([], {}, State.RUNNING, first)
    assert found(first) == Claimed([], {}, State.RUNNING, None)
    load(ledger, claims[1], batch(1))
    assert found(second) == Claimed([], {}, State.LOADED, first)
    ledger.dead_letter(claims[2], Transient(Code.STORAGE, "away"), Counts())
    claimed = claim_quarantine(ledger, third)
    assert found(third) == Claimed([], {}, State.RUNNING, None)  # by itself, since
    ledger.mark_quarantined(claimed, "there", StageReport(Stage.QUARANTINE, 0.1, 0))
    assert found(third) == Claimed([], {}, State.QUARANTINED, None)
    assert found(999_999) == Claimed([])


def claim_quarantine(ledger: Ledger, file_id: int) -> Claim:
    claimed = ledger.claim(file_id, (Stage.QUARANTINE,), "me", 60)
    assert claimed is not None
    return claimed


def test_a_lost_message_is_found_while_those_of_files_taken_along_wait(ledger: Ledger) -> None:
    """The broker holds more messages than there are files: what is missing cannot be counted."""
    first, *others = waiting(ledger, 3)
    lost = add(ledger, b"0.csv", 9)
    publish(ledger)
    assert take(ledger, first) == [first, *others]
    time.sleep(2 * SHORT)
    assert ledger.reconcile(SHORT, len(others)).stale == 0
    assert ledger.reconcile(SHORT / 40, len(others)).stale == 1
    assert [w.file_id for w in ledger.pending(10, 10)] == [lost]
