"""Flower saves its history when a task has changed, and not otherwise."""

from __future__ import annotations

from pathlib import Path

from celery import Celery
from flower.events import Events

from workers.flower import save_changes_only


class Kept(Events):
    """Flower's own class is left alone."""


save_changes_only(Kept)


def told(events: Events, at: float, kind: str = "task-received") -> None:
    common = {"hostname": "worker@here", "timestamp": at, "local_received": at, "clock": int(at)}
    task = {"uuid": "one", "name": "sensorflow.ingest"} if kind.startswith("task") else {"freq": 2}
    events.state.event({"type": kind, "pid": 1, "utcoffset": 0, **common, **task})


def saves(events: Events, path: Path) -> bool:
    for old in path.parent.iterdir():
        old.unlink()
    events.save_state()
    return any(path.parent.iterdir())


def test_the_history_is_saved_once_for_each_change_of_a_task(tmp_path: Path) -> None:
    path = tmp_path / "history"
    events = Kept(Celery(), None, db=str(path), max_tasks_in_memory=10)
    assert saves(events, path)
    assert not saves(events, path)
    told(events, 100.0)
    assert saves(events, path)
    told(events, 101.0, "worker-heartbeat")
    assert not saves(events, path)
    told(events, 102.0, "task-succeeded")
    assert saves(events, path)
    assert Kept(
        Celery(), None, db=str(path), persistent=True, max_tasks_in_memory=10
    ).state.tasks.keys() == {"one"}
