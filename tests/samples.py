"""Arrivals, claims, readings and messages for tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from sensorflow.core.arrival import Arrival, Landed
from sensorflow.core.keys import keys
from sensorflow.core.readings import SILVER
from sensorflow.core.states import WORK, Stage, State
from sensorflow.errors import Code, Permanent
from sensorflow.ports.claims import Claim
from sensorflow.ports.files import Counts, StageReport
from sensorflow.ports.intake import OnChange
from sensorflow.ports.ledger import Ledger
from sensorflow.ports.loading import Load
from sensorflow.ports.maintenance import Garbage, Remove
from sensorflow.ports.queue import Message, Task
from sensorflow.testing.queue import MemoryQueue

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DONE = StageReport(Stage.QUARANTINE, 0.1, 0)


def arrival(key: bytes = b"a.csv", content: int = 1, mark: str = "") -> Arrival:
    digest = bytes([content]) * 32
    landed = Landed(f"{digest.hex()[:2]}/{digest.hex()}", digest, digest[:16], 100)
    return Arrival("plant", key, landed, 0, mark or f"{key!r}{content}", "long", NOW, NOW)


def add(ledger: Ledger, key: bytes = b"a.csv", content: int = 1, mark: str = "") -> int:
    return ledger.register(arrival(key, content, mark), OnChange.SUPERSEDE, False).file_id


def claim(ledger: Ledger, file_id: int, lease: float = 60) -> Claim:
    found = ledger.claim(file_id, WORK, "me", lease)
    assert found is not None
    return found


def batch(rows: int = 3, start: int = 0, value: float = 1.5) -> pa.RecordBatch:
    ts = (np.arange(rows) + start) * 10**9 + 1_700_000_000 * 10**9
    columns = [
        pa.array(ts, pa.int64()).cast(SILVER.field("ts").type),
        pa.array(["s"] * rows),
        pa.array(["temperature"] * rows),
        pa.array([value] * rows),
        pa.array(["degC"] * rows),
        pa.array([0] * rows, pa.int16()),
        pa.array(range(rows), pa.int64()),
        pa.array([0] * rows, pa.int32()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SILVER)


def load(
    ledger: Ledger, claimed: Claim, silver: pa.RecordBatch, name: str = "plant/a.csv"
) -> Counts:
    plan = Load(Counts(read=len(silver)), OnChange.SUPERSEDE, "p", "h", "0", ())
    return ledger.load(claimed, [(silver, keys(silver, name))], plan).counts


def state(ledger: Ledger, file_id: int) -> State:
    view = ledger.file(file_id)
    assert view is not None
    return view.state


def received(queue: MemoryQueue) -> Iterator[Message]:
    """What waits, each acknowledged at once."""
    while found := queue.receive(1, 0):
        found[0].ack()
        yield found[0].message


def chained(message: Message) -> list[Task]:
    """The tasks that the Celery adapter makes of a message: a chain of all stages that follow."""
    if message.only is None or message.only is Stage.QUARANTINE:
        return [message.task]
    stages = WORK[WORK.index(message.only) :]
    return [Task(message.task.file_ids, stage, next_sent=True) for stage in stages]


def quarantine_it(ledger: Ledger, file_id: int) -> None:
    ledger.dead_letter(claim(ledger, file_id), Permanent(Code.UNREADABLE, "x"), Counts())
    claimed = ledger.claim(file_id, (Stage.QUARANTINE,), "me", 60)
    assert claimed is not None
    ledger.mark_quarantined(claimed, "there", DONE)


def removed(group: Sequence[Garbage]) -> list[int]:
    """Stands for the removal of the garbage of these files."""
    return [garbage.file_id for garbage in group]


def removed_into(seen: list[Garbage]) -> Remove:
    """A removal that adds the files to a list."""
    return lambda group: (seen.extend(group), removed(group))[1]


def waiting(ledger: Ledger, count: int) -> list[int]:
    """New files, published in one message."""
    ids = [add(ledger, b"%d.csv" % n, n + 1) for n in range(count)]
    first, *others = ledger.pending(100, 100)
    ledger.mark_sent([first, *(replace(o, sent_with=first.file_id) for o in others)])
    return ids
