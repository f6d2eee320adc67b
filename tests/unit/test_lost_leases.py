"""Whoever has lost a file stops working on it at the next block, in whatever way it is loaded."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import pytest
from test_flow import HEAD, InMemoryPipeline

from sensorflow.core.states import Stage, State
from sensorflow.errors import Fenced
from sensorflow.flow.file_task import FileTask
from sensorflow.flow.leases import IsLost, LeaseKeeper
from sensorflow.flow.load import load
from sensorflow.flow.outcomes import Outcome
from sensorflow.flow.process import process
from sensorflow.flow.transform import transform
from sensorflow.flow.validate import validate
from sensorflow.ports.claims import Claim, ReadSoFar
from sensorflow.ports.queue import Task
from sensorflow.testing.ledger import MemoryLedger

BLOCKS = 8
ROW = b"2026-01-01T00:00:00Z,s,temperature,1.5,degC\n"
LONG = HEAD + ROW * (BLOCKS * 49_152)


class LostAt:
    """A lease that is found to be lost when somebody asks for the so many-th time."""

    def __init__(self, turn: int) -> None:
        self.turn, self.asked = turn, 0

    def __call__(self, _claim: Claim) -> bool:
        self.asked += 1
        return self.asked >= self.turn


@pytest.mark.parametrize("turn", [1, 2, 4])
def test_a_file_in_one_pass_is_left_at_the_block_after_its_lease_was_lost(turn: int) -> None:
    pipeline, lost = InMemoryPipeline(), LostAt(turn)
    file_id = pipeline.drop(LONG).file_id
    [done] = process(pipeline.services, Task([file_id]), lambda _: nullcontext(lost))
    assert (done.outcome, lost.asked) == (Outcome.FENCED, turn)
    assert pipeline.ledger.rows == {}


def test_files_in_a_micro_batch_are_left_too() -> None:
    pipeline, lost = InMemoryPipeline(grouped=True), LostAt(1)
    ids = [pipeline.drop(HEAD + ROW * (n + 1), b"%d.csv" % n).file_id for n in range(3)]
    done = process(pipeline.services, Task(ids), lambda _: nullcontext(lost))
    assert [d.outcome for d in done] == [Outcome.FENCED] * 3
    assert pipeline.ledger.rows == {}


def claimed(pipeline: InMemoryPipeline, data: bytes) -> FileTask:
    file_id = pipeline.drop(data).file_id
    found = pipeline.ledger.claim_many([file_id], list(Stage), "me", 60.0)
    return FileTask(pipeline.services, found.claims[0])


Step = Callable[[FileTask], Any]


@pytest.mark.parametrize("step", [validate, transform, lambda file_task: load(file_task, ())])
def test_each_stage_by_itself_is_left_at_its_next_block(step: Step) -> None:
    pipeline = InMemoryPipeline()
    file_task = claimed(pipeline, gzip.compress(LONG, 1))
    file_task, _, _ = validate(file_task)
    file_task, _, _ = transform(file_task)
    with pytest.raises(Fenced, match="lost during"):
        step(replace(file_task, is_lost=LostAt(2)))
    assert pipeline.ledger.rows == {}


class LeaseStealingLedger(MemoryLedger):
    """Some files have gone to another worker."""

    stolen: frozenset[int] = frozenset()

    def renew(self, claim: Claim, lease: float, read: ReadSoFar | None = None) -> None:
        if claim.file_id in self.stolen:
            raise Fenced("another's")


def test_a_renewal_that_finds_the_lease_lost_says_so_inside_and_outside() -> None:
    pipeline, heard, known = (
        InMemoryPipeline(ledger=LeaseStealingLedger()),
        list[int](),
        threading.Event(),
    )

    def lose(file_id: int) -> None:
        heard.append(file_id)
        known.set()

    ids = [pipeline.drop(HEAD + ROW * (n + 1), b"%d.csv" % n).file_id for n in range(2)]
    claims = pipeline.ledger.claim_many(ids, list(Stage), "me", 60.0).claims
    LeaseStealingLedger.stolen = frozenset(ids[1:])
    with (
        LeaseKeeper(0.03, on_lost=lose) as keeper,
        keeper.keep_claims(pipeline.ledger, claims) as is_lost,
    ):
        assert known.wait(20)
        assert [is_lost(claim) for claim in claims] == [False, True]
    assert heard == ids[1:]


def test_work_ends_when_the_keeper_finds_the_lease_lost() -> None:
    pipeline, known = InMemoryPipeline(ledger=LeaseStealingLedger()), threading.Event()
    file_id = pipeline.drop(HEAD + ROW).file_id
    LeaseStealingLedger.stolen = frozenset([file_id])
    with LeaseKeeper(0.03, on_lost=lambda _: known.set()) as keeper:

        @contextmanager
        def keep(claims: Sequence[Claim]) -> Iterator[IsLost]:
            with keeper.keep_claims(pipeline.ledger, claims) as is_lost:
                assert known.wait(20)
                yield is_lost

        [done] = process(pipeline.services, Task([file_id]), keep)
    assert done.outcome is Outcome.FENCED
    assert pipeline.state(file_id) is not State.LOADED
