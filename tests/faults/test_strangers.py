"""What clients of the broker do to the children of a worker is not charged to a file."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from dropped_files import DroppedFiles, armed, assert_exact, failpoint_hits
from fleet import LONG_LEASE, fleet

from sensorflow.adapters.queues.celery import INGEST, CeleryPublisher, configuration, task_name
from sensorflow.core.arrival import EVENT_TYPE

CLAIMED = "stop@claimed"


@pytest.fixture
def stranger(broker: str) -> Celery:
    app = Celery("stranger", set_as_current=False)
    app.conf.update(configuration(broker))
    return app


def test_fault_43_time_limits_and_commands_end_no_child(
    project: Path, database: str, broker: str, stranger: Celery
) -> None:
    """They come while a file is in hand: its child stands still, so that it is past any limit."""
    with fleet(project, database, broker, environment=LONG_LEASE) as f:
        drops = DroppedFiles(f)
        f.start("daemon")
        drops.put("plant.csv")
        f.wait(lambda: f.counts()["pending"] == 1 and f.ledger.pending(9, 9) == [])
        purge(broker)
        event = {"specversion": "1.0", "type": EVENT_TYPE, "data": {"file_id": 1}}
        stranger.send_task(task_name(INGEST), [event], time_limit=1, soft_time_limit=1)
        f.start("worker", env=armed(f, CLAIMED))
        f.wait(lambda: failpoint_hits(f, CLAIMED) > 0)
        child = failpoint_hits(f, CLAIMED)
        command(stranger)
        time.sleep(2)
        os.kill(child, signal.SIGCONT)
        f.start("beat")
        f.wait(lambda: f.counts()["loaded"] == 1)
        assert child in f.children("worker"), f.logs()
        assert_exact(f, drops.manifest)
        assert {v.attempts for v in f.ledger.files()} == {1}


def purge(broker: str) -> None:
    queue = CeleryPublisher(broker, "landing")
    with queue._app.connection_for_write() as connection, connection.channel() as channel:
        channel.queue_purge(task_name(INGEST))
    queue.close()


def command(stranger: Celery) -> None:
    """All that could end a child, or have a worker send messages; and what Flower asks for."""
    name = task_name(INGEST)
    identity = answer(stranger, "active")[0]["id"]
    ways: list[tuple[str, dict[str, Any]]] = [
        ("revoke", {"task_id": identity, "terminate": True, "signal": "SIGKILL"}),
        ("terminate", {"task_id": identity, "signal": "SIGKILL"}),
        ("revoke_by_stamped_headers", {"headers": {"a": "b"}, "terminate": True}),
        ("time_limit", {"task_name": name, "soft": 0.1, "hard": 0.1}),
        ("rate_limit", {"task_name": name, "rate_limit": "1/h"}),
        ("pool_restart", {}),
        ("election", {"id": "x", "topic": "task", "action": {"task": name}}),
        ("add_consumer", {"queue": "elsewhere"}),
        ("pool_grow", {"n": 10_000}),
    ]
    for way, arguments in ways:
        assert "refused" in answer(stranger, way, **arguments)["error"], way
    assert answer(stranger, "stats")["total"]


def answer(stranger: Celery, way: str, **arguments: Any) -> Any:
    """Of the one worker."""
    asked = {"arguments": arguments, "reply": True, "timeout": 30, "limit": 1}
    (found,) = stranger.control.broadcast(way, **asked)
    return next(iter(found.values()))
