"""The contract of `ports.audit.AuditStore`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from samples import add, arrival, batch, claim, load

from sensorflow.adapters.postgres.audit import PostgresAuditStore
from sensorflow.adapters.postgres.ledger import PostgresLedger
from sensorflow.core.keys import keys
from sensorflow.core.readings import READING, US
from sensorflow.core.states import State
from sensorflow.ports.audit import AuditStore
from sensorflow.ports.ledger import Ledger

Pair = tuple[Ledger, AuditStore]


@pytest.fixture
def pair(database: str) -> Iterator[Pair]:
    ledger, audit_store = PostgresLedger(database, "test"), PostgresAuditStore(database, "test")
    yield ledger, audit_store
    ledger.close()
    audit_store.close()


def loaded(ledger: Ledger, name: bytes = b"a.csv", content: int = 1, start: int = 0) -> int:
    file_id = add(ledger, name, content)
    load(ledger, claim(ledger, file_id), batch(3, start), f"plant/{name.decode()}")
    return file_id


def micros(rows: pa.RecordBatch) -> pa.Array:
    return pc.floor_temporal(rows["ts"], unit="microsecond").cast(US)


def test_a_snapshot_has_every_file_and_its_rows(pair: Pair) -> None:
    ledger, audit_store = pair
    first, second = loaded(ledger), add(ledger, b"b.csv", 2)
    with audit_store.snapshot() as seen:
        files = list(seen.files())
        rows = pa.Table.from_batches(seen.readings(), READING)
        assert [(f.file_id, f.state, f.rows) for f in files] == [
            (first, State.LOADED, 3),
            (second, State.PENDING, None),
        ]
    assert rows["file_id"].to_pylist() == [first] * 3
    assert sorted(rows["dedupe_key"].to_pylist()) == sorted(
        keys(batch(), "plant/a.csv").to_pylist()
    )
    assert isinstance(seen.taken_at, datetime)


def test_a_snapshot_counts_rows_and_does_not_move_with_the_ledger(pair: Pair) -> None:
    ledger, audit_store = pair
    first = loaded(ledger)
    with audit_store.snapshot() as seen:
        list(seen.files())
        second = loaded(ledger, b"b.csv", 2, 10)
        assert seen.rows_per_file() == {first: 3}
        assert [f.file_id for f in seen.files()] == [first]
        assert sum(map(len, seen.readings())) == 3
    assert set(audit_store.current([first, second, 99])) == {first, second}


def test_who_holds_a_key_is_told(pair: Pair) -> None:
    ledger, audit_store = pair
    first, second = loaded(ledger), loaded(ledger, b"b.csv", 2)
    with audit_store.snapshot() as seen:
        rows = batch(4)
        holders = [
            seen.holders(micros(rows), keys(rows, f"plant/{n}.csv")) for n in ("a", "b", "c")
        ]
    assert holders == [[first] * 3 + [None], [second] * 3 + [None], [None] * 4]


def test_how_many_rows_share_an_identity_is_told_while_rows_are_read(pair: Pair) -> None:
    ledger, audit_store = pair
    loaded(ledger)
    loaded(ledger, b"b.csv", 2)
    with audit_store.snapshot() as seen:
        counts = [n for rows in seen.readings() for n in seen.identity_counts(rows)]
    assert counts == [2] * 6


def test_a_file_that_did_something_has_moved(pair: Pair) -> None:
    ledger, audit_store = pair
    file_id = add(ledger)
    before = audit_store.current([file_id])[file_id]
    assert not before.has_changed(audit_store.current([file_id])[file_id])
    claimed = claim(ledger, file_id)
    running = audit_store.current([file_id])[file_id]
    assert before.has_changed(running)
    load(ledger, claimed, batch())
    assert running.has_changed(audit_store.current([file_id])[file_id])
    assert not before.has_changed(replace(before))


def test_states_of_dropped_files_that_were_never_registered_are_told(pair: Pair) -> None:
    ledger, audit_store = pair
    add(ledger, b"a.csv", 1)
    known = (b"a.csv", arrival().fingerprint)
    others = [(b"a.csv", "another"), (b"\xff.csv", known[1])]
    assert sorted(audit_store.unregistered("plant", [known, *others])) == sorted(others)
    assert audit_store.unregistered("other", [known]) == [known]
    assert audit_store.unregistered("plant", []) == []


def test_rows_that_a_state_allows_are_not_removed(pair: Pair) -> None:
    ledger, audit_store = pair
    file_id = loaded(ledger)
    assert audit_store.remove_rows(file_id) == 0
    assert audit_store.remove_rows(99) == 0
    with audit_store.locked(file_id) as book:
        assert book is not None
        assert book.rows == 3
    with audit_store.locked(99) as none:
        assert none is None
    with audit_store.snapshot() as seen:
        assert seen.rows_per_file() == {file_id: 3}


def test_giving_up_in_the_middle_of_the_rows_harms_nobody(pair: Pair) -> None:
    ledger, audit_store = pair
    file_id = loaded(ledger)
    with audit_store.snapshot() as seen:
        next(iter(seen.readings()))
    assert file_id in audit_store.current([file_id])


def test_a_history_is_the_one_that_was_written_also_when_its_beginning_is_forgotten(
    pair: Pair,
) -> None:
    ledger, audit_store = pair
    first = loaded(ledger)
    second = loaded(ledger, b"b.csv", 2, 10)
    ledger.undo(first, "wrong")
    ledger.replay(second)
    with audit_store.snapshot() as seen:
        assert seen.tampered() == []
        before = seen.history()
    assert ledger.delete_history("plant", -1.0)
    with audit_store.snapshot() as seen:
        assert seen.tampered() == []
        assert seen.history().events < before.events
    ledger.replay(first)
    with audit_store.snapshot() as seen:
        assert seen.tampered() == []
