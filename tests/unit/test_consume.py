"""A loop without Celery: what is received is worked on, kept, and settled whatever happens."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import structlog
from test_flow import LIMITS, BrokenLake, InMemoryPipeline, content, names, with_lake

from sensorflow import telemetry
from sensorflow.core.states import State
from sensorflow.errors import Code, Fenced, Transient
from sensorflow.flow import consume as module
from sensorflow.flow.consume import consume
from sensorflow.flow.leases import LeaseKeeper
from sensorflow.flow.publish import publish
from sensorflow.testing.ledger import MemoryLedger
from sensorflow.testing.queue import MemoryDelivery, MemoryQueue


def until(done: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_what_is_held_is_renewed_until_it_is_let_go() -> None:
    renewed: list[float] = []
    with LeaseKeeper(0.06) as keeper:
        with keeper.keep([renewed.append]):
            until(lambda: len(renewed) > 2)
        seen = len(renewed)
        with keeper.keep([lambda _: None]):
            time.sleep(0.1)
    assert len(renewed) <= seen + 1  # one may have been under way
    assert set(renewed) == {0.06}


def test_a_renewal_that_fails_is_tried_again_unless_the_lease_is_lost() -> None:
    tried: list[str] = []

    def unavailable(_seconds: float) -> None:
        tried.append("away")
        raise Transient(Code.DATABASE, "away")

    def lost(_seconds: float) -> None:
        tried.append("lost")
        raise Fenced("somebody else's")

    with LeaseKeeper(0.03) as keeper:
        with keeper.keep([lost]), keeper.keep([unavailable]):
            until(lambda: tried.count("away") > 3)
        with keeper.keep([lost]):
            until(lambda: tried.count("lost") > 1)
            until(lambda: not keeper._leases)
    assert tried.count("lost") == 2


def test_what_is_held_twice_is_let_go_one_by_one() -> None:
    outer: list[float] = []
    with LeaseKeeper(0.03) as keeper, keeper.keep([outer.append]):
        with keeper.keep([lambda _: None]):
            pass
        seen = len(outer)
        until(lambda: len(outer) > seen + 1)


def drained(pipeline: InMemoryPipeline) -> Callable[[], bool]:
    """Whether nothing waits, be it delayed."""
    return lambda: pipeline.queue.depth() == 0


def test_a_message_is_settled_when_its_files_have_an_outcome() -> None:
    pipeline = InMemoryPipeline()
    ids = [pipeline.drop(content(n + 1), names(n)).file_id for n in range(3)]
    bad = pipeline.drop(content(1, "x"), b"bad.csv").file_id
    publish(pipeline.ledger, pipeline.queue, LIMITS)
    consume(pipeline.queue, pipeline.services, drained(pipeline))
    assert [pipeline.state(n) for n in ids] == [State.LOADED] * 3
    assert pipeline.queue._unacked == {}
    publish(pipeline.ledger, pipeline.queue, LIMITS)  # the quarantine task
    consume(pipeline.queue, pipeline.services, drained(pipeline))
    assert pipeline.state(bad) is State.QUARANTINED


def test_a_large_file_goes_stage_by_stage_by_the_outbox() -> None:
    pipeline = InMemoryPipeline()
    file = pipeline.drop(content(5))
    sent = []
    while publish(pipeline.ledger, pipeline.queue, replace(LIMITS, inline_below=0)):
        sent += [str(message.only) for _, message in pipeline.queue._waiting]
        consume(pipeline.queue, pipeline.services, drained(pipeline))
    assert sent == ["validate", "transform", "load"]
    assert pipeline.state(file.file_id) is State.LOADED


def test_a_retry_is_the_ledgers_and_its_message_is_done() -> None:
    pipeline = InMemoryPipeline()
    with_lake(pipeline, BrokenLake(Transient(Code.STORAGE, "disk full")))
    file = pipeline.drop(content(5))
    publish(pipeline.ledger, pipeline.queue, LIMITS)
    consume(pipeline.queue, pipeline.services, drained(pipeline))
    view = pipeline.ledger.file(file.file_id)
    assert view is not None
    assert (view.state, view.error_code) == (State.PENDING, Code.STORAGE)
    assert pipeline.queue._unacked == {}


class FlakyLedger(MemoryLedger):
    """A database that cannot be asked a few times."""

    def __init__(self, clock: Any, error: Exception, times: int) -> None:
        super().__init__(clock)
        self.error, self.times = error, times

    def claim_batch(self, *args: Any) -> Any:
        if self.times:
            self.times -= 1
            raise self.error
        return super().claim_batch(*args)


@pytest.mark.parametrize(
    "error", [Transient(Code.DATABASE, "away"), ZeroDivisionError("oh"), MemoryError()], ids=repr
)
def test_what_has_no_outcome_comes_again(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    telemetry.configure()  # structlog's own way takes seconds for a traceback
    monkeypatch.setattr(module, "REDELIVERY_SECONDS", 0.01)
    monkeypatch.setattr(module, "backoff", lambda *_, **__: 0.01)
    pipeline = InMemoryPipeline()
    pipeline.ledger = FlakyLedger(lambda: pipeline.now, error, times=2)
    pipeline.services = replace(pipeline.services, ledger=pipeline.ledger)
    file = pipeline.drop(content(5))
    publish(pipeline.ledger, pipeline.queue, LIMITS)
    consume(pipeline.queue, pipeline.services, drained(pipeline))
    structlog.reset_defaults()
    assert pipeline.state(file.file_id) is State.LOADED


class FlakyQueue(MemoryQueue):
    """A broker that is away for the first few calls."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def receive(self, n: int, timeout: float) -> Sequence[MemoryDelivery]:
        if self.times:
            self.times -= 1
            raise Transient(Code.BROKER, "away")
        return super().receive(n, timeout)


def test_a_broker_that_is_away_ends_no_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[int] = []
    monkeypatch.setattr(module, "backoff", lambda n, *_, **__: waits.append(n) or 0.0)
    pipeline = InMemoryPipeline()
    pipeline.queue = FlakyQueue(3)
    file = pipeline.drop(content(5))
    publish(pipeline.ledger, pipeline.queue, LIMITS)
    consume(pipeline.queue, pipeline.services, drained(pipeline))
    assert waits == [1, 2, 3]
    assert pipeline.state(file.file_id) is State.LOADED


def test_housekeeping_that_fails_keeps_no_message_waiting(
    capsys: pytest.CaptureFixture[str],
) -> None:
    telemetry.configure()
    asked: list[str] = []

    def run_due() -> None:
        asked.append("once in a while")
        raise Transient(Code.DATABASE, "away") if len(asked) == 1 else ZeroDivisionError("oh")

    pipeline = InMemoryPipeline()
    ids = [pipeline.drop(content(n + 1), names(n)).file_id for n in range(3)]
    publish(pipeline.ledger, pipeline.queue, LIMITS)
    consume(pipeline.queue, pipeline.services, drained(pipeline), run_due=run_due)
    assert [pipeline.state(n) for n in ids] == [State.LOADED] * 3
    assert len(asked) == 1
    pipeline.drop(content(9), b"more.csv")
    publish(pipeline.ledger, pipeline.queue, LIMITS)
    consume(pipeline.queue, pipeline.services, drained(pipeline), run_due=run_due)
    structlog.reset_defaults()
    output = capsys.readouterr().err
    assert '"event": "housekeeping.failed"' in output
    assert '"event": "defect"' in output


def test_what_is_in_hand_is_said_to_whoever_watches() -> None:
    pipeline, calls = InMemoryPipeline(), list[list[int]]()
    file_id = pipeline.drop(content(5)).file_id
    publish(pipeline.ledger, pipeline.queue, LIMITS)
    consume(
        pipeline.queue,
        pipeline.services,
        drained(pipeline),
        on_claims=lambda claims: calls.append([claim.file_id for claim in claims]),
    )
    assert calls == [[file_id], []]


class ExtensionRecorder(MemoryQueue):
    """Notes which deliveries are extended."""

    def __init__(self) -> None:
        super().__init__()
        self.extended = threading.Event()

    def extend(self, receipt: int, seconds: float) -> None:
        super().extend(receipt, seconds)
        self.extended.set()


def test_a_message_is_extended_while_it_is_worked_on() -> None:
    pipeline = InMemoryPipeline()
    pipeline.settings = pipeline.settings.model_copy(update={"lease": 0.03})
    pipeline.queue = queue = ExtensionRecorder()

    class Waits(MemoryLedger):
        def claim_batch(self, *args: Any) -> Any:
            queue.extended.wait(20)
            return super().claim_batch(*args)

    pipeline.ledger = Waits(lambda: pipeline.now)
    pipeline.services = replace(
        pipeline.services, ledger=pipeline.ledger, settings=pipeline.settings
    )
    file = pipeline.drop(content(5))
    publish(pipeline.ledger, pipeline.queue, LIMITS)
    consume(pipeline.queue, pipeline.services, drained(pipeline))
    assert pipeline.state(file.file_id) is State.LOADED
    assert queue.extended.is_set()
