"""How sources with weights and quotas share the workers, and that paused ones get nothing."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import replace
from hashlib import sha256

from adapters import ON_POSTGRES
from samples import add, arrival, batch, claim, load

from sensorflow.core.arrival import Lane
from sensorflow.core.controls import Mode
from sensorflow.core.shares import SourceShare
from sensorflow.ports.intake import OnChange
from sensorflow.ports.ledger import Ledger
from sensorflow.ports.outbox import NO_IN_FLIGHT_LIMITS, InFlightLimits

WEIGHTS = {"one": SourceShare(1), "two": SourceShare(2), "four": SourceShare(4)}
WINDOW = InFlightLimits(window=28, files=750, least=0, large=2, large_bytes=8 << 20, shares=WEIGHTS)


def drop(
    ledger: Ledger, source: str, count: int, size: int = 1, lane: Lane = Lane.LIVE
) -> list[int]:
    files = []
    for nth in range(count):
        given, digest = arrival(b"%d-%d.csv" % (size, nth)), sha256(b"%d %d" % (size, nth)).digest()
        landed = replace(given.landed, size=size, sha256=digest)
        files.append(replace(given, source=source, landed=landed, lane=lane))
    return [a.file_id for a in ledger.register_many(files, OnChange.MERGE, False)]


def publish(ledger: Ledger, limits: InFlightLimits) -> list[tuple[str, int]]:
    """Publish what is due. Returns source and id of each file, in the order of their messages."""
    found = ledger.pending(100, 1000, 8, limits)
    ledger.mark_sent(found)
    return [(w.source, w.file_id) for w in found]


@ON_POSTGRES
def test_sources_with_weights_1_2_4_get_work_in_that_proportion(ledger: Ledger) -> None:
    for source in WEIGHTS:
        drop(ledger, source, 60)
    queue, done = deque(publish(ledger, WINDOW)), Counter[str]()
    assert Counter(source for source, _ in queue) == {"one": 4, "two": 8, "four": 16}
    for nth in range(70):  # a worker finishes one file after the other
        source, file_id = queue.popleft()
        load(ledger, claim(ledger, file_id), batch(1, nth), f"{source}/{file_id}")
        done[source] += 1
        queue += publish(ledger, WINDOW)
    assert done == {"one": 10, "two": 20, "four": 40}


@ON_POSTGRES
def test_a_weight_counts_work_and_not_files(ledger: Ledger) -> None:
    """A file of 96 KiB is as much work as four small ones."""
    drop(ledger, "one", 40)
    drop(ledger, "four", 40, size=96 << 10)
    found = publish(ledger, replace(WINDOW, window=40))
    assert Counter(source for source, _ in found) == {"one": 8, "four": 8}


@ON_POSTGRES
def test_without_weights_sources_share_evenly(ledger: Ledger) -> None:
    for source in WEIGHTS:
        drop(ledger, source, 20)
    found = publish(ledger, replace(WINDOW, window=27, shares={}))
    assert set(Counter(source for source, _ in found).values()) == {9}


@ON_POSTGRES
def test_a_source_at_its_quota_leaves_its_turns_to_others(ledger: Ledger) -> None:
    limits = replace(WINDOW, window=10, files=10, shares={"heavy": SourceShare(1000, 3)})
    heavy, other = drop(ledger, "heavy", 20), drop(ledger, "other", 20)
    found = publish(ledger, limits)
    assert [n for source, n in found if source == "heavy"] == heavy[:3]
    assert [n for source, n in found if source == "other"] == other[:7]
    assert publish(ledger, limits) == []
    load(ledger, claim(ledger, other[0]), batch())
    assert publish(ledger, limits) == [("other", other[7])]
    load(ledger, claim(ledger, heavy[0]), batch(3, 100))
    assert publish(ledger, limits) == [("heavy", heavy[3])]


@ON_POSTGRES
def test_a_quota_counts_large_files_and_the_backfill_lane(ledger: Ledger) -> None:
    limits = replace(WINDOW, window=10_000, shares={"plant": SourceShare(1, 2)})
    large = drop(ledger, "plant", 3, size=1 << 30)
    small = drop(ledger, "plant", 3)
    assert publish(ledger, limits) == [("plant", n) for n in large[:2]]
    load(ledger, claim(ledger, large[0]), batch())
    assert publish(ledger, limits) == [("plant", large[2])]
    for nth, file_id in enumerate(large[1:]):
        load(ledger, claim(ledger, file_id), batch(3, 10 + 3 * nth))
    old = drop(ledger, "plant", 3, size=3, lane=Lane.BACKFILL)
    assert publish(ledger, limits) == [("plant", n) for n in small[:2]]
    for nth, file_id in enumerate(small[:2]):
        load(ledger, claim(ledger, file_id), batch(3, 30 + 3 * nth))
    assert publish(ledger, limits) == [("plant", small[2])]
    assert publish(ledger, limits) == [("plant", old[0])]
    assert publish(ledger, limits) == []


def test_a_quota_holds_for_a_source_alone(ledger: Ledger) -> None:
    ids = [add(ledger, b"%d.csv" % n, n) for n in range(1, 6)]
    limits = replace(NO_IN_FLIGHT_LIMITS, shares={"plant": SourceShare(1, 2)})
    assert [w.file_id for w in ledger.pending(10, 10, None, limits)] == ids[:2]
    ledger.mark_sent(ledger.pending(1, 10))
    assert [w.file_id for w in ledger.pending(10, 10, None, limits)] == ids[1:2]


def test_a_paused_source_gets_no_messages_until_it_is_resumed(ledger: Ledger) -> None:
    ids = [add(ledger, b"%d.csv" % n, n) for n in range(1, 4)]
    ledger.mark_sent(ledger.pending(1, 10))
    ledger.hold_back("plant", Mode.PAUSED, "anna")
    assert ledger.pending(10, 10) == []
    load(ledger, claim(ledger, ids[0]), batch())  # what workers have finishes
    ledger.resume("plant")
    assert [w.file_id for w in ledger.pending(10, 10)] == ids[1:]


def test_a_draining_source_still_gets_its_messages(ledger: Ledger) -> None:
    file_id = add(ledger)
    ledger.hold_back("plant", Mode.DRAINING, "anna")
    assert [w.file_id for w in ledger.pending(10, 10)] == [file_id]


@ON_POSTGRES
def test_other_sources_get_the_turns_of_a_paused_one(ledger: Ledger) -> None:
    drop(ledger, "one", 40)
    four = drop(ledger, "four", 40)
    ledger.hold_back("one", Mode.PAUSED, "anna")
    assert publish(ledger, WINDOW) == [("four", n) for n in four[:28]]


@ON_POSTGRES
def test_a_backfill_does_not_wait_for_files_of_another_source_that_is_paused(
    ledger: Ledger,
) -> None:
    drop(ledger, "one", 3, lane=Lane.BACKFILL)
    drop(ledger, "two", 2, lane=Lane.BACKFILL)
    ledger.mark_sent(ledger.pending(1, 10))
    ledger.hold_back("one", Mode.PAUSED, "anna")
    ledger.hold_back("two", Mode.DRAINING, "anna")
    assert ledger.unfinished(Lane.BACKFILL, "two") == 3  # the message of one file is sent
    assert ledger.unfinished(Lane.BACKFILL, "one") == 5
