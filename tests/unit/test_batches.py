"""One message and one task a file; a worker takes waiting ones along, and each keeps its own outcome."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from celery.exceptions import Retry
from fresh_database import FreshDatabaseWithClock
from samples import received
from stored import Stored, storing
from test_flow import LIMITS, InMemoryPipeline, content, keep, names, sent

from sensorflow.adapters.postgres.ledger import PostgresLedger
from sensorflow.core.states import WORK, State
from sensorflow.core.touched import Touched
from sensorflow.errors import Code, SensorflowError, Transient
from sensorflow.flow.outcomes import Outcome, Result
from sensorflow.flow.process import process
from sensorflow.flow.publish import BATCH_BYTES, SMALL_FILE_BYTES, publish
from sensorflow.ports.claims import BatchLimits
from sensorflow.ports.queue import Task
from workers.outcome import report_results


class BatchCountingLedger(PostgresLedger):
    """Counts the files that are committed with others."""

    together = 0

    def load_batch(self, files: Any) -> list[Touched] | None:
        self.together += len(files)
        return super().load_batch(files)


@pytest.fixture
def stored(clocked: FreshDatabaseWithClock) -> Iterator[Stored]:
    with storing(clocked) as pipeline:
        yield pipeline


def work(pipeline: InMemoryPipeline) -> dict[str, list[Result]]:
    """Publish, and handle each message; the results by the name of the message's file."""
    pipeline.publish()
    results = {}
    for message in received(pipeline.queue):
        [waiting] = message.files
        results[waiting.key.decode()] = process(pipeline.services, message.task, keep)
    return results


def claims(pipeline: InMemoryPipeline, file_id: int) -> list[str | None]:
    return [e.why for e in pipeline.ledger.history(file_id) if e.what == "claimed"]


def test_every_file_has_a_message_of_its_own(stored: Stored) -> None:
    plant = stored()
    for number in range(120):
        plant.drop(content(number % 7 + 1, str(number)), names(number))
    # as many as may be in flight, but for a quarter that is left to those who come next
    assert sent(plant) == [[f"{number}.csv"] for number in range(75)]


def test_the_ledger_knows_soon_which_messages_are_sent(
    stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker takes along what is known to have a message."""
    monkeypatch.setattr("sensorflow.flow.publish.RECORD_EVERY", 3)
    plant = stored()
    for number in range(7):
        plant.drop(content(number + 1), names(number))
    recorded = []
    published = plant.ledger.mark_sent
    plant.ledger.mark_sent = lambda sent: (recorded.append(len(sent)), published(sent))[1]  # type: ignore[method-assign]
    publish(plant.ledger, plant.queue, LIMITS)
    assert recorded == [3, 3, 1]


def test_waiting_files_are_taken_along_and_their_own_tasks_say_with_which(stored: Stored) -> None:
    plant = stored(BatchCountingLedger)
    files = [plant.drop(content(n + 1), names(n)) for n in range(9)]
    results = work(plant)
    assert [len(results[f"{n}.csv"]) for n in range(9)] == [3, 1, 1, 3, 1, 1, 2, 1, 1]
    assert {plant.state(f.file_id) for f in files} == {State.LOADED}
    assert [claims(plant, f.file_id) for f in files] == [
        *([None], ["together with file 1"], ["together with file 1"]),
        *([None], ["together with file 4"], ["together with file 4"]),
        *([None], ["together with file 7"], [None]),
    ]
    assert plant.ledger.together == 8
    views = [plant.ledger.file(f.file_id) for f in files]
    assert [v and (v.counts.read, v.counts.loaded) for v in views] == [(n, n) for n in range(1, 10)]
    reports = [report_results(results[f"{n}.csv"]) for n in range(3)]
    account = "loaded 0.csv: read=1 loaded=1 rejected=0 duplicates=0"
    assert reports == [
        f"{account}; batch members 2: loaded=2",
        *["nothing to do: loaded in the batch of file 1"] * 2,
    ]


def test_a_task_is_that_of_its_own_file_whatever_becomes_of_those_taken_along(
    stored: Stored,
) -> None:
    plant = stored(max_rejects="10%")
    plant.drop(content(1), b"first.csv")
    spoilt = plant.drop(content(3, "x"), b"spoilt.csv")
    results = work(plant)
    assert report_results(results["first.csv"]) == (
        "loaded first.csv: read=1 loaded=1 rejected=0 duplicates=0; batch members 1: condemned=1"
    )
    text = "nothing to do: in the batch of file 1, now pending"
    assert [r.text for r in results["spoilt.csv"]] == [text]
    assert work(plant)["spoilt.csv"][0].outcome is Outcome.QUARANTINED
    assert plant.state(spoilt.file_id) is State.QUARANTINED


def test_a_task_fails_with_its_own_file_and_not_with_the_others(stored: Stored) -> None:
    plant = stored(max_rejects="10%")
    plant.drop(content(3, "x"), b"spoilt.csv")
    fine = plant.drop(content(1), b"fine.csv")
    results = work(plant)
    with pytest.raises(SensorflowError, match=r"spoilt\.csv.*; batch members 1: loaded=1"):
        report_results(results["spoilt.csv"])
    assert plant.state(fine.file_id) is State.LOADED


def test_of_files_that_share_a_message_the_worst_decides() -> None:
    fine, worse = Result(Outcome.LOADED, "loaded a"), Result(Outcome.RETRY, "b: away")
    assert report_results([fine, fine]) == "2 files: loaded=2; loaded a"
    with pytest.raises(Retry, match="2 files: retry=1 loaded=1; b: away"):
        report_results([fine, worse])


def test_a_message_of_many_files_is_understood_where_each_is_sent_by_itself(stored: Stored) -> None:
    """Of the version before, in flight while the fleet is upgraded."""
    plant = stored()
    files = [plant.drop(content(n + 1), names(n)).file_id for n in range(6)]
    plant.publish()
    results = process(plant.services, Task(files[:3]), keep)
    assert [(r.outcome, r.has_own_message) for r in results] == [(Outcome.LOADED, False)] * 3
    assert [plant.state(n) for n in files] == [State.LOADED] * 3 + [State.PENDING] * 3


def test_where_small_files_are_grouped_a_message_of_one_takes_nothing_along(stored: Stored) -> None:
    plant = stored(grouped=True)
    files = [plant.drop(content(n + 1), names(n)).file_id for n in range(3)]
    plant.publish()
    assert len(process(plant.services, Task(files[:1]), keep)) == 1
    assert plant.state(files[1]) is State.PENDING


def test_files_of_a_source_whose_readings_are_shared_go_alone(stored: Stored) -> None:
    plant = stored(dedupe_scope="source", on_change="keep")
    for number in range(4):
        plant.drop(content(number + 1), names(number))
    assert {len(results) for results in work(plant).values()} == {1}


def test_a_file_taken_along_that_must_wait_is_tried_again_by_itself(stored: Stored) -> None:
    plant = stored()
    first, second = (plant.drop(content(n + 1), names(n)).file_id for n in range(2))
    plant.publish()
    limits = BatchLimits(("plant",), SMALL_FILE_BYTES, BATCH_BYTES, files=1, share=1)
    for claim in plant.ledger.claim_batch(first, WORK, "me", 30, limits).claims:
        plant.ledger.nack(claim, Transient(Code.STORAGE, "away"), 0, counts_as_attempt=False)
    assert len(list(received(plant.queue))) == 2
    assert {name: len(results) for name, results in work(plant).items()} == {"0.csv": 1, "1.csv": 1}
    assert claims(plant, second) == ["together with file 1", None]
