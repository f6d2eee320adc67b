"""Keys, repeats, checksums, states, errors: the small parts that everything rests on."""

from __future__ import annotations

import hashlib
import pickle
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorflow.core.arrival import EVENT_TYPE, OutboxEntry, file_ids_of, message_of, printable
from sensorflow.core.checksum import MODULUS, checksum
from sensorflow.core.deduplicate import Deduplicator
from sensorflow.core.keys import keys
from sensorflow.core.readings import KEY, SILVER
from sensorflow.core.retry import backoff
from sensorflow.core.stability import IGNORED, Stat, is_stable, takes
from sensorflow.core.states import TRANSITIONS, Stage, State
from sensorflow.errors import Code, Fenced, Permanent, Transient, UsageError
from sensorflow.flow.validate import TooManyRejects
from sensorflow.ports.files import Counts

Row = tuple[int, str, str, float, int]


def silver(rows: list[Row]) -> pa.RecordBatch:
    """Rows of (microseconds, sensor, type, value, ordinal)."""
    columns = list(zip(*rows, strict=True)) or [(), (), (), (), ()]
    arrays = [
        pa.array([1000 * t for t in columns[0]], pa.int64()).cast(SILVER.field("ts").type),
        pa.array(columns[1], pa.string()),
        pa.array(columns[2], pa.string()),
        pa.array(columns[3], pa.float64()),
        pa.array([""] * len(rows), pa.string()),
        pa.array([0] * len(rows), pa.int16()),
        pa.array(range(len(rows)), pa.int64()),
        pa.array(columns[4], pa.int32()),
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=SILVER)


def test_the_key_is_the_documented_sha_256() -> None:
    batch = silver([(1_700_000_000_123_456, "tänk", "temp", 1.5, 0), (7, "a", "b", 2.0, 3)])
    text = "5:tänk,16:1700000000123456,4:temp,7:p/a.csv,"
    assert keys(batch, "p/a.csv")[0].as_py() == hashlib.sha256(text.encode()).digest()[:16]
    text = "1:a,1:7,1:b,7:p/a.csv,1:3,"
    assert keys(batch, "p/a.csv")[1].as_py() == hashlib.sha256(text.encode()).digest()[:16]


def test_no_two_tuples_make_the_same_key() -> None:
    rows: list[Row] = [(1, "ab", "c", 0.0, 0), (1, "a", "bc", 0.0, 0), (1, "a,1:1", "c", 0.0, 0)]
    found = keys(silver(rows), "f").to_pylist() + keys(silver(rows), "ff").to_pylist()
    assert len(set(found)) == 6


reading = st.tuples(
    st.integers(0, 4), st.sampled_from("ab"), st.sampled_from("tp"), st.sampled_from([1.0, 2.0])
)


@given(st.lists(st.lists(reading, max_size=8), max_size=4))
def test_repeats_are_told_over_all_batches(
    batches: list[list[tuple[int, str, str, float]]],
) -> None:
    known: dict[tuple[int, str, str], list[float]] = {}
    seen = Deduplicator()
    for batch in batches:
        ordinals, duplicates = seen.assign_ordinals(silver([(*row, 0) for row in batch]))
        for row, ordinal, duplicate in zip(batch, ordinals, duplicates, strict=True):
            values = known.setdefault(row[:3], [])
            assert duplicate == (row[3] in values)
            if not duplicate:
                values.append(row[3])
            assert ordinal == values.index(row[3])


def test_repeats_within_a_microsecond_are_one_instant() -> None:
    batch = silver([(1, "a", "t", 1.0, 0), (1, "a", "t", 2.0, 0)])
    ns = batch["ts"].cast(pa.int64()).to_numpy() + np.array([0, 999])
    place = batch.schema.get_field_index("ts")
    batch = batch.set_column(place, SILVER.field("ts"), pa.array(ns).cast(SILVER.field("ts").type))
    ordinals, _ = Deduplicator().assign_ordinals(batch)
    assert ordinals.tolist() == [0, 1]
    assert (
        len(set(keys(silver([(1, "a", "t", 1.0, 0), (1, "a", "t", 2.0, 1)]), "f").to_pylist())) == 2
    )


def parts(count: int) -> tuple[pa.Array, pa.Array]:
    digests = [hashlib.md5(b"%d" % n).digest() for n in range(count)]
    return pa.array(digests, KEY), pa.array([float(n) for n in range(count)])


def test_a_checksum_is_free_of_order_and_batches() -> None:
    ids, values = parts(10)
    total = checksum(ids, values)
    turned = pa.array(range(9, -1, -1))
    assert checksum(ids.take(turned), values.take(turned)) == total
    halves = checksum(ids[:4], values[:4]) + checksum(ids[4:], values[4:])
    assert halves % MODULUS == total
    assert checksum(ids[:0], values[:0]) == 0


def test_a_checksum_tells_a_lost_a_doubled_a_changed_and_a_swapped_row() -> None:
    ids, values = parts(10)
    total = checksum(ids, values)
    swapped = pa.array([1.0, 0.0, *range(2, 10)])
    doubled = checksum(pa.concat_arrays([ids, ids[:1]]), pa.concat_arrays([values, values[:1]]))
    others = {checksum(ids[1:], values[1:]), checksum(ids, swapped), doubled % MODULUS}
    assert total not in others
    assert len(others) == 3


def test_every_state_but_the_first_can_be_reached_and_history_never_ends_in_running() -> None:
    assert {after for _, after in TRANSITIONS} == set(State)
    assert all(
        any(a is State.RUNNING for a, b in TRANSITIONS if b is s)
        for s in State
        if s not in (State.UNDONE,)
    )


def test_waits_grow_and_are_bounded() -> None:
    waits = [backoff(n, 0.999) for n in range(1, 12)]
    assert waits == sorted(waits)
    assert waits[-1] <= 60
    assert all(backoff(n, 0.0) >= backoff(n, 0.999) / 2.01 for n in range(1, 40))


@pytest.mark.parametrize(
    ("key", "is_accepted"),
    [
        (b"a.csv", True),
        (b"A.CSV", True),
        (b"deep/er/a.csv.gz", True),
        (b"a.csv.part", False),
        (b".hidden.csv", False),
        (b".~lock.a.csv", False),
        (b".git/a.csv", False),
        (b"a.exe", False),
        (b"\xff.csv", True),
    ],
)
def test_which_names_are_taken(key: bytes, is_accepted: bool) -> None:
    assert takes(key, ("*.csv", "*.gz"), IGNORED) is is_accepted


def test_a_file_settles_when_nothing_changes() -> None:
    one, two = Stat(1, 1, 5, 0, 0), Stat(1, 1, 6, 0, 0)
    done, seen = is_stable(None, one, 10.0, 2.0)
    assert not done
    assert not is_stable(seen, one, 11.9, 2.0)[0]
    assert is_stable(seen, one, 12.0, 2.0)[0]
    assert not is_stable(seen, two, 12.0, 2.0)[0]


def test_names_for_people_hold_no_control_characters() -> None:
    assert printable(b"a\nb\x1b[31m\xff.csv") == "a\\nb\\x1b[31m\\xff.csv"


def test_a_message_is_a_cloud_event_and_only_its_id_is_believed() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    waiting = OutboxEntry(7, "plant", b"\xff.csv", 2, 10, bytes(16), "aa/aa", Stage.VALIDATE, now)
    message = message_of(waiting, "landing")
    assert {"specversion", "id", "source", "type"} <= set(message)
    assert set(message["data"]) >= {"bucket", "key", "size", "md5", "source", "received_at"}
    assert file_ids_of(message) == [7]
    assert file_ids_of({**message, "traceparent": "of tomorrow's publishers"}) == [7]


def test_a_message_may_be_of_more_files_and_is_what_a_worker_of_yesterday_understands() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    files = [
        OutboxEntry(n, "plant", b"a.csv", 1, 10, bytes(16), "aa/aa", Stage.VALIDATE, now)
        for n in (7, 12, 9)
    ]
    message = message_of(files[0], "landing", files[1:])
    assert file_ids_of(message) == [7, 12, 9]
    alone = message_of(files[0], "landing")
    assert {name: message[name] for name in alone} == alone
    assert all(isinstance(message[name], str) for name in message if name != "data")


@pytest.mark.parametrize(
    "wrong",
    [
        *(None, 7, [8], "8,9", "8 ", " 8", "8  9", "-8", "0", "08", "a", "8\n", "²", str(2**63)),
        *("1 " * 1000 + "1", " ".join(map(str, range(10, 1010)))),
    ],
)
def test_others_that_are_no_ids_are_refused(wrong: object) -> None:
    message = {"type": EVENT_TYPE, "data": {"file_id": 7}, "others": wrong}
    with pytest.raises(UsageError, match=r"others|too many ids"):
        file_ids_of(message)


@pytest.mark.parametrize(
    "wrong", [None, 7, "7", [7], {}, {"data": {"file_id": 7}}, {"type": EVENT_TYPE, "data": 7}]
)
def test_what_is_no_event_is_refused(wrong: object) -> None:
    with pytest.raises(UsageError, match="not a sensorflow event"):
        file_ids_of(wrong)


@pytest.mark.parametrize("wrong", ["7", True, -7, 0, 7.0, None, [7], 2**63, "../../etc/passwd"])
def test_an_id_that_is_none_is_refused(wrong: object) -> None:
    with pytest.raises(UsageError, match="file_id"):
        file_ids_of({"type": EVENT_TYPE, "data": {"file_id": wrong}})


def test_an_event_with_more_in_it_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown fields"):
        file_ids_of({"type": EVENT_TYPE, "data": {"file_id": 7, "path": "/etc/passwd"}})


@pytest.mark.parametrize(
    "error",
    [
        Transient(Code.DATABASE, "away", host="h"),
        Permanent(Code.UNREADABLE, "no", line=3, column=None),
        Fenced("lost", token=4),
        UsageError("wrong"),
        TooManyRejects(Counts(read=3, rejected=2), "too many"),
    ],
)
def test_errors_survive_pickling(error: Exception) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (str(again), again.__dict__) == (str(error), error.__dict__)
