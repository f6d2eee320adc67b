"""What the ledger in memory does not do it refuses; it never answers otherwise than the real one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from samples import add, arrival, batch, claim, load

from sensorflow.core.arrival import Lane
from sensorflow.core.keys import keys
from sensorflow.ports.files import Counts
from sensorflow.ports.intake import OnChange
from sensorflow.ports.loading import Load
from sensorflow.ports.maintenance import Expirable
from sensorflow.testing.ledger import MemoryLedger

SILVER = batch(2)


def newer_version(ledger: MemoryLedger) -> None:
    load(ledger, claim(ledger, add(ledger, content=2)), batch(2))


def version_beside_one_that_waits(ledger: MemoryLedger) -> None:
    add(ledger, b"b.csv", 2)
    load(ledger, claim(ledger, add(ledger, b"b.csv", 3)), batch(2))


def same_bytes_under_two_names(ledger: MemoryLedger) -> None:
    other = ledger.register(arrival(b"b.csv"), OnChange.MERGE, True).file_id
    plan = Load(Counts(read=2), OnChange.MERGE, "p", "h", "0", (), "plant/b.csv")
    ledger.load(claim(ledger, other), [(SILVER, keys(SILVER, "plant/b.csv"))], plan)


def alias_with_other_bytes(ledger: MemoryLedger) -> None:
    for content in (1, 2):
        ledger.register(arrival(b"b.csv", content), OnChange.MERGE, False)


def two_sources(ledger: MemoryLedger) -> None:
    add(ledger, b"b.csv", 2)
    ledger.register(replace(arrival(b"c.csv", 3), source="other"), OnChange.MERGE, False)
    ledger.pending(10, 10)


def backfill(ledger: MemoryLedger) -> None:
    late = replace(arrival(b"b.csv", 2), lane=Lane.BACKFILL)
    ledger.register(late, OnChange.MERGE, False)


def lost_messages(ledger: MemoryLedger) -> None:
    add(ledger, b"b.csv", 2)
    ledger.mark_sent(ledger.pending(10, 10))
    ledger.reconcile(-1, depth=1)


@pytest.mark.parametrize(
    "ask",
    [
        newer_version,
        version_beside_one_that_waits,
        same_bytes_under_two_names,
        alias_with_other_bytes,
        two_sources,
        backfill,
        lost_messages,
        lambda ledger: ledger.replay(1),
        lambda ledger: ledger.undo(1, "why"),
        lambda ledger: ledger.expire("plant", Expirable.ROWS, 0),
        lambda ledger: ledger.expire_partitions({"plant": 0}),
        lambda ledger: ledger.find_ingested("plant", [b"a.csv"], []),
        lambda ledger: ledger.named("a.csv"),
    ],
)
def test_what_it_does_not_do_is_refused(ask: Callable[[MemoryLedger], object]) -> None:
    ledger = MemoryLedger()
    load(ledger, claim(ledger, add(ledger)), SILVER)
    with pytest.raises(NotImplementedError):
        ask(ledger)
