"""Two things at once in the database, in the order that does the most harm."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pyarrow as pa
import pytest
from samples import add, arrival, batch, claim, load

from sensorflow.adapters.postgres.ledger import PostgresLedger
from sensorflow.core.keys import keys
from sensorflow.core.states import WORK, State
from sensorflow.ports.claims import BatchLimits, Claimed
from sensorflow.ports.files import Counts
from sensorflow.ports.intake import Kind, OnChange
from sensorflow.ports.loading import Load


def test_an_alias_that_arrives_while_its_twin_is_superseded_keeps_its_readings(
    ledger: PostgresLedger,
) -> None:
    old = add(ledger, b"a.csv", 1)
    load(ledger, claim(ledger, old), batch(3), "plant/a.csv")
    new = claim(ledger, add(ledger, b"a.csv", 2))
    kinds = []

    def rows() -> Iterator[tuple[pa.RecordBatch, pa.Array]]:
        # the old version is marked, nothing is committed yet
        kinds.append(ledger.register(arrival(b"b.csv", 1), OnChange.SUPERSEDE, False).kind)
        yield batch(2), keys(batch(2), "plant/a.csv")

    ledger.load(new, rows(), Load(Counts(read=2), OnChange.SUPERSEDE, "p", "h", "0", ()))
    assert kinds == [Kind.ALIAS]
    (promoted,) = [view for view in ledger.files() if view.name == "b.csv"]
    assert promoted.state is State.PENDING
    load(ledger, claim(ledger, promoted.file_id), batch(3), "plant/b.csv")
    assert ledger.totals()["plant"].rows_loaded == 5


def waiting(ledger: PostgresLedger, count: int) -> list[int]:
    ids = [add(ledger, b"%d.csv" % n, n + 1) for n in range(count)]
    ledger.mark_sent(ledger.pending(100, 100))
    return ids


def take(ledger: PostgresLedger, file_id: int) -> Claimed:
    limits = BatchLimits(("plant",), 1000, 10_000, files=100, share=1)
    return ledger.claim_batch(file_id, WORK, "me", 60, limits)


@contextmanager
def locked(database: str, *ids: int) -> Iterator[None]:
    """Somebody else is in the middle of a statement that changes these."""
    with psycopg.connect(database) as connection:
        connection.execute("SELECT id FROM files WHERE id = ANY(%s) FOR UPDATE", (list(ids),))
        yield


def test_files_that_another_worker_is_claiming_are_passed_over(
    ledger: PostgresLedger, database: str
) -> None:
    ids = waiting(ledger, 5)
    with locked(database, *ids[1:3]):
        assert [c.file_id for c in take(ledger, ids[0]).claims] == [ids[0], *ids[3:]]
    assert [c.file_id for c in take(ledger, ids[1]).claims] == ids[1:3]


def test_a_task_whose_file_is_being_loaded_does_not_wait_for_that(
    ledger: PostgresLedger, database: str
) -> None:
    ids = waiting(ledger, 3)
    take(ledger, ids[0])
    with locked(database, *ids):
        assert take(ledger, ids[1]) == Claimed([], {}, State.RUNNING, ids[0])


def test_a_message_that_is_taken_while_it_is_recorded_as_sent_is_not_lost(
    ledger: PostgresLedger, database: str
) -> None:
    """Its claim waits for the publisher's statement: passed over, the file would wait for the sweeper."""
    ids = waiting(ledger, 2)
    with ThreadPoolExecutor(1) as pool:
        with locked(database, ids[0]):
            taking = pool.submit(take, ledger, ids[0])
            with pytest.raises(TimeoutError):
                taking.result(0.3)
        assert [c.file_id for c in taking.result(10).claims] == ids


def test_two_workers_share_what_waits_and_never_a_file(database: str) -> None:
    workers = [PostgresLedger(database, name) for name in ("one", "other")]
    try:
        ids = waiting(workers[0], 60)
        limits = BatchLimits(("plant",), 1000, 10_000, files=10, share=2)

        def work(worker: PostgresLedger) -> list[int]:
            found = (worker.claim_batch(n, WORK, "me", 60, limits) for n in ids)
            return [claim.file_id for claimed in found for claim in claimed.claims]

        with ThreadPoolExecutor(2) as pool:
            file_ids = [n for found in pool.map(work, workers) for n in found]
        assert sorted(file_ids) == ids
    finally:
        for worker in workers:
            worker.close()
