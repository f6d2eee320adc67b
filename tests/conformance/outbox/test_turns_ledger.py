"""Whose turn it is to be published, by `ports.ledger.Ledger`."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

from adapters import ON_POSTGRES
from samples import arrival, batch, claim, load

from sensorflow.core.arrival import Arrival, Lane
from sensorflow.core.heartbeat import LoopReport, Role
from sensorflow.ports.intake import OnChange
from sensorflow.ports.ledger import Ledger
from sensorflow.ports.outbox import InFlightLimits

pytestmark = ON_POSTGRES

SHARE = InFlightLimits(window=40, files=750, least=0, large=2, large_bytes=8 << 20)


def drop(
    ledger: Ledger, source: str, count: int, size: int = 1, lane: Lane = Lane.LIVE
) -> list[int]:
    def file(nth: int) -> Arrival:
        given, digest = arrival(b"%d-%d.csv" % (size, nth)), sha256(b"%d %d" % (size, nth)).digest()
        landed = replace(given.landed, size=size, sha256=digest)
        return replace(given, source=source, landed=landed, lane=lane)

    added = ledger.register_many([file(n) for n in range(count)], OnChange.MERGE, False)
    return [a.file_id for a in added]


def pending_ids(ledger: Ledger, share: InFlightLimits = SHARE, limit: int = 100) -> list[int]:
    """Publish what is due."""
    found = ledger.pending(limit, 1000, 8, share)
    ledger.mark_sent(found)
    return [w.file_id for w in found]


def test_sources_take_turns_and_each_goes_by_age(ledger: Ledger) -> None:
    flood, quiet = drop(ledger, "flood", 20), drop(ledger, "quiet", 3)
    assert [w.file_id for w in ledger.pending(6, 1000)] == [
        flood[0],
        quiet[0],
        flood[1],
        quiet[1],
        flood[2],
        quiet[2],
    ]


def test_what_is_in_flight_counts_for_whose_turn_it_is(ledger: Ledger) -> None:
    flood = drop(ledger, "flood", 20)
    assert pending_ids(ledger, limit=10) == flood[:10]
    quiet = drop(ledger, "quiet", 3)
    assert pending_ids(ledger, limit=4) == [*quiet, flood[10]]


def test_a_flood_fills_its_window_and_another_source_goes_beyond_it(ledger: Ledger) -> None:
    flood = drop(ledger, "flood", 100)
    assert pending_ids(ledger) == flood[:40]
    assert pending_ids(ledger) == []
    quiet = drop(ledger, "quiet", 30)
    assert pending_ids(ledger) == quiet[:20]
    load(ledger, claim(ledger, flood[0]), batch())
    assert pending_ids(ledger) == []


def test_large_files_count_for_more_and_leave_a_worker_to_small_ones(ledger: Ledger) -> None:
    large = drop(ledger, "large", 5, size=1 << 30)
    assert pending_ids(ledger, replace(SHARE, window=10_000)) == large[:2]
    small = drop(ledger, "large", 5, size=2)
    assert pending_ids(ledger, replace(SHARE, window=10_000)) == small
    medium = drop(ledger, "medium", 5, size=1 << 20)
    assert pending_ids(ledger, replace(SHARE, window=300)) == medium[:4]


def test_so_many_files_are_in_flight_that_no_worker_waits(ledger: Ledger) -> None:
    medium = drop(ledger, "medium", 9, size=4 << 20)
    assert pending_ids(ledger, replace(SHARE, least=5)) == medium[:5]


def test_no_more_than_max_in_flight_whatever_the_shares_are(ledger: Ledger) -> None:
    drop(ledger, "flood", 10)
    assert len(ledger.pending(100, 4, 8, SHARE)) == 4
    assert len(pending_ids(ledger, replace(SHARE, files=3))) == 3
    quiet = drop(ledger, "quiet", 1)
    assert [w.file_id for w in ledger.pending(100, 3, 8, SHARE)] == []
    assert [w.file_id for w in ledger.pending(100, 4, 8, replace(SHARE, files=3))] == quiet


def test_the_backfill_lane_has_no_share_beyond_the_window(ledger: Ledger) -> None:
    live = drop(ledger, "plant", 40)
    assert pending_ids(ledger) == live
    old = drop(ledger, "old", 2, lane=Lane.BACKFILL)
    assert pending_ids(ledger) == []
    load(ledger, claim(ledger, live[0]), batch())
    assert pending_ids(ledger) == old[:1]


def test_the_pace_is_of_what_was_finished_while_files_wait(ledger: Ledger) -> None:
    ids = drop(ledger, "plant", 3)
    ledger.mark_sent(ledger.pending(2, 1000))
    assert ledger.throughput().work == 0
    load(ledger, claim(ledger, ids[0]), batch())
    assert 0 < ledger.throughput().work <= 2
    assert ledger.throughput().children is None
    for number, limit in enumerate((4, 8)):
        state = {"children": 1, "most": limit}
        ledger.record_report(LoopReport(Role.WORKER, "host", number, str(number), "", state))
    assert ledger.throughput().children == 12
    ledger.mark_sent(ledger.pending(2, 1000))
    assert ledger.throughput().work == 0
