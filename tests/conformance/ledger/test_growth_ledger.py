"""The contract of `ports.ledger.Ledger` for files that grow, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pyarrow as pa
import pytest
from fresh_database import FreshDatabase
from samples import arrival, batch, claim, state

from sensorflow.adapters.postgres.ledger import PostgresLedger
from sensorflow.core.growth import HEADER, Growth, Increment, Ingested, Part
from sensorflow.core.keys import keys
from sensorflow.core.readings import US, micros
from sensorflow.core.states import WORK, State
from sensorflow.errors import Code, Permanent
from sensorflow.ports.claims import Claim
from sensorflow.ports.files import Counts, StageReport
from sensorflow.ports.intake import Kind, OnChange
from sensorflow.ports.ledger import Ledger
from sensorflow.ports.loading import Load
from sensorflow.ports.maintenance import Expirable


@pytest.fixture(
    params=[
        "postgres",
        pytest.param("deferred", marks=pytest.mark.plain("a hypertable has one unique index")),
    ]
)
def ledger(
    spare: Callable[[str], FreshDatabase], request: pytest.FixtureRequest
) -> Iterator[PostgresLedger]:
    deferred = request.param == "deferred"
    database = spare("deferred" if deferred else "unique")
    new_ledger = PostgresLedger(database.url, "test", deferred=deferred)
    yield new_ledger
    new_ledger.close()
    database.empty()


def growth(
    number: int, follows: Ingested | None = None, key: bytes = b"a.csv", inode: str = "1:1"
) -> Growth:
    landed = arrival(key, number, f"mark{number}")
    increment = Increment(follows, landed.landed.size, 10, inode, b"head", b"tail")
    return Growth(landed, increment)


def load(
    ledger: Ledger,
    claimed: Claim,
    silver: pa.RecordBatch,
    name: str = "plant/a.csv",
    known: int = 0,
) -> Counts:
    """known: repeats of what earlier growths hold, which are not in silver."""
    counts = Counts(read=len(silver) + known, duplicate=known)
    plan = Load(counts, OnChange.MERGE, "p", "h", "0", (), name)
    return ledger.load(claimed, [(silver, keys(silver, name))], plan).counts


def newest(ledger: Ledger, key: bytes = b"a.csv") -> Ingested:
    [found] = ledger.find_ingested("plant", [key], [])
    return found


def grow(ledger: Ledger, count: int = 1, first: int = 1, key: bytes = b"a.csv") -> list[int]:
    """A new growing file with so many growths; their ids."""
    ids: list[int] = []
    for number in range(first, first + count):
        [done] = ledger.grow([growth(number, newest(ledger, key) if ids else None, key)])
        assert done is not None
        ids.append(done.file_id)
    return ids


def test_each_growth_is_a_version_that_follows_the_one_before(ledger: Ledger) -> None:
    ids = grow(ledger, 3)
    ingested = newest(ledger)
    assert (ingested.root, ingested.last, ingested.size, ingested.lines) == (
        ids[0],
        ids[2],
        300,
        30,
    )
    assert (ingested.head, ingested.tail, ingested.inode) == (b"head", b"tail", "1:1")
    assert (ingested.fingerprint, ingested.checked, ingested.waiting) == ("mark3", None, True)
    assert 0 <= ingested.age < 60
    views = [ledger.file(number) for number in ids]
    assert [view.version for view in views if view] == [1, 2, 3]
    found = ledger.segments(ids[0])
    assert [(s.file_id, s.byte_offset, s.size) for s in found] == [
        (ids[0], 0, 100),
        (ids[1], 100, 100),
        (ids[2], 200, 100),
    ]
    assert [s.file_id for s in ledger.segments(ids[0], 100, 1)] == [ids[1]]
    part = Part(ids[0], ids[1], 200, 20)
    assert [s.file_id for s in ledger.segments_before(part, 1)] == [ids[1]]
    assert [s.file_id for s in ledger.segments_before(part, 9)] == ids[:2]


def test_of_two_that_go_on_at_one_place_the_first_is_taken(ledger: Ledger) -> None:
    grow(ledger)
    seen = newest(ledger)
    first, second = ledger.grow([growth(2, seen), growth(3, seen)])
    assert first is not None
    assert second is None
    assert ledger.grow([growth(4, seen)]) == [None]
    assert newest(ledger).size == 200


def test_a_file_begun_twice_in_one_state_is_one(ledger: Ledger) -> None:
    assert ledger.grow([growth(1)]) != [None]
    assert ledger.grow([growth(1)]) == [None]


def test_equal_growths_are_no_aliases(ledger: Ledger) -> None:
    grow(ledger)
    [second] = ledger.grow([growth(1, newest(ledger))])
    [other] = ledger.grow([growth(1, None, b"b.csv", "1:2")])
    assert second is not None
    assert other is not None
    assert {second.kind, other.kind} == {Kind.NEW}


def test_the_newest_of_a_name_and_of_an_inode_are_found(ledger: Ledger) -> None:
    [first] = grow(ledger)
    [second] = [r.file_id for r in ledger.grow([growth(2, None, b"a.csv", "1:2")]) if r]
    [third] = [r.file_id for r in ledger.grow([growth(3, None, b"b.csv", "1:2")]) if r]
    assert [t.root for t in ledger.find_ingested("plant", [b"a.csv"], ["1:1"])] == [first, second]
    assert [t.root for t in ledger.find_ingested("plant", [b"a.csv"], ["1:2"])] == [second, third]
    assert ledger.find_ingested("plant", [b"c.csv"], ["9:9"]) == []
    assert ledger.find_ingested("other", [b"a.csv"], ["1:1"]) == []


def test_what_goes_on_under_another_name_keeps_its_own(ledger: Ledger) -> None:
    [first] = grow(ledger)
    [done] = ledger.grow([growth(2, newest(ledger), b"a.1.csv")])
    assert done is not None
    view = ledger.file(done.file_id)
    assert view is not None
    assert (view.name, view.version) == ("a.csv", 2)
    assert [a.name for a in ledger.arrivals(done.file_id)] == ["a.1.csv"]
    ledger.record_inspection("plant", b"a.2.csv", newest(ledger), "1:1", "later", False)
    ledger.record_inspection("plant", b"a.2.csv", newest(ledger), "1:1", "last", True)
    assert [a.name for a in ledger.arrivals(done.file_id)] == ["a.1.csv", "a.2.csv"]
    for mark in ("copied", "copied", "more"):
        ledger.record_inspection("plant", b"copy.csv", newest(ledger), None, mark, False)
    found = [(a.name, a.fingerprint) for a in ledger.arrivals(done.file_id)]
    assert found[2:] == [("copy.csv", "copied"), ("copy.csv", "more")]
    ingested = newest(ledger)
    assert (ingested.fingerprint, ingested.checked, ingested.root) == ("last", "last", first)
    assert [t.root for t in ledger.find_ingested("plant", [], [], 1)] == [first]


def test_a_growth_is_due_and_claimed_when_the_one_before_is_finished(ledger: Ledger) -> None:
    first, second, third = grow(ledger, 3)
    assert [w.file_id for w in ledger.pending(10, 10)] == [first]
    assert ledger.claim(second, WORK, "me", 60) is None
    claimed = claim(ledger, first)
    assert ledger.claim_many([second, third], WORK, "me", 60).claims == []
    load(ledger, claimed, batch(2))
    assert [w.file_id for w in ledger.pending(10, 10)] == [second]
    claimed = claim(ledger, second)
    ledger.dead_letter(claimed, Permanent(Code.EMPTY, "no"), Counts())
    assert ledger.pending(10, 10)[0].file_id == second
    claimed = ledger.claim(second, ("quarantine",), "me", 60)  # type: ignore[arg-type,assignment]
    assert ledger.claim(third, WORK, "me", 60) is None
    ledger.mark_quarantined(claimed, "there", StageReport("quarantine", 0.0, 0))  # type: ignore[arg-type]
    assert [w.file_id for w in ledger.pending(10, 10)] == [third]


def test_a_claim_knows_its_part_and_what_the_others_brought(ledger: Ledger) -> None:
    first, second, third = grow(ledger, 3)
    claimed = claim(ledger, first)
    assert claimed.part == Part(first, None, 0, 0)
    load(ledger, claimed, batch(3))
    claimed = claim(ledger, second)
    assert claimed.part is not None
    end = 1_700_000_002_000_000
    assert claimed.part == Part(first, first, 100, 10, 3, 0, claimed.part.ts_max)
    assert claimed.part.ts_max is not None
    assert claimed.part.ts_max.timestamp() * 1e6 == end
    load(ledger, claimed, batch(2, 10))
    ledger.replay(first)
    claimed = claim(ledger, first)
    assert claimed.part is not None
    assert (claimed.part.rows_read, claimed.has_loaded_rows) == (2, True)
    load(ledger, claimed, batch(4))
    ledger.undo(second, "")
    claimed = claim(ledger, third)
    assert claimed.part is not None
    assert claimed.part.rows_read == 4


def test_rows_beside_are_those_of_the_other_growths(ledger: Ledger) -> None:
    first, second = grow(ledger, 2)
    [other] = [r.file_id for r in ledger.grow([growth(9, None, b"b.csv", "1:2")]) if r]
    load(ledger, claim(ledger, first), batch(3))
    load(ledger, claim(ledger, other), batch(3), "plant/b.csv")
    load(ledger, claim(ledger, second), batch(3, 2, 2.5), "plant/a.csv\0")
    times = pa.array(micros(batch(9)["ts"])).cast(US)
    part = Part(first, first, 100, 10)
    found = ledger.rows_in_other_parts(part, second, times)
    assert sorted(micros(found["ts"]).tolist()) == micros(batch(3)["ts"]).tolist()
    assert set(found["value"].to_pylist()) == {1.5}
    assert len(found["dedupe_key"][0].as_py()) == 16
    found = ledger.rows_in_other_parts(part, first, times.slice(2, 1))
    assert found["value"].to_pylist() == [2.5]
    assert len(ledger.rows_in_other_parts(part, second, times.slice(8))) == 0


def test_a_chain_is_shown_as_one_file(ledger: Ledger) -> None:
    first, second, third = grow(ledger, 3)
    plain = ledger.register(arrival(b"c.csv", 7), "merge", False).file_id  # type: ignore[arg-type]
    load(ledger, claim(ledger, first), batch(3))
    load(ledger, claim(ledger, second), batch(2, 10))
    found = ledger.chains([second, plain])
    assert list(found) == [second]
    chain = found[second]
    assert (chain.root, chain.growths) == (first, 3)
    assert chain.counts == Counts(5, 5)
    assert chain.states == {State.PENDING: 1, State.LOADED: 2}
    assert (chain.size, chain.lines, chain.newest.file_id) == (300, 30, third)
    assert [v.file_id for v in ledger.files(first_parts_only=True)] == [plain, first]
    assert len(ledger.files()) == 4


def test_of_growths_undone_together_none_goes_through_again(ledger: Ledger) -> None:
    first, second = grow(ledger, 2)
    load(ledger, claim(ledger, first), batch(3))
    load(ledger, claim(ledger, second), batch(2, 3), known=1)
    assert ledger.undo(first, "", also_undone=[first, second]).rows == 3
    assert state(ledger, second) is State.LOADED
    assert ledger.undo(second, "", also_undone=[first, second]).rows == 2
    ledger.replay(first)
    ledger.replay(second)
    load(ledger, claim(ledger, first), batch(3))
    load(ledger, claim(ledger, second), batch(2, 3), known=1)
    ledger.undo(first, "")  # alone: what the other left out comes back
    assert state(ledger, second) is State.PENDING


def test_the_beginning_of_a_growing_file_does_not_expire(ledger: Ledger) -> None:
    first, second = grow(ledger, 2)
    [late] = ledger.grow([growth(3, newest(ledger))])
    assert late is not None
    big = replace(arrival(b"b.csv", 5, "big"), landed=replace(arrival(b"b", 5).landed, size=HEADER))
    first_of_big = replace(growth(5, None, b"b.csv", "1:2").increment, size=HEADER)
    [root] = ledger.grow([Growth(big, first_of_big)])
    [after] = ledger.grow([growth(6, newest(ledger, b"b.csv"), b"b.csv", "1:2")])
    assert root is not None
    assert after is not None
    for number in (first, second, late.file_id, root.file_id, after.file_id):
        load(ledger, claim(ledger, number), batch(1, number * 10), f"plant/{number}")
    assert ledger.expire("plant", Expirable.LANDING, -1).files == 1
    assert ledger.history(after.file_id)[-1].what == "expired"
    assert ledger.expire("plant", Expirable.BRONZE, -1).files == 5
