"""Flower's memory and history of tasks: a forgotten task is freed, and the history is saved when a task has
changed, and not otherwise."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery
from celery.events.state import State, Task
from flower.events import Events

from workers.flower import free_at_once, save_changes_only


class Kept(Events):
    """Flower's own class is left alone."""


save_changes_only(Kept)


class Freed(Task):
    """Celery's own class is left alone."""


free_at_once(Freed)


class TwoTasks(State):
    Task = Freed

    def __init__(self) -> None:
        super().__init__(max_tasks_in_memory=2)


def told(state: State, at: float, kind: str = "task-received", name: str = "one") -> None:
    common = {"hostname": "worker@here", "timestamp": at, "local_received": at, "clock": int(at)}
    task = {"uuid": name, "name": "sensorflow.ingest"} if kind.startswith("task") else {"freq": 2}
    state.event({"type": kind, "pid": 1, "utcoffset": 0, **common, **task})


def saves(events: Events, path: Path) -> bool:
    for old in path.parent.iterdir():
        old.unlink()
    events.save_state()
    return any(path.parent.iterdir())


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Without Python's garbage collector."""
    gc.disable()
    yield
    gc.enable()


def test_a_forgotten_task_is_freed_at_once(uncollected: None) -> None:
    state = TwoTasks()
    tasks = []
    for at, name in enumerate(("one", "two", "three")):
        told(state, at, name=name)
        tasks.append(weakref.ref(state.tasks[name]))
    assert [task() is not None for task in tasks] == [False, True, True]
    shown = state.tasks["three"].as_dict()
    assert (shown["uuid"], shown["root"], shown["children"]) == ("three", None, [])


def test_the_history_is_saved_once_for_each_change_of_a_task(tmp_path: Path) -> None:
    path = tmp_path / "history"
    events = Kept(Celery(), None, db=str(path), max_tasks_in_memory=10)
    assert saves(events, path)
    assert not saves(events, path)
    told(events.state, 100.0)
    assert saves(events, path)
    told(events.state, 101.0, "worker-heartbeat")
    assert not saves(events, path)
    told(events.state, 102.0, "task-succeeded")
    assert saves(events, path)
    assert Kept(
        Celery(), None, db=str(path), persistent=True, max_tasks_in_memory=10
    ).state.tasks.keys() == {"one"}
