"""What `ports.outbox` says of the files that are to be published, and of messages that are missed."""

from __future__ import annotations

import time
from dataclasses import replace

from adapters import ON_POSTGRES
from samples import add, arrival, batch, claim, load, waiting

from sensorflow.core.arrival import Lane
from sensorflow.core.states import Stage
from sensorflow.errors import Code, Permanent
from sensorflow.ports.files import Counts
from sensorflow.ports.intake import OnChange
from sensorflow.ports.ledger import Ledger

SHORT = 0.05


def test_due_files_are_published_once_and_oldest_first(ledger: Ledger) -> None:
    ids = [add(ledger, b"%d.csv" % n, n) for n in range(1, 4)]
    assert [w.file_id for w in ledger.pending(10, 10)] == ids
    ledger.mark_sent(ledger.pending(2, 10))
    assert [w.file_id for w in ledger.pending(10, 10)] == ids[2:]


def test_no_more_than_max_in_flight_are_due(ledger: Ledger) -> None:
    ids = [add(ledger, b"%d.csv" % n, n) for n in range(1, 6)]
    assert len(ledger.pending(10, 2)) == 2
    ledger.mark_sent(ledger.pending(2, 10))
    assert ledger.pending(10, 2) == []
    load(ledger, claim(ledger, ids[0]), batch())
    assert [w.file_id for w in ledger.pending(10, 2)] == ids[2:3]


def test_one_publisher_at_a_time(ledger: Ledger) -> None:
    with ledger.publisher_lease() as is_mine, ledger.publisher_lease() as is_others:
        assert is_mine()
        assert not is_others()
        assert is_mine()
    with ledger.publisher_lease() as is_mine:
        assert is_mine()


@ON_POSTGRES
def test_a_publisher_that_falls_silent_is_followed_by_another_one(ledger: Ledger) -> None:
    """A process that is stopped, a host that is gone: it holds nothing for longer than its lease."""
    with ledger.publisher_lease(SHORT) as is_olds:
        assert is_olds()
        time.sleep(2 * SHORT)
        with ledger.publisher_lease() as is_mine:
            assert is_mine()
            assert not is_olds()
            assert is_mine()


def test_a_publisher_that_is_busy_for_longer_than_its_lease_goes_on(ledger: Ledger) -> None:
    with ledger.publisher_lease(1.0) as is_mine:
        for _ in range(6):
            time.sleep(0.25)
            assert is_mine()
            with ledger.publisher_lease() as is_others:
                assert not is_others()


@ON_POSTGRES
def test_messages_are_missed_only_when_the_broker_may_have_lost_them(ledger: Ledger) -> None:
    file_id = add(ledger)
    ledger.mark_sent(ledger.pending(1, 1))
    time.sleep(SHORT)
    assert ledger.reconcile(60, 0).stale == 0  # too young
    assert ledger.reconcile(0.0, 1).stale == 0  # the broker holds it
    assert ledger.reconcile(0.0, 0).stale == 1
    assert [w.file_id for w in ledger.pending(10, 10)] == [file_id]


def test_a_file_condemned_while_its_batch_was_sent_still_gets_its_next_message(
    ledger: Ledger,
) -> None:
    file_id = add(ledger)
    sent = ledger.pending(10, 10)
    ledger.dead_letter(claim(ledger, file_id), Permanent(Code.UNREADABLE, "no"), Counts())
    ledger.mark_sent(sent)
    assert [w.stage for w in ledger.pending(10, 10)] == [Stage.QUARANTINE]


@ON_POSTGRES
def test_only_as_many_messages_are_missed_as_the_broker_lacks(ledger: Ledger) -> None:
    for n in range(1, 6):
        add(ledger, b"%d.csv" % n, n)
    ledger.mark_sent(ledger.pending(10, 10))
    time.sleep(SHORT)
    assert ledger.reconcile(0.0, 3).stale == 2


@ON_POSTGRES
def test_old_files_are_due_only_when_no_live_one_is(ledger: Ledger) -> None:
    old = [
        ledger.register(
            replace(arrival(b"%d.csv" % n, n), lane=Lane.BACKFILL), OnChange.SUPERSEDE, False
        ).file_id
        for n in (1, 2, 3)
    ]
    live = add(ledger, b"live.csv", 9)
    assert [w.file_id for w in ledger.pending(10, 10, 2)] == [live]
    ledger.mark_sent(ledger.pending(10, 10, 2))
    pending = ledger.pending(10, 10, 2)
    assert [(w.file_id, w.lane) for w in pending] == [
        (old[0], Lane.BACKFILL),
        (old[1], Lane.BACKFILL),
    ]
    ledger.mark_sent(pending)
    assert ledger.pending(10, 10, 2) == []
    assert (ledger.unfinished(Lane.BACKFILL), ledger.unfinished(Lane.LIVE)) == (3, 1)


@ON_POSTGRES
def test_of_messages_with_many_files_as_many_are_missed_as_the_broker_lacks(
    ledger: Ledger,
) -> None:
    ids = waiting(ledger, 5)
    ids += waiting_alone(ledger, b"x.csv", 6), waiting_alone(ledger, b"y.csv", 7)
    time.sleep(SHORT)
    assert ledger.reconcile(0.0, 3).stale == 0  # three messages, and the broker has them
    assert ledger.reconcile(0.0, 2).stale == 5  # the oldest
    assert [w.file_id for w in ledger.pending(10, 10)] == ids[:5]
    assert ledger.reconcile(0.0, 2).stale == 0


def waiting_alone(ledger: Ledger, key: bytes, mark: int) -> int:
    file_id = add(ledger, key, mark)
    ledger.mark_sent(ledger.pending(1, 100))
    return file_id
