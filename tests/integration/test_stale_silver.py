"""What a worker writes to the lake that has lost its file, in every order of events.

Two workers may have a file; each stops just before it names its silver and just before it commits, and goes
on sooner or later, or never. Meanwhile the lease ends, a correction replaces the file, people undo and
replay, the collector looks. Every state that this leads to is visited, over the real ledger and lake. From
each, all workers are killed, time passes, and what is left to do is done: then silver is there for what is
loaded, and for nothing else.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from project_driver import ProjectDriver, content

from sensorflow.core.partitions import Layer, LayerFile
from sensorflow.core.states import State
from sensorflow.flow import file_task
from sensorflow.flow.file_task import FileTask, Services
from sensorflow.flow.garbage import collect_garbage
from sensorflow.flow.outcomes import Outcome
from sensorflow.flow.process import process
from sensorflow.ports.layers import LayerWriter
from sensorflow.ports.maintenance import RECOLLECT_AFTER_SECONDS
from sensorflow.ports.queue import Task

OPEN = (State.PENDING, State.RUNNING)
Seen = tuple[Any, ...]


class WorkerKilled(BaseException):
    """Ends a worker where it stands: nothing is written down."""


class Gates:
    """Where a worker stops, until it is let on or killed."""

    def __init__(self) -> None:
        self._turn, self._stopped = threading.Semaphore(0), threading.Semaphore(0)
        self.at = ""
        self._killed = False

    def stop(self, at: str) -> None:
        """Called by the worker."""
        self.at = at
        self._stopped.release()
        self._turn.acquire()
        if self._killed:
            raise WorkerKilled

    def ended(self) -> None:
        self.at = ""
        self._stopped.release()

    def resume(self) -> None:
        """To the next gate, or to the end."""
        self._turn.release()
        self._stopped.acquire()

    def kill(self) -> None:
        self._killed = True
        self.resume()


@dataclass
class Lake:
    """A lake whose silver is named when the worker is let on: alone, or with all of a batch."""

    inner: Any
    gates: Gates
    is_batch: bool = False
    has_silver: bool = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    @contextmanager
    def batch(self) -> Iterator[Lake]:
        with self.inner.batch() as batch:
            written = Lake(batch, self.gates, is_batch=True)
            yield written
            if written.has_silver:
                self.gates.stop("naming")
        if written.has_silver:
            self.gates.stop("named")

    @contextmanager
    def writer(self, layer: Layer, file: LayerFile, schema: pa.Schema) -> Iterator[LayerWriter]:
        self.has_silver |= layer is Layer.SILVER
        silver = layer is Layer.SILVER and not self.is_batch
        with self.inner.writer(layer, file, schema) as writer:
            yield writer
            if silver:
                self.gates.stop("naming")
        if silver:
            self.gates.stop("named")


class Worker:
    def __init__(self, services: Services, file_id: int) -> None:
        self.gates = Gates()
        gated = replace(services, lake=Lake(services.lake, self.gates))
        self.outcomes: list[Outcome] = []

        def work() -> None:
            try:
                done = process(gated, Task([file_id]), lambda _: nullcontext())
                self.outcomes += [result.outcome for result in done]
            except WorkerKilled:
                pass
            finally:
                self.gates.ended()

        self._thread = threading.Thread(target=work)
        self._thread.start()
        self.gates._stopped.acquire()

    @property
    def at(self) -> str:
        return self.gates.at

    def end(self, how: Callable[[], None]) -> None:
        how()
        if not self.at:
            self._thread.join()


class SharedConnectionDriver(ProjectDriver):
    """With one connection for all statements."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._connection = psycopg.connect(self.database, autocommit=True)

    def close(self) -> None:
        self._connection.close()
        super().close()

    def sql(self, statement: str, *values: Any) -> int:
        return self._connection.execute(statement, values).rowcount  # type: ignore[arg-type]


@dataclass
class FileScenario:
    """A file of its own, and what was done to it. budget: how often each may yet happen."""

    driver: ProjectDriver
    number: int
    workers: list[Worker] = field(default_factory=list)
    budget: dict[str, int] = field(
        default_factory=lambda: {"begin": 2, "expire": 1, "correct": 1, "undo": 1, "replay": 1}
    )
    done: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.file_id = self.driver.arrive(f"{self.number}.csv", content(self.number, 3))
        self.newer = 0

    # --- what may happen ---

    def possible(self) -> list[str]:
        state = self.state(self.file_id)
        names = [f"on {n}" for n, worker in enumerate(self.workers) if worker.at]
        rules = {
            "begin": state is State.PENDING,
            "expire": state is State.RUNNING,
            "correct": self.newer == 0,
            "undo": state is State.LOADED,
            "replay": state in (State.LOADED, State.UNDONE),
        }
        names += [name for name, may in rules.items() if may and self.budget[name]]
        return [*names, "collect"]

    def do(self, what: str) -> None:
        self.done.append(what)
        name, _, number = what.partition(" ")
        if name == "on":
            self.workers[int(number)].end(self.workers[int(number)].gates.resume)
        else:
            self.budget[name] = self.budget.get(name, 0) - 1
            getattr(self, f"_{name}")()

    def _begin(self) -> None:
        self.workers.append(Worker(self.driver.services, self.file_id))

    def _expire(self) -> None:
        self.driver.sql("UPDATE files SET lease_until = now() WHERE id = %s", self.file_id)
        self.driver.ledger.reconcile(60, None)

    def _correct(self) -> None:
        self.newer = self.driver.load(f"{self.number}.csv", content(self.number + 1_000_000, 2))

    def _undo(self) -> None:
        assert self.driver.ledger.undo(self.file_id, "") is not None

    def _replay(self) -> None:
        assert self.driver.ledger.replay(self.file_id)

    def _collect(self) -> None:
        services = self.driver.services
        collect_garbage(services.ledger, services.lake, services.landing)

    # --- what is seen ---

    def state(self, file_id: int) -> State:
        view = self.driver.ledger.file(file_id)
        assert view is not None
        return view.state

    def silver(self, file_id: int) -> bool:
        return any((self.driver.data / "silver").rglob(f"file-{file_id}-v*.parquet"))

    def seen(self) -> Seen:
        """All that matters for what may happen from here on."""
        view = self.driver.ledger.file(self.file_id)
        assert view is not None
        facts = [view.state, view.tidy]
        first = view.collected_for is None
        again = view.previous is None
        token = view.lease_token
        at = [worker.at for worker in self.workers]
        budget = tuple(self.budget[n] for n in ("begin", "expire", "correct", "undo", "replay"))
        newest = token is not None and view.state is State.RUNNING
        silver = self.silver(self.file_id)
        return (*facts, first, again, newest, tuple(at), budget, silver)

    # --- the end ---

    def kill(self) -> None:
        for worker in self.workers:
            if worker.at:
                worker.end(worker.gates.kill)

    def settle(self) -> None:
        """No worker goes on; time passes; what is left to do is done."""
        self.kill()
        ids = [self.file_id, self.newer]
        for _ in range(2):
            self.driver.sql(
                _LATER,
                RECOLLECT_AFTER_SECONDS + 1,
                RECOLLECT_AFTER_SECONDS + 1,
                RECOLLECT_AFTER_SECONDS + 1,
                ids,
            )
            self.driver.ledger.reconcile(60, None)
            for file_id in ids:
                if file_id and self.state(file_id) in OPEN:
                    assert self.driver.work(file_id) is Outcome.LOADED
            self._collect()

    def assert_agrees(self) -> None:
        for file_id in filter(None, (self.file_id, self.newer)):
            state = self.state(file_id)
            assert state in (State.LOADED, State.UNDONE, State.SUPERSEDED)
            assert self.silver(file_id) is (state is State.LOADED), (file_id, state)
            assert self.driver.fact(file_id, "tidy")


_LATER = """
UPDATE files SET lease_until = lease_until - make_interval(secs => %s),
                 finished_at = finished_at - make_interval(secs => %s), not_before = NULL,
                 collected_for = collected_for - make_interval(secs => %s)
 WHERE id = ANY(%s)
"""


@pytest.fixture
def driver(
    project: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ProjectDriver]:
    """One that survives no loss of power, and is quick."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    with psycopg.connect(database, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")  # type: ignore[arg-type]
    result = SharedConnectionDriver(project, database, {"on_change": "supersede"})
    yield result
    result.close()


def play(driver: ProjectDriver, number: int, path: tuple[str, ...]) -> FileScenario:
    scene = FileScenario(driver, number)
    for what in path:
        scene.do(what)
    return scene


@dataclass
class Search:
    """Each state is settled once, and each event that is possible in a state happens in it at least once. A
    file that comes to a state that is known goes on from there, until it finds one that is not."""

    driver: ProjectDriver
    paths: dict[Seen, tuple[str, ...]] = field(default_factory=dict)
    """What leads to each state: few events."""
    untried: dict[Seen, list[str]] = field(default_factory=dict)
    transitions: dict[Seen, dict[str, Seen]] = field(default_factory=dict)
    """State -> event -> the state after it."""
    _number: int = 0

    def run(self) -> None:
        first = self._play(())
        self._found(first, first.seen(), ())
        while waiting := next((seen for seen, events in self.untried.items() if events), None):
            self._walk(waiting)

    def _walk(self, seen: Seen) -> None:
        scene = self._play(self.paths[seen])
        assert scene.seen() == seen, self.paths[seen]
        while what := self._next_event(seen):
            path = (*self.paths[seen], what)
            scene.do(what)
            before, seen = seen, scene.seen()
            known = self.transitions[before].setdefault(what, seen)
            assert known == seen, path
            if seen not in self.paths:
                self._found(scene, seen, path)
                return
        scene.kill()

    def _next_event(self, seen: Seen) -> str | None:
        """An event that was not tried in this state yet, or else the first one on the shortest known way to
        a state that has such an event; None if no such state can be reached."""
        reached: dict[Seen, str | None] = {seen: None}
        queue = deque([seen])
        while queue:
            state = queue.popleft()
            if self.untried[state]:
                return reached[state] or self.untried[state].pop(0)
            for what, following in self.transitions[state].items():
                if following not in reached:
                    reached[following] = reached[state] or what
                    queue.append(following)
        return None

    def _play(self, path: tuple[str, ...]) -> FileScenario:
        self._number += 2
        return play(self.driver, self._number, path)

    def _found(self, scene: FileScenario, seen: Seen, path: tuple[str, ...]) -> None:
        self.paths[seen] = path
        self.transitions[seen] = {}
        self.untried[seen] = scene.possible()
        try:
            scene.settle()
            scene.assert_agrees()
        except AssertionError as error:
            raise AssertionError(f"after {', '.join(scene.done)}: {error}") from error


def test_in_every_order_of_events_silver_is_there_for_what_is_loaded_and_for_nothing_else(
    driver: ProjectDriver,
) -> None:
    search = Search(driver)
    search.run()
    print(f"{len(search.paths)} states")
    assert len(search.paths) > 100


def test_who_finds_the_file_lost_has_what_it_wrote_collected_at_once(driver: ProjectDriver) -> None:
    """A large file is being read as a correction is renamed over it."""
    scene = play(driver, 2, ("begin", "correct", "collect"))
    assert scene.state(scene.file_id) is State.SUPERSEDED
    scene.do("on 0")
    assert scene.silver(scene.file_id)
    scene.do("on 0")
    assert scene.workers[0].outcomes == [Outcome.FENCED]
    scene.do("collect")
    assert not scene.silver(scene.file_id)
    assert scene.silver(scene.newer)


def test_who_was_stopped_for_long_asks_before_it_names_what_it_wrote(
    driver: ProjectDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_task, "CLAIM_CERTAIN_SECONDS", 0.0)
    other: list[Worker] = []
    named = []
    confirm = file_task.FileTask.ensure_claim

    def late(file_task: FileTask) -> None:
        if file_task.claim.file_id == file_id:
            other.append(Worker(driver.services, newer))
            while other[0].at:
                other[0].end(other[0].gates.resume)
        confirm(file_task)
        named.append(file_task.claim.file_id)

    file_id = driver.arrive("a.csv", content(1, 3))
    newer = driver.arrive("a.csv", content(2, 3))
    monkeypatch.setattr(file_task.FileTask, "ensure_claim", late)
    assert driver.work(file_id) is Outcome.FENCED
    assert other[0].outcomes == [Outcome.LOADED]
    assert named == [newer]


def test_of_a_quarantined_file_no_silver_is_left(driver: ProjectDriver) -> None:
    """Its last worker removes what is there; one that lost it before goes on, and is killed."""
    scene = play(driver, 4, ("begin",))
    scene.driver.sql("UPDATE files SET attempts = 3 WHERE id = %s", scene.file_id)
    scene.do("expire")
    assert driver.work(scene.file_id) is Outcome.DEAD_LETTERED
    driver.quarantine_by_hand(scene.file_id)
    scene.do("on 0")
    scene.settle()
    assert scene.state(scene.file_id) is State.QUARANTINED
    assert not scene.silver(scene.file_id)
